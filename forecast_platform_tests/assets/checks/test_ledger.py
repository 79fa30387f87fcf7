"""Checks of forecasts, quantiles and the ledger: whole, finite, in order, and as it was appended."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import pytest

from forecast_platform.assets.checks import ledger as checks_ledger
from forecast_platform.assets.checks.forecast_intervals import quantiles_ordered
from forecast_platform.assets.checks.forecasts import forecasts_complete, models_ran
from forecast_platform.assets.checks.ledger import untouched, verify_ledger
from forecast_platform.assets.checks.suite import Look
from forecast_platform.assets.publications import UnfitForecasts, choose_versions, require_fit
from forecast_platform.io_managers.archive import archive_month
from forecast_platform.tables import forecast_intervals, forecasts
from forecast_platform_tests.assets.checks.conftest import DAY, CheckedShop
from forecast_platform_tests.assets.checks.test_facts import FEATURES

H = list(range(1, 8))
BEFORE = DAY - timedelta(days=1)


@pytest.fixture
def ledger(checked: CheckedShop) -> CheckedShop:
    """Two series, forecast by two models from two days, with quantiles."""
    for number, sku in enumerate("ab"):
        checked.insert("series", series_id=number, sku=sku, location="x", first_seen=BEFORE)
        checked.insert("features", **FEATURES, sale_date=[BEFORE, DAY], series_id=number)
    version = 0
    for day in (BEFORE, DAY):
        for model in ("naive", "linear"):
            version += 1
            _version(checked, version, day, model)
            for number in (0, 1):
                row = {"origin_date": day, "version_id": version, "series_id": number, "horizon": H}
                checked.insert("forecasts", **row, mean=1.5, status="model")
                quantiles = {"q025": 0.0, "q10": 0.5, "q50": 1.0, "q90": 3.0, "q975": 4.0}
                checked.insert("forecast_intervals", **row, calibration_id=version, **quantiles)
            batch = {"batch_id": version, "digest": f"b{version}", "asset": "forecast_intervals", "origin_date": day}
            checked.insert("ledger_batches", **batch, part=model, code_version="1", inputs="{}", rows=14)
    for asset in ("forecasts", "forecast_intervals"):
        checked.log(asset, BEFORE, DAY)
    return checked


def _version(checked: CheckedShop, version: int, day: date, model: str) -> None:
    made = {"version_id": version, "digest": f"d{version}", "origin_date": day, "model": model, "horizon": 7}
    checked.insert("forecast_versions", **made, model_spec="m()", code_version="1", inputs="{}", series=2, live=True)


def test_a_series_that_one_model_lacks_is_told_and_one_that_all_lack_stops_what_follows(ledger: CheckedShop):
    assert ledger.look(forecasts_complete, BEFORE, DAY).passed
    ledger.behind_the_back("forecasts", "delete from forecasts where version_id = 4 and series_id = 1 and horizon > 3")
    found = ledger.look(forecasts_complete, BEFORE, DAY)
    assert (found.severity.value, found.description) == ("WARN", f"{DAY}: linear lacks 1 series (b at x)")
    ledger.behind_the_back("forecasts", "update forecasts set mean = 'Infinity' where version_id = 3 and series_id = 1")
    found = ledger.look(forecasts_complete, BEFORE, DAY)
    assert found.severity.value == "ERROR"
    assert str(found.description).endswith("; no model has a whole forecast of 1 of them")
    assert ledger.look(forecasts_complete, BEFORE, BEFORE).passed


def test_a_model_that_failed_last_is_named(ledger: CheckedShop):
    run = {"run_id": "r", "origin_date": DAY, "model": "linear", "appended": 0, "fallbacks": 0, "requested_by": "me"}
    ledger.insert("forecast_runs", **run, outcome="failed: singular", started_at=f"{DAY}T01:00:00Z")
    assert ledger.look(models_ran).description == f"linear from {DAY}: failed: singular"


def test_quantiles_are_whole_and_in_order(ledger: CheckedShop):
    assert ledger.look(quantiles_ordered, BEFORE, DAY).passed
    ledger.behind_the_back("forecast_intervals", "update forecast_intervals set q10 = 9 where version_id = 3")
    assert ledger.look(quantiles_ordered, BEFORE, DAY).description == (
        f"{DAY}: 14 rows with quantiles out of order, negative or infinite (as a at x);"
        f" {DAY}: forecasts of naive without whole quantiles: 2 series (as a at x)"
    )


@pytest.mark.parametrize(("horizon", "whole"), [(5, True), (7, True), (8, False)])
def test_forecasts_of_more_days_than_are_asked_for_today_are_whole(ledger: CheckedShop, horizon: int, whole: bool):
    """A tenant may shorten its horizon; what was forecast before is on record with the longer one."""
    ledger.settings = {"horizon": horizon}
    for check in (forecasts_complete, quantiles_ordered):
        assert ledger.look(check, BEFORE, DAY).passed == whole


def test_quantiles_of_a_later_calibration_count_with_those_that_it_left(ledger: CheckedShop):
    again = {"origin_date": DAY, "version_id": 3, "series_id": 0, "calibration_id": 9}
    quantiles = {"q025": 0.0, "q10": 0.5, "q50": 1.0, "q90": 3.0, "q975": 4.0}
    ledger.insert("forecast_intervals", **again, horizon=[2, 3], **quantiles)
    assert ledger.look(quantiles_ordered, BEFORE, DAY).passed
    ledger.behind_the_back("forecast_intervals", "delete from forecast_intervals where version_id = 3 and horizon = 6")
    assert not ledger.look(quantiles_ordered, BEFORE, DAY).passed


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("forecasts", "update forecasts set mean = 'NaN' where version_id = 4 and horizon = 2"),
        ("forecasts", "delete from forecasts where version_id = 4 and series_id = 0 and horizon = 7"),
        ("forecast_intervals", "update forecast_intervals set q90 = 0.1 where calibration_id = 4"),
    ],
)
def test_nothing_unfit_is_published_whether_a_check_ran_or_not(ledger: CheckedShop, table: str, change: str):
    def publish() -> None:
        with ledger.warehouse.reading() as session:
            chosen = choose_versions(session, DAY, ("linear", "naive"))
            require_fit(session, DAY, chosen, horizon=7)

    publish()
    ledger.behind_the_back(table, change)
    with pytest.raises(UnfitForecasts, match=f"series of origin {DAY} .* Nothing of it was published"):
        publish()


@pytest.mark.parametrize("at_once", [1, 10_000_000])
def test_what_was_appended_is_what_is_there(ledger: CheckedShop, monkeypatch: pytest.MonkeyPatch, at_once: int):
    """However many batches are read at once: ``1`` reads each alone."""
    monkeypatch.setattr(checks_ledger, "ROWS_AT_ONCE", at_once)

    def look(asset: str = "forecasts"):
        return ledger.look(lambda each: untouched(each, asset))

    assert look().passed and look("forecast_intervals").passed and verify_ledger(ledger.scope) == []
    ledger.behind_the_back("forecasts", "update forecasts set mean = 2.5 where version_id = 1 and horizon = 1")
    found = look()
    assert found.description == f"{BEFORE}: batch 1 has 14 rows of other content than were appended"
    ledger.behind_the_back("forecasts", "delete from forecasts where version_id = 2 and horizon = 1")
    assert f"{BEFORE}: batch 2 has 12 rows, appended were 14" in str(look().description)
    ledger.behind_the_back("forecast_intervals", "delete from forecast_intervals where calibration_id = 3")
    assert verify_ledger(ledger.scope)[-1] == f"forecast_intervals: {DAY}: batch 3 has 0 rows, appended were 14"


def test_past_origins_are_looked_at_in_turn(ledger: CheckedShop):
    ledger.settings = {"monitoring": {"verified_origins": 1}}
    verify_ledger(ledger.scope)
    ledger.behind_the_back("forecasts", "update forecasts set mean = 2.5 where version_id = 1 and horizon = 1")
    later = DAY + timedelta(days=1)
    passed = [ledger.look(lambda each: untouched(each, "forecasts"), later, later).passed for _ in range(4)]
    assert sorted(passed) == [False, False, True, True], "each of two origins is looked at every second time"


def test_what_was_archived_is_as_it_was_appended(ledger: CheckedShop, tmp_path):
    ledger.warehouse.archive = (tmp_path / "archive").as_uri()
    assert verify_ledger(ledger.scope) == []
    for table in (forecasts, forecast_intervals):
        for month in {BEFORE.replace(day=1), DAY.replace(day=1)}:
            archive_month(ledger.warehouse, table, month)
    assert verify_ledger(ledger.scope) == []
    with ledger.warehouse.reading() as session:
        session.recall([BEFORE, DAY])
        assert forecasts_complete(Look(ledger.scope, session, BEFORE, DAY)).passed
    (path,) = (tmp_path / "archive").rglob("forecasts/*.parquet")
    rows = pd.read_parquet(path)
    rows.to_parquet(path)
    assert verify_ledger(ledger.scope) == []
    rows.loc[0, "mean"] = 2.5
    rows.to_parquet(path)
    assert verify_ledger(ledger.scope) == [
        f"forecasts: {BEFORE}: batch 1 has 14 rows of other content than were appended"
    ]
