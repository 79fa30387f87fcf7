"""A run over the days that a correction touches leaves what a recomputation from all facts would give."""

from __future__ import annotations

from collections import Counter
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from forecast_platform.io_managers.warehouse import Warehouse
from forecast_platform_tests.dbt import recomputation
from forecast_platform_tests.dbt.shop import (
    MODELS,
    SERIES,
    Dbt,
    Event,
    Version,
    contents,
    day,
    open_shop,
    put_events,
    put_stock,
    rows,
)

QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]
Stock = dict[tuple[date, int], Decimal]

sales = st.builds(
    Event,
    event_id=st.uuids().map(str),
    day=st.integers(0, 15).map(day),
    series_id=st.sampled_from(list(SERIES)),
    quantity=st.sampled_from(["1", "2", "3.5", "0.0001", "-1", "-4", "1000000"]).map(Decimal),
    unit_price=st.sampled_from([None, Decimal("2.50"), Decimal("0.333333"), Decimal("1999.99")]),
    on_promotion=st.sampled_from([None, True, False]),
    order_id=st.sampled_from([None, "o1", "o2"]),
)
voids = st.one_of(
    st.tuples(st.just("event"), st.integers(0, 30)),
    st.tuples(st.just("day"), st.integers(0, 15)),
    st.tuples(st.just("series"), st.sampled_from(list(SERIES))),
)
batches = st.lists(st.tuples(st.lists(sales, max_size=12), st.lists(voids, max_size=2)), min_size=1, max_size=3)
stocks = st.dictionaries(
    st.tuples(st.integers(0, 15).map(day), st.sampled_from(list(SERIES))),
    st.sampled_from([Decimal(0), Decimal(-1), Decimal(5)]),
    max_size=6,
)


def without(events: list[Event], void: tuple[str, int]) -> list[Event]:
    """``events`` without one of them, a day or a series."""
    kind, which = void
    if kind == "event":
        return [event for number, event in enumerate(events) if number != which]
    return [event for event in events if (event.day != day(which) if kind == "day" else event.series_id != which)]


def check(warehouse: Warehouse, events: list[Event], stock: Stock, versions: list[Version]) -> None:
    """Compare the four tables with the recomputation: exact columns exactly, floats to 1e-9."""
    expected = recomputation.daily_sales(events, stock)
    names = ["units", "units_sold", "units_returned", "revenue", "orders", "avg_price", "on_promotion", "in_stock"]
    found = rows(warehouse, f"select sale_date, series_id, sku, location, {', '.join(names)} from daily_sales")
    assert len(found) == len(expected)
    for sale_date, series_id, sku, location, *values in found:
        assert (sku, location) == SERIES[series_id]
        assert dict(zip(names, values, strict=True)) == expected[sale_date, series_id]

    scales = recomputation.series_scales(expected)
    found = rows(warehouse, "select as_of, series_id, scale_abs, scale_sq from series_scales")
    assert {row[:2]: row[2:] for row in found} == scales and len(found) == len(scales)

    errors = recomputation.forecast_errors(versions, expected)
    columns = [
        "target_date",
        "version_id",
        "series_id",
        "origin_date",
        "horizon",
        "forecast",
        "actual",
        "error",
        "in_stock",
    ]
    found = rows(warehouse, f"select {', '.join(columns)} from forecast_errors")
    assert found == sorted(errors[columns].itertuples(index=False, name=None), key=repr)

    assert_sums(warehouse, recomputation.counted(errors, scales))


def assert_sums(warehouse: Warehouse, errors: Any) -> None:
    keys = ["target_date", "series_id", "model", "horizon_bucket"]
    expected = {}
    for key, group in errors.groupby(keys):
        bare = (group["error"].sum(), group["error"].abs().sum(), (group["error"] ** 2).sum(), group["actual"].sum())
        ratios = (group["ape"].count(), group["ape"].sum())
        scaled = (group["scaled_sq"].count(), group["scaled_abs"].sum(), group["scaled_sq"].sum())
        expected[key] = (len(group), *bare, *ratios, *scaled, (~group["in_stock"]).sum())
    names = "n sum_error sum_abs_error sum_sq_error sum_actual n_positive sum_ape_positive n_scaled sum_scaled_abs"
    query = f"select {', '.join(keys)}, {', '.join(names.split())}, sum_scaled_sq, n_out_of_stock from error_sums"
    found = {row[:4]: row[4:] for row in rows(warehouse, query)}
    assert found.keys() == expected.keys()
    for key, values in found.items():
        np.testing.assert_allclose(
            np.array(values, dtype=float), np.array(expected[key], dtype=float), rtol=1e-9, atol=1e-9
        )


