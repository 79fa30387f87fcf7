"""Public holidays by location."""

import pandas as pd
import pytest

from forecast_platform.features import CountryError, HolidayCalendar


def test_each_location_has_its_own_countrys_holidays():
    days = pd.DatetimeIndex(["2026-07-03", "2026-10-03", "2026-12-25"])
    calendar = HolidayCalendar(country="US", by_location={"berlin": "DE"})
    assert calendar.is_holiday(["boston", "berlin"], days).tolist() == [[True, False, True], [False, True, True]]


def test_a_part_of_a_country_has_holidays_of_its_own():
    epiphany = pd.DatetimeIndex(["2026-01-06"])
    calendar = HolidayCalendar(country="DE-BE", by_location={"munich": "DE-BY"})
    assert calendar.is_holiday(["munich", "berlin"], epiphany).tolist() == [[True], [False]]


def test_a_locations_newest_known_country_counts_and_a_row_without_one_changes_nothing():
    locations = pd.DataFrame(
        {
            "valid_from": pd.to_datetime(["2026-03-01", "2026-01-01", "2026-02-01", "2026-02-01"]),
            "location": ["munich", "munich", "munich", "boston"],
            "country": ["JP", "DE", None, "US"],
        }
    )
    calendar = HolidayCalendar.known_on(pd.Timestamp(2026, 2, 28).date(), locations, country="FR")
    assert [calendar.of(name) for name in ("munich", "boston", "paris")] == ["DE", "US", "FR"]
    assert HolidayCalendar.known_on(pd.Timestamp(2026, 3, 1).date(), locations, country=None).of("munich") == "JP"


def test_without_a_country_no_day_is_a_holiday():
    assert not HolidayCalendar().is_holiday(["all"], pd.date_range("2026-01-01", periods=365)).any()


@pytest.mark.parametrize("code", ["XX", "DE-XX", "Atlantis"])
def test_an_unknown_country_is_named(code):
    with pytest.raises(CountryError, match=code):
        HolidayCalendar(country=code).is_holiday(["all"], pd.date_range("2026-01-01", periods=2))
