"""The sum of machines and money, worked by hand."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from click.testing import CliRunner

from forecast_platform.pipeline import PROJECT

_spec = importlib.util.spec_from_file_location("capacity", PROJECT / "deploy" / "capacity.py")
sums = importlib.util.module_from_spec(_spec)
sys.modules["capacity"] = sums  # dataclasses look their module up
_spec.loader.exec_module(sums)

SMALL = {
    "series": 1_000_000,
    "models": 2,
    "horizon": 10,
    "shard_series": 100_000,
    "run_cpu_seconds": 36,
    "day_cpu_seconds_per_1000": 3.6,
    "forecast_cpu_seconds_per_1000": 0.99,
    "shard_memory_gb": 30,
    "hot_bytes_per_row": 50,
    "cold_bytes_per_row": 10,
    "rows_per_second": 10_000,
    "hot_days": 10,
    "kept_days": 110,
    "window_hours": 0.5,
    "utilisation": 0.5,
    "machine_vcpus": 4,
    "machine_memory_gb": 64,
    "price_vcpu_hour": 0.1,
    "price_hot_gb_month": 0.2,
    "price_cold_gb_month": 0.05,
}


def test_the_sum_is_as_worked_by_hand():
    got = sums.capacity(**SMALL)
    # 10 shards of 36 s and 1000 thousands of 3.6 s are 3960 s: 1.1 h, 2.2 cores in half an hour, twice that when half
    # of what is bought is at work.
    assert got.shards == 10
    assert got.cpu_hours == pytest.approx(1.1)
    assert got.cores == 5
    assert got.share_of_runs == pytest.approx(360 / 3960)
    assert got.share_of_forecasts == pytest.approx(990 / 3960)
    # Five runs at once of 30 GB are 150 GB: three machines of 64, though two have cores enough.
    assert (got.machines_for_cores, got.machines_for_memory, got.machines) == (2, 3, 3)
    # 20 million forecasts, and as many errors.
    assert got.ledger_rows == 20_000_000
    assert got.hot_gb_per_day == pytest.approx(2.0)
    assert got.hot_gb == pytest.approx(20.0)
    assert got.cold_gb == pytest.approx(40e6 * 10 * 100 / 1e9)
    # 40 million rows in 1800 s, 10,000 a second each.
    assert got.database_servers == 3
    assert got.runs_per_minute == pytest.approx(10 / 30)
    # 3 machines of 4 cores, half an hour, 30 days.
    assert got.price_compute_month == pytest.approx(18.0)
    assert got.price_hot_month == pytest.approx(4.0)
    assert got.price_cold_month == pytest.approx(2.0)
    assert got.price_month == got.price_per_million_series_month == pytest.approx(24.0)


def test_a_heavier_model_costs_its_own_seconds_and_nothing_else():
    light, heavy = sums.capacity(**SMALL), sums.capacity(**SMALL, model_cpu_seconds_per_1000=40)
    assert heavy.cpu_hours - light.cpu_hours == pytest.approx(40_000 / 3600)
    assert heavy.share_of_forecasts == pytest.approx(40_990 / 43_960)
    assert heavy.hot_gb == light.hot_gb


@pytest.mark.parametrize(("name", "value"), [("series", 0), ("window_hours", -1), ("serie", 1)])
def test_an_input_that_cannot_be_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        sums.capacity(**{name: value})


def test_the_command_tells_every_input_with_where_it_comes_from():
    shown = CliRunner().invoke(sums.main, ["--series", "30490"]).output
    for name, each in sums.INPUTS.items():
        assert name in shown and each.origin in shown
    assert "shards                                         1" in shown
    assert "horizon is 0; it must be above 0" in CliRunner().invoke(sums.main, ["--horizon", "0"]).output


def test_what_is_called_measured_names_a_benchmark_that_there_is():
    for each in sums.INPUTS.values():
        if each.origin.startswith("measured: "):
            module = each.origin.split()[3]
            assert importlib.util.find_spec(module) is not None, module


def test_the_plan_holds_the_sum_that_the_script_gives():
    plan = (PROJECT / "deploy" / "README.md").read_text()
    light, heavy = sums.capacity(), sums.capacity(model_cpu_seconds_per_1000=40)
    assert sums.table(light) in plan
    assert f"the cores are {heavy.cores} in place of {light.cores}" in plan
    assert f"forecasting is {heavy.share_of_forecasts:.0%} of the CPU" in plan
