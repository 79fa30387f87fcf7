"""Locations, categories and the total add up, whichever way they are made."""

from __future__ import annotations

import dataclasses
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast_platform.forecasting import Panel, SeriesIndex, model_specs
from forecast_platform.forecasting.hierarchy import (
    MOST_SERIES,
    NO_CATEGORY,
    nodes_of,
    reconciled,
    summed_panel,
)
from forecast_platform_tests.forecasting.demand import ordinary

MODEL = model_specs({"linear": "LagRegression()"})[-1]
HORIZON = 14


def index(locations: list[str], categories: list[str]) -> SeriesIndex:
    return SeriesIndex(
        series_id=np.arange(len(locations), dtype=np.int32),
        sku=np.array([f"s{row}" for row in range(len(locations))], dtype=object),
        location=np.array(locations, dtype=object),
        category=np.array(categories, dtype=object),
    )


@given(st.data())
def test_every_level_sums_to_the_total_and_each_node_to_its_series(data: st.DataObject):
    labels = data.draw(
        st.lists(st.tuples(st.sampled_from("ns"), st.sampled_from(["", "a", "b", "total"])), max_size=30)
    )
    series = index([location for location, _ in labels], [category for _, category in labels])
    mean = np.random.default_rng(len(labels)).gamma(0.5, 40.0, (len(labels), 5))
    nodes = nodes_of(series)
    sums = nodes.sums(mean)
    by_level = {level: sums[[each == level for each in nodes.level]].sum(axis=0) for level in nodes.level}
    assert set(by_level) == ({"location", "category", "total"} if labels else {"total"})
    for total in by_level.values():
        assert total == pytest.approx(mean.sum(axis=0), abs=1e-6)
    for level, name, row in zip(nodes.level, nodes.name, sums, strict=True):
        if level == "category":
            own = [category == ("" if name == NO_CATEGORY else name) for _, category in labels]
            assert row == pytest.approx(mean[own].sum(axis=0), abs=1e-6)
    assert (nodes.summing_matrix(len(labels)) @ mean)[: len(sums)] == pytest.approx(sums, abs=1e-6)


def panel(series: int = 12) -> Panel:
    names = index(["north", "south"] * (series // 2), ["", "a", "b"] * (series // 3))
    return Panel(origin=date(2026, 5, 31), series=names, y=ordinary(series))


def test_the_history_of_a_node_is_the_sum_of_what_was_seen_of_its_series():
    given_panel = panel()
    nodes = nodes_of(given_panel.series)
    above = summed_panel(given_panel, nodes)
    assert above.y[-1] == pytest.approx(np.nansum(given_panel.y, axis=0)) and not np.isnan(above.y[-1]).any()
    late = dataclasses.replace(given_panel, y=np.where(np.arange(120) < 60, np.nan, given_panel.y))
    assert np.isnan(summed_panel(late, nodes).y[:, :60]).all()


@pytest.mark.parametrize("method", ["ols", "mint_shrink"])
def test_reconciled_forecasts_add_up_and_are_those_of_the_formula(method: str):
    given_panel = panel()
    nodes = nodes_of(given_panel.series)
    mean = np.random.default_rng(2).gamma(2.0, 40.0, (12, HORIZON))
    found = reconciled(mean, given_panel, nodes, MODEL, method=method)
    assert found.shape == mean.shape and (found >= 0).all() and np.abs(found - mean).max() > 0.01
    sums = nodes.sums(found)
    for level in ("location", "category"):
        assert sums[[each == level for each in nodes.level]].sum(axis=0) == pytest.approx(sums[-1], abs=1e-6)
    again = reconciled(mean, given_panel, nodes, MODEL, method=method)
    assert again == pytest.approx(found, rel=1e-12)


def test_ordinary_least_squares_are_the_projection_of_all_forecasts():
    from forecast_platform.forecasting import forecast_origin

    given_panel = panel()
    nodes = nodes_of(given_panel.series)
    mean = 50.0 + np.random.default_rng(2).gamma(2.0, 40.0, (12, HORIZON))
    above = next(iter(forecast_origin(summed_panel(given_panel, nodes), [MODEL], horizon=HORIZON))).mean
    matrix = nodes.summing_matrix(12)
    solved, *_ = np.linalg.lstsq(matrix, np.concatenate([above, mean]), rcond=None)
    found = reconciled(mean, given_panel, nodes, MODEL, method="ols")
    assert found == pytest.approx(np.maximum(solved, 0.0), abs=1e-8)


def test_what_cannot_be_reconciled_says_so():
    big = panel(6)
    with pytest.raises(ValueError, match=r"4001 series cannot be reconciled by ols.*reconciliation: bottom_up"):
        reconciled(np.zeros((MOST_SERIES + 1, 2)), big, nodes_of(big.series), MODEL, method="ols")
    empty = index([], [])
    none = Panel(origin=date(2026, 5, 31), series=empty, y=np.empty((0, 60)))
    assert reconciled(np.empty((0, 3)), none, nodes_of(empty), MODEL, method="ols").shape == (0, 3)