def any_corrections_end_as_a_recomputation(
    warehouse: Warehouse, dbt: Dbt, versions: list[Version], examples: int
) -> None:
    open_shop(warehouse, versions=versions)
    dbt.build(0, 15, "tag:staging", *MODELS)
    held: list[Event] = []

    # No shrinking: an example goes on from the tables of the one before, and each takes seconds.
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(batches, stocks)
    def corrections(changes: list[tuple[list[Event], list[tuple[str, int]]]], stock: Stock) -> None:
        nonlocal held
        put_stock(warehouse, stock)
        for number, (arrived, voided) in enumerate(changes):
            before, held = held, held + arrived
            for void in voided:
                held = without(held, void)
            put_events(warehouse, held)
            gone, new = Counter(before) - Counter(held), Counter(held) - Counter(before)
            touched = {event.day for event in gone + new}
            # The first batch comes with new stock levels of any day; later ones touch nothing before their own days.
            first = 0 if number == 0 else (min(touched, default=day(15)) - day(0)).days
            dbt.build(first, 15, *MODELS)
        check(warehouse, held, stock, versions)

    corrections()


def test_any_corrections_end_as_a_recomputation(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> None:
    any_corrections_end_as_a_recomputation(warehouse, dbt, versions, examples=2)


@pytest.mark.slow
def test_many_corrections_end_as_a_recomputation(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> None:
    any_corrections_end_as_a_recomputation(warehouse, dbt, versions, examples=30)


@pytest.mark.parametrize("warehouse_url", QUICK_IN_DUCKDB, indirect=True)
def test_voids_leave_no_stale_row(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> None:
    open_shop(warehouse, versions=versions)
    apple = [Event(f"a{n}", day(n), 1, Decimal(2), Decimal(3)) for n in (3, 5)]
    others = [Event(f"s{n}", day(n), 2, Decimal(1)) for n in (0, 5, 6)]
    put_events(warehouse, [*apple, *others])
    dbt.build(0, 15, "tag:staging", *MODELS)
    check(warehouse, [*apple, *others], {}, versions)

    # A line is voided to zero: the row stays, as a zero, for as long as an earlier sale keeps the series in.
    returned = Event("r", day(5), 1, Decimal(-2), Decimal(3))
    put_events(warehouse, [*apple, returned, *others])
    dbt.build(5, 5, *MODELS)
    assert rows(
        warehouse, "select units, revenue from daily_sales where sale_date = :d and series_id = 1", {"d": day(5)}
    ) == [(Decimal(0), Decimal(0))]

    # A whole SKU is voided: no row of it is left on any day that its sales reached.
    put_events(warehouse, others)
    dbt.build(3, 15, *MODELS)
    assert rows(warehouse, "select count(*) from daily_sales where series_id = 1") == [(0,)]
    check(warehouse, others, {}, versions)

    # Every sale of the shop is voided: the days are on record with no rows.
    put_events(warehouse, [])
    dbt.build(0, 15, *MODELS)
    assert rows(warehouse, "select count(*) from daily_sales") == [(0,)]
    assert rows(warehouse, "select distinct rows from partition_log where asset = 'daily_sales'") == [(0,)]
    assert rows(warehouse, "select count(*) from partition_log where asset = 'daily_sales'") == [(16,)]
    check(warehouse, [], {}, versions)


def a_month(seed: int = 3) -> list[Event]:
    """Events of all series over the calendar."""
    random = np.random.default_rng(seed)
    return [
        Event(
            f"e{number}",
            day(int(random.integers(0, 16))),
            int(random.integers(1, 5)),
            Decimal(int(random.integers(-2, 8))),
            Decimal(int(random.integers(1, 400))) / 100,
            bool(random.random() < 0.3),
            f"o{number % 7}",
        )
        for number in range(60)
    ]


@pytest.mark.slow
def test_a_range_equals_single_days_in_any_order_and_itself_again(
    warehouse: Warehouse, dbt: Dbt, versions: list[Version]
) -> None:
    open_shop(warehouse, versions=versions)
    put_events(warehouse, a_month())
    dbt.build(0, 15)
    once = contents(warehouse)
    assert all(once.values())
    for first, last in ((0, 15), (9, 9), (4, 4), (12, 13)):
        dbt.build(first, last, "config.materialized:incremental")
        assert contents(warehouse) == once


@pytest.mark.slow
def test_single_days_from_empty_equal_a_range(warehouse: Warehouse, dbt: Dbt, versions: list[Version]) -> None:
    open_shop(warehouse, versions=versions)
    put_events(warehouse, a_month())
    dbt.build(0, 0)
    for number in range(1, 16):
        dbt.build(number, number, "config.materialized:incremental")
    singles = contents(warehouse)
    dbt.build(0, 15)
    assert contents(warehouse) == singles
