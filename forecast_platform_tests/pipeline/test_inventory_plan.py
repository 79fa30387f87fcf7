"""The inventory plan from facts to orders, in both warehouses: stock carried on, orders awaited, a sale of today."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.inventory_plan import to_do
from forecast_platform.inventory_report import exceptions_table, orders, planned_day, totals_table
from forecast_platform.runs import affected_steps, make_changed
from forecast_platform_tests.pipeline.content import assert_same, contents
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

HISTORY, DAYS = 42, 3
LAST = HISTORY + DAYS - 1
COUNTED = LAST - 4
QUICK_IN_DUCKDB = ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)]

COLUMNS = {
    "inventory_levels": ("snapshot_date", "sku", "location", "on_hand"),
    "items": ("valid_from", "sku", "location", "supplier", "unit_cost", "moq", "lead_time_days", "service_level"),
    "suppliers": ("valid_from", "supplier", "order_days", "transit_days", "transit_std_days", "review_period_days"),
    "open_orders": (
        "known_from",
        "order_id",
        "sku",
        "location",
        "quantity",
        "ordered_on",
        "expected_on",
        "received_on",
    ),
}


def facts(folder: Path) -> dict[str, dict]:
    """Sources of the facts: a folder each, columns by our names."""
    sources = {}
    for name, columns in COLUMNS.items():
        (folder / name).mkdir(parents=True)
        where = {"kind": "files", "url": str(folder / name), "pattern": "*.csv", "settle_seconds": 0}
        sources[name] = where | {"columns": {column: column for column in columns}}
    return sources


def tell(folder: Path, fact: str, *rows: tuple, name: str = "first") -> None:
    lines = [",".join(COLUMNS[fact]), *(",".join(map(str, row)) for row in rows)]
    (folder / fact / f"{name}.csv").write_text("\n".join(lines) + "\n")


@pytest.fixture
def stocked(new_shop: Callable[..., Shop], backend: str, tmp_path: Path) -> tuple[Shop, Path]:
    """A shop whose stock was counted four days before its last day."""
    folder = tmp_path / "facts"
    shop = new_shop(backend, facts=facts(folder), inventory={"count_lasts_days": 30, "dead_stock_days": 20})
    shop.put("history.csv", sales_lines(day(0), day(LAST)))
    counts = [(day(COUNTED), f"sku {n}", place, 30 + n) for n in range(4) for place in ("north", "south")]
    # Of one the shelf is empty, one was never sold, one has less than nothing, and of one nobody counts.
    counts[0] = (day(COUNTED), "sku 0", "north", 0)
    counts[4] = (day(COUNTED), "sku 2", "north", 12)
    counts = [*counts[:-1], (day(COUNTED), "warmer", "north", 7), (day(COUNTED), "sku 9", "south", -3)]
    counts += [(day(5), "warmer", "north", 7), (day(COUNTED), "newcomer", "north", 8)]
    # The day's own count is of its end: a count of the open day says nothing yet.
    counts += [(day(LAST + 1), "sku 2", "north", 500)]
    tell(folder, "inventory_levels", *counts)
    tell(
        folder,
        "items",
        (day(0), "sku 0", "all", "s", 2, 12, "", ""),
        (day(0), "sku 1", "all", "s", 3, 0, 0, 0.9),
        (day(0), "sku 2", "all", "s", 4, "", 2, 1),  # no service level: the row is left out
    )
    tell(folder, "suppliers", (day(0), "s", 1, 4, 1.5, 3))
    tell(
        folder,
        "open_orders",
        (day(1), "late", "sku 0", "north", 40, day(1), day(COUNTED), ""),
        (day(1), "came", "sku 1", "north", 25, day(1), day(COUNTED + 1), ""),
        (day(COUNTED + 1), "came", "sku 1", "north", 25, day(1), day(COUNTED + 1), day(COUNTED + 1)),
        (day(2), "cancelled", "sku 1", "south", 500, day(2), day(LAST + 3), ""),
        (day(3), "cancelled", "sku 1", "south", 0, day(2), day(LAST + 3), ""),
        (day(LAST), "much", "sku 3", "north", 10_000, day(LAST), day(LAST + 30), ""),
        (day(LAST), "far", "sku 2", "south", 9, day(LAST), "", ""),
    )
    return shop, folder


def made(shop: Shop, at: Callable) -> Shop:
    with at(day(LAST + 1)):
        shop.run_facts(day(0), day(LAST))
        shop.run(["forecasts", *shop.chain.accuracy], day(HISTORY), day(LAST))
    return shop


def plan_of(shop: Shop, of: date) -> pd.DataFrame:
    rows = shop.warehouse.read("select * from inventory_plan where as_of = :day", {"day": of})
    return rows.astype({"sku": str, "location": str}).set_index(["sku", "location"]).sort_index()


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_plan_has_a_row_for_everything_and_says_where_its_figures_are_from(stocked: tuple, at: Callable):
    shop, _ = stocked
    made(shop, at)
    plan, sold = plan_of(shop, day(LAST)), sold_since(shop, day(COUNTED), day(LAST))
    assert len(plan) == 8 + 3 and plan.index.is_unique

    # Counted 4 days ago: less what was sold since, and what was delivered since.
    assert set(plan["stock_known"]) == {"estimated", "unknown"}
    assert plan.loc[("sku 1", "north"), "on_hand"] == 31 - sold["sku 1", "north"] + 25
    assert plan.loc[("sku 1", "south"), "on_hand"] == 31 - sold["sku 1", "south"]
    assert plan.loc[("sku 0", "north"), "on_hand"] == -sold["sku 0", "north"] < 0

    # What is overdue is still awaited, what was cancelled is not, and 10,000 on their way are enough.
    assert (
        plan["on_order"].to_dict() | {("sku 0", "north"): 40.0, ("sku 3", "north"): 10_000.0}
        == plan["on_order"].to_dict()
    )
    assert plan.loc[("sku 1", "south"), "on_order"] == 0
    assert plan.loc[("sku 2", "south"), "on_order"] == 9
    assert plan.loc[("sku 3", "north"), "order_quantity"] == 0

    # Nobody counted sku 3 in the south: nothing is ordered blindly, and somebody is told.
    unknown = plan.loc[("sku 3", "south")]
    assert (unknown["status"], unknown["order_quantity"]) == ("stock unknown", 0.0)
    assert pd.isna(unknown["on_hand"]) and unknown["demand_protection"] > 0 and "counted" in unknown["reason"]
    warmer, owed = plan.loc[("warmer", "north")], plan.loc[("sku 9", "south")]
    assert (warmer["status"], warmer["order_quantity"], warmer["demand_daily"]) == ("dead stock", 0.0, 0.0)
    assert (warmer["days_unsold"], plan.loc[("newcomer", "north"), "status"]) == (20.0, "normal")
    assert pd.isna(warmer["model"]) and (owed["status"], owed["on_hand"]) == ("out of stock", -3.0)

    # Terms: the item's, the supplier's stages, the tenant's; a lead time of 0 is one.
    first, second = plan.loc[("sku 0", "north")], plan.loc[("sku 1", "north")]
    assert (first["lead_time_days"], first["lead_time_std_days"], first["review_period_days"]) == (5.0, 1.5, 3.0)
    assert json.loads(first["defaults"])["lead_time_days"] == "supplier"
    assert (second["lead_time_days"], second["demand_lead_time"]) == (0.0, 0.0)
    assert pd.Timestamp(second["expected_on"]).date() == day(LAST)
    assert json.loads(plan.loc[("sku 2", "north"), "defaults"])["service_level"] == "tenant"
    assert first["order_quantity"] == 0 or first["order_quantity"] >= 12

    # Demand is that of the published forecasts.
    published = shop.warehouse.read(
        "select sku, location, avg(mean) as mean from published_forecasts where origin_date = :day group by 1, 2",
        {"day": day(LAST)},
    ).set_index(["sku", "location"])["mean"]
    assert np.allclose(plan.loc[published.index, "demand_daily"], published)

    told = orders(shop.scope, day(LAST))
    due = plan[plan["action"].isin(["reorder now", "reorder"])]
    assert len(told) == len(due) > 0 and set(told["quantity"]) == set(due["order_quantity"])
    assert "stock unknown" not in exceptions_table(shop.scope, day(LAST), most=40)
    assert "count 1" in exceptions_table(shop.scope, day(LAST), most=40)
    assert day(LAST).isoformat() in totals_table(shop.scope, day(0), planned_day(shop.scope, None))

    # Each day alone gives what the range gave.
    before = contents(shop.warehouse, only={"inventory_plan"})
    with at(day(LAST + 1)):
        for each in range(HISTORY, LAST + 1):
            shop.run(["inventory_plan"], day(each), day(each))
    assert_same(before, contents(shop.warehouse, only={"inventory_plan"}))


def sold_since(shop: Shop, counted: date, last: date) -> dict[tuple[str, str], float]:
    rows = shop.warehouse.read(
        "select sku, location, sum(quantity) as units from raw_sales"
        " where sale_date > :counted and sale_date <= :last group by sku, location",
        {"counted": counted, "last": last},
    )
    return {(str(row.sku), str(row.location)): float(row.units) for row in rows.itertuples()}


@pytest.mark.parametrize("backend", QUICK_IN_DUCKDB)
def test_a_sale_of_today_moves_todays_plan_and_a_late_one_the_newest_as_well(stocked: tuple, at: Callable):
    shop, _ = stocked
    made(shop, at)
    today = day(LAST + 1)

    with at(today):
        shop.run(["inventory_levels", "raw_sales", "sales_rejects", "daily_sales", "inventory_plan"], today, today)
        before, closed = plan_of(shop, today), plan_of(shop, day(LAST))
        assert (before["on_hand"].dropna() == closed["on_hand"].dropna()).all()
        assert set(pd.to_datetime(before["origin_date"]).dt.date) == {day(LAST)}
        first = shop.warehouse.read(
            "select mean from published_forecasts where origin_date = :day and horizon = 1"
            " and sku = 'sku 2' and location = 'north'",
            {"day": day(LAST)},
        )["mean"].item()

        # A sale that was expected changes what is there; one that was not, what is to come.
        lines = [f"t1,{today},sku 2,north,1,1.00,t1"]
        shop.put("today.csv", lines)
        shop.run(["raw_sales", "sales_rejects", "daily_sales", "inventory_plan"], today, today)
        after = plan_of(shop, today)
        moved = after.loc[("sku 2", "north")]
        assert moved["on_hand"] == before.loc[("sku 2", "north"), "on_hand"] - 1
        left = before.loc[("sku 2", "north"), "demand_daily"] - moved["demand_daily"]
        assert left == pytest.approx(min(1.0, first) / (shop.tenant.horizon - 1))
        others = [name for name in after.index if name != ("sku 2", "north")]
        pd.testing.assert_frame_equal(after.loc[others], before.loc[others])

        # A late sale of a closed day: its plan is not touched, those of the newest closed and of the open day are.
        untouched = plan_of(shop, day(LAST - 1))
        shop.put("late.csv", [f"l1,{day(LAST - 1)},sku 1,south,4,1.00,l1"])
        make_changed(shop.scope, [day(LAST - 1)], lambda step: shop.run(step.assets, step.first, step.last))
        pd.testing.assert_frame_equal(untouched, plan_of(shop, day(LAST - 1)))
        for each, was in ((day(LAST), closed), (today, after)):
            name = ("sku 1", "south")
            assert plan_of(shop, each).loc[name, "on_hand"] == was.loc[name, "on_hand"] - 4

        # New terms, stock or orders make again what is ordered by them, and no forecast.
        steps = affected_steps(shop.scope, [], [], day(LAST), restocked=True)
        assert {asset for step in steps for asset in step.assets} == {
            *("inventory_plan", "inventory_simulation", "daily_report", "serving"),
        }
        assert {(step.first, step.last) for step in steps if "inventory_plan" in step.assets} == {(day(LAST), today)}


@pytest.mark.slow
def test_what_a_count_says_is_on_order_is_awaited_where_no_orders_are_told(
    new_shop: Callable[..., Shop], at: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    counted = {"inventory_levels": ("snapshot_date", "sku", "location", "on_hand", "on_order")}
    monkeypatch.setattr(sys.modules[__name__], "COLUMNS", counted)
    folder = tmp_path / "facts"
    shop = new_shop("duckdb", facts=facts(folder))
    shop.put("history.csv", sales_lines(day(0), day(30)))
    hostile = (day(30), "=1+1|x", "<b>", -2.5, 1)
    tell(folder, "inventory_levels", (day(28), "sku 1", "north", 3, 40), (day(28), "sku 2", "north", 3, ""), hostile)
    with at(day(31)):
        shop.run_facts(day(0), day(30))
        shop.run(["forecasts", *shop.chain.accuracy], day(29), day(30))
    plan = plan_of(shop, day(30))
    assert plan.loc[("sku 1", "north"), ["on_order", "order_quantity"]].tolist() == [40.0, 0.0]
    assert plan.loc[("sku 2", "north"), "order_quantity"] > 0
    awkward = plan.loc[("=1+1|x", "<b>")]
    assert (awkward["on_hand"], awkward["on_order"], awkward["status"]) == (-2.5, 1.0, "out of stock")
    # Nobody told of a supplier, an item or a price.
    assert set(json.loads(awkward["defaults"]).values()) == {"tenant"} and plan["unit_cost"].isna().all()
    assert "<b>" not in to_do(plan.reset_index()) and "=1+1\\|x" in to_do(plan.reset_index().assign(action="reorder"))


def test_a_tenant_without_stock_has_no_plan_and_says_what_is_missing(new_shop: Callable[..., Shop]):
    from forecast_platform.arguments import CommandLineError

    shop = new_shop("duckdb")
    assert "inventory_plan" not in shop.chain.all
    keys = {key.path[-1] for key in shop.definitions.resolve_asset_graph().get_all_asset_keys()}
    assert not {"inventory_totals", "inventory_exceptions"} & keys
    with pytest.raises(CommandLineError, match=r"facts\.inventory_levels"):
        planned_day(shop.scope, None)
