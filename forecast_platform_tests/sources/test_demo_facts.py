"""The demo's facts beside sales agree with each other and with what is sold."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from forecast_platform import tables
from forecast_platform.sources.demo import FACTS, open_demo
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform_tests.sources.demo_reading import BERLIN, FIRST, LAST, newest_states, rows

OPENS = date(2026, 3, 4)
SETTINGS = DemoSource(seed=7, opens=OPENS)


@pytest.fixture(scope="module")
def facts() -> dict[str, pd.DataFrame]:
    return {asset: rows(asset, SETTINGS, OPENS, LAST) for asset in FACTS}


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    sales = newest_states(rows("raw_sales", SETTINGS, OPENS, LAST))
    return sales[sales["units"] > 0]


@pytest.mark.parametrize("asset", FACTS)
def test_each_fact_has_the_columns_of_its_table_and_one_row_a_key(asset, facts):
    table = tables.metadata.tables[asset]
    mapped = open_demo(asset, SETTINGS, timezone=BERLIN).rows.mapped()
    assert set(facts[asset].columns) - {"arrived"} == set(table.columns.keys()) == set(mapped)
    assert not facts[asset].duplicated(list(table.info["key"])).any()
    assert (facts[asset][table.info["partition"]] == facts[asset]["arrived"]).all()


def test_every_sold_article_is_in_the_catalogue_before_its_first_sale(facts, events):
    listed = facts["items"].groupby("sku")["valid_from"].min()
    first_sale = events.groupby("sku")["day"].min()
    assert set(first_sale.index) <= set(listed.index)
    assert (listed[first_sale.index] <= first_sale).all()


def test_the_opening_day_publishes_everything(facts):
    for asset, count in (("items", 60), ("locations", 2), ("suppliers", 4)):
        assert (facts[asset]["arrived"] == str(OPENS)).sum() >= count
    planned = facts["plan"][facts["plan"]["known_from"] == str(OPENS)]
    assert planned["target_date"].min() <= str(OPENS + timedelta(days=7))
    assert planned["target_date"].min() >= str(OPENS)


def test_the_catalogue_is_published_whole_on_mondays(facts):
    sizes = facts["items"].groupby("arrived").size()
    mondays = [day for day in sizes.index if date.fromisoformat(day).weekday() == 0]
    assert len(mondays) == 37
    assert sizes[mondays].min() >= 60
    assert sizes.drop([*mondays, str(OPENS)]).max() <= 6


def test_items_have_a_supplier_a_category_and_sensible_ordering_terms(facts):
    items = facts["items"]
    assert set(items["supplier"]) == set(facts["suppliers"]["supplier"])
    assert items["category"].nunique() == 5
    assert (items["location"] == "all").all()
    assert items["service_level"].astype(float).between(0.5, 1, inclusive="neither").all()
    assert (items["moq"].astype(int) % items["order_multiple"].astype(int) == 0).all()
    assert (items["unit_cost"].astype(float) > 0).all()
    assert 0.2 < (items["lead_time_days"] == "").mean() < 0.3


def test_discontinued_articles_end_and_others_take_their_place_14_days_later(facts, events):
    items = facts["items"]
    ended = items[items["active"] == "false"].groupby("sku")["valid_from"].min()
    ended = ended[ended > str(OPENS + timedelta(days=60))]
    assert len(ended) >= 3
    sold = events.groupby("sku")["day"].agg(["min", "max"])
    for sku, day in ended.items():
        place, generation = sku.rsplit("-", 1)
        successor = f"{place}-{int(generation) + 1}"
        assert sold.loc[sku, "max"] < day
        start = str(date.fromisoformat(day) + timedelta(days=14))
        if start < str(LAST - timedelta(days=7)):
            assert sold.loc[successor, "min"] >= start


def test_promotions_are_in_the_plan_14_to_35_days_ahead_and_some_are_changed(facts, events):
    plan = facts["plan"].assign(ahead=ahead(facts["plan"]))
    settled = plan[plan["target_date"] > str(OPENS + timedelta(days=49))]
    announced, changed = settled[settled["on_promotion"] == "true"], settled[settled["on_promotion"] == "false"]
    assert (announced["ahead"] >= 14).all()
    assert announced["ahead"].max() <= 35 + 9
    assert changed["ahead"].between(3, 10 + 9).all()
    days = ["target_date", "sku", "location"]
    assert set(map(tuple, changed[days].to_numpy())) < set(map(tuple, announced[days].to_numpy()))
    assert 0.03 <= len(changed) / len(announced) <= 0.25


def ahead(plan: pd.DataFrame) -> pd.Series:
    return (pd.to_datetime(plan["target_date"]) - pd.to_datetime(plan["known_from"])).dt.days


def test_sales_on_promotion_are_those_of_the_newest_plan_at_the_planned_price(facts, events):
    plan = facts["plan"].sort_values("known_from")
    newest = plan.drop_duplicates(["target_date", "sku", "location"], keep="last")
    joined = events.merge(
        newest, left_on=["day", "sku", "location"], right_on=["target_date", "sku", "location"], how="left"
    )
    assert (joined["on_promotion_x"] == joined["on_promotion_y"].fillna("false")).all()
    planned = joined.dropna(subset=["price"])
    assert (planned["unit_price"] == planned["price"]).all()
    assert (planned["on_promotion_x"] == "false").any()


def test_promotion_prices_are_15_to_25_percent_off(facts, events):
    prices = events.assign(price=events["unit_price"].astype(float), week=events["day"].str[:7])
    mean = prices.groupby(["sku", "week", "on_promotion"])["price"].mean().unstack().dropna()
    assert len(mean) > 50
    ratio = mean["true"] / mean["false"]
    assert ratio.median() == pytest.approx(0.8, abs=0.03)
    assert ratio.between(0.65, 0.97).all()


def test_regular_prices_change_seldom_and_by_at_most_14_percent(events):
    regular = events[events["on_promotion"] == "false"].sort_values("day")
    prices = regular.groupby("sku")["unit_price"].agg(lambda each: list(dict.fromkeys(each)))
    assert prices.str.len().between(1, 4).all()
    assert (prices.str.len() > 1).mean() > 0.5
    steps = [float(b) / float(a) for each in prices for a, b in pairwise(each)]
    assert min(steps) >= 0.86
    assert max(steps) <= 1.16


def test_nothing_is_sold_on_days_that_end_with_an_empty_shelf(facts, events):
    stock = facts["inventory_levels"]
    empty = stock[stock["on_hand"] == "0"]
    assert 0.01 <= len(empty) / len(stock) <= 0.04
    sold = set(zip(events["day"], events["sku"], events["location"], strict=True))
    assert not sold & set(zip(empty["snapshot_date"], empty["sku"], empty["location"], strict=True))
    assert (empty["on_order"].astype(int) > 0).all()


def test_stock_is_counted_every_day_for_every_series_on_sale(facts, events):
    stock = facts["inventory_levels"]
    counted = set(zip(stock["snapshot_date"], stock["sku"], stock["location"], strict=True))
    assert set(zip(events["day"], events["sku"], events["location"], strict=True)) <= counted
    assert stock["snapshot_date"].nunique() == (LAST - OPENS).days + 1
    assert (stock["on_hand"].astype(int) >= 0).all()


def test_stock_dwindles_before_it_runs_out(facts):
    stock = facts["inventory_levels"].assign(on_hand=lambda f: f["on_hand"].astype(float))
    levels = stock.pivot_table(index="snapshot_date", columns=["sku", "location"], values="on_hand").to_numpy()
    out = (levels[2:] == 0) & (levels[1:-1] > 0)
    usual = np.nanmean(levels, axis=0)
    before = (levels[1:-1] / usual)[out]
    assert len(before) > 50
    assert np.median(before) < 0.35


def test_a_shop_without_an_opening_day_publishes_on_mondays_only_and_plans_all_the_same():
    settings = DemoSource(seed=7)
    plan = rows("plan", settings, FIRST, LAST)
    assert (ahead(plan) >= 3).all()
    locations = rows("locations", settings, FIRST, LAST)
    assert {date.fromisoformat(day).weekday() for day in locations["arrived"]} == {0}


def test_orders_are_placed_a_lead_time_ahead_come_when_the_shelf_is_empty_no_more_and_add_up_to_the_stock_on_order(
    facts,
):
    lines = facts["open_orders"].sort_values("known_from", kind="stable")
    key = ["order_id", "sku", "location"]
    placed, received = (lines[lines["received_on"].ne("") == came].set_index(key) for came in (False, True))
    assert len(placed) > len(received) > 1_000
    assert received.index.isin(placed.index).all()
    late = pd.to_datetime(received["received_on"]) - pd.to_datetime(received["expected_on"])
    assert late.dt.days.between(0, 5).all() and (late.dt.days > 0).mean() < 0.1
    # From the opening day on, orders are placed one by one.
    usual = placed[placed["ordered_on"] > str(OPENS)]
    ahead = (pd.to_datetime(usual["expected_on"]) - pd.to_datetime(usual["ordered_on"])).dt.days
    lead = (
        facts["items"]
        .drop_duplicates("sku")
        .set_index("sku")["lead_time_days"]
        .reindex(usual.index.get_level_values(1))
    )
    told = lead.ne("").to_numpy()
    assert (ahead.to_numpy()[told] == np.maximum(lead[told].astype(int), 7)).all()

    stock = facts["inventory_levels"]
    forever = ~stock["sku"].str.contains(r"-\d+-", regex=True)
    for day in (OPENS, OPENS + timedelta(days=40), LAST):
        known = lines[lines["known_from"] <= str(day)].drop_duplicates(key, keep="last")
        pending = (
            known[known["received_on"] == ""].astype({"quantity": int}).groupby(["sku", "location"])["quantity"].sum()
        )
        counted = (
            stock[forever & (stock["snapshot_date"] == str(day))].set_index(["sku", "location"])["on_order"].astype(int)
        )
        assert (pending.reindex(counted.index).fillna(0) == counted).all()
