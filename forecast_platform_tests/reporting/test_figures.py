"""The arithmetic of a report, by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from forecast_platform.reporting.figures import (
    FLOOR,
    PUBLISHED,
    Scores,
    bucket_of,
    first_days,
    rolling_wape,
    total_ahead,
    total_day_ahead,
    value_added,
)
from forecast_platform_tests.reporting.reports import DAY, empty, full


def test_wape_and_bias_are_ratios_of_sums_and_unknown_without_sales():
    scores = Scores(4, -5.0, 15.0, 50.0)
    assert (scores.wape, scores.bias) == (0.3, -0.1)
    nothing = Scores(4, 3.0, 3.0, 0.0)
    assert (nothing.wape, nothing.bias) == (None, None)


def test_value_added_is_the_floors_metric_minus_the_other_one():
    report = full()
    assert value_added(report.accuracy, 28, PUBLISHED, "wape") == pytest.approx(0.45 - 0.30)
    assert value_added(report.accuracy, 28, PUBLISHED, "rmsse") == pytest.approx(0.5)
    assert value_added({(28, FLOOR): Scores(1, 1.0, 1.0, 1.0)}, 28, PUBLISHED, "wape") is None


def test_rolling_wape_takes_the_scored_days_of_the_last_seven():
    days = {DAY - timedelta(days=back): Scores(1, 0.0, missed, 10.0) for back, missed in ((8, 9.0), (1, 2.0), (0, 4.0))}
    points = dict(rolling_wape({(day, PUBLISHED): scores for day, scores in days.items()}, PUBLISHED))
    assert points == {
        DAY - timedelta(days=8): 0.9,
        DAY - timedelta(days=1): 0.2,
        DAY: pytest.approx(6 / 20),
    }


def test_the_totals_interval_is_the_80_percent_of_what_past_totals_sold_of_their_forecast():
    report = full()
    # Each sold 100/110 of its forecast, the report's own day 200/110: one of 56, beyond the 90 % quantile.
    ahead = total_ahead(report)
    assert len(ahead) == 28 and ahead[0].day == DAY + timedelta(days=1)
    assert ahead[0].mean == 110.0
    assert (ahead[0].low, ahead[0].high) == (pytest.approx(100.0), pytest.approx(100.0))


def test_an_interval_rests_on_what_was_known_on_its_origin():
    past = total_day_ahead(full())
    # The first eight one-day errors are known nine days after the first sale on record.
    known = [each for each in past if each.low is not None]
    assert known[0].day == DAY - timedelta(days=55) + timedelta(days=8)
    assert past[-1].day == DAY and past[-1].high == pytest.approx(100.0)


def test_a_young_ledger_has_no_interval_and_no_rolling_error():
    report = replace(empty(), forecasts={(DAY, 1): 5.0}, units={DAY: 3.0})
    assert [(each.mean, each.low) for each in total_ahead(report)] == [(5.0, None)]
    assert rolling_wape(report.daily, PUBLISHED) == []
    assert report.expected is None and report.expected_next_week() is None and report.units_of_week() is None


def test_a_week_is_seven_days_on_record():
    report = full()
    assert report.units_of_week() == 800.0 and report.units_of_week(1) == 700.0
    assert report.expected_next_week() == 770.0
    assert replace(report, units={DAY: 1.0}).units_of_week() is None


def test_a_longer_window_than_what_is_scored_is_not_shown():
    report = full()
    assert report.windows == (7, 28, 90)
    days = sorted(day for day, source in report.daily if source == PUBLISHED)
    young = replace(report, daily={(day, PUBLISHED): Scores(1, 0.0, 1.0, 1.0) for day in days[-28:]})
    assert young.windows == (7, 28)
    assert empty().windows == ()


def test_buckets_are_those_that_accuracy_is_reported_by():
    assert [bucket_of(horizon) for horizon in (1, 2, 7, 8, 14, 15, 28, 29)] == [
        *("1", "2-7", "2-7", "8-14", "8-14", "15-28", "15-28", "29+")
    ]


def test_days_are_counted_after_the_first_few():
    days = [DAY + timedelta(days=offset) for offset in range(5)]
    assert first_days(days[:2]) == "20 Mar, 21 Mar"
    assert first_days(days) == "20 Mar, 21 Mar, 22 Mar and 2 more"
