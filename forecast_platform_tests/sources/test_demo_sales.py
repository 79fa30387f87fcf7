"""The events of the demo: what they look like, and the stated shares of returns, late, corrected and bad rows."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast_platform.sources.demo_demand import demand
from forecast_platform.sources.demo_sales import HEADER
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.demo_shop import LOCATIONS, day_of, number, shop_of
from forecast_platform_tests.sources.demo_reading import FIRST, LAST, batches, is_bad, newest_states, rows

SEEDS = (7, 21)


@pytest.fixture(scope="module", params=SEEDS)
def settings(request) -> DemoSource:
    return DemoSource(seed=request.param)


@pytest.fixture(scope="module")
def sales(settings) -> pd.DataFrame:
    return rows("raw_sales", settings, FIRST, LAST)


@pytest.fixture(scope="module")
def sold(sales) -> pd.DataFrame:
    """The lines sold, as first told."""
    good = sales[~is_bad(sales) & ~sales["quantity"].str.startswith("-")]
    return good.sort_values("updated_at", kind="stable").drop_duplicates("event_id", keep="first")


def test_the_default_shop_has_its_stated_size(settings, sales, sold):
    assert 25_000 <= len(sales) <= 60_000
    assert 190 <= len(sold) / 200 <= 270
    assert sorted(sold["location"].unique()) == ["BER", "MUC"]
    assert len(
        sold.loc[sold["arrived"] > str(LAST - timedelta(days=28)), ["sku", "location"]].drop_duplicates()
    ) in range(105, 125)


def test_what_the_events_say_in_the_end_is_what_the_shop_sold(settings, sales):
    """Late, corrected and bad rows included: the newest states add up to the units played."""
    shop = shop_of(settings)
    settled = number(LAST) - 3
    played = demand(shop, number(FIRST), settled)
    expected = {
        (str(day_of(played.days[day])), *article(shop, played, day, series)): int(played.units[day, series])
        for day, series in zip(*np.nonzero(played.units), strict=True)
    }
    final = newest_states(sales)
    final = final[(final["units"] > 0) & final["day"].between(str(FIRST), str(day_of(settled)))]
    assert final.groupby(["day", "sku", "location"])["units"].sum().to_dict() == expected


def article(shop, played, day: int, series: int) -> tuple[str, str]:
    sku = shop.sku(int(shop.series_place[series]), int(played.generation[day, series]))
    return sku, LOCATIONS[shop.series_location[series]].code


def test_two_to_three_percent_of_the_lines_come_back_under_their_order(sales, sold):
    returns = sales[~is_bad(sales) & sales["quantity"].str.startswith("-")]
    assert 0.02 <= len(returns) / len(sold) <= 0.03
    assert returns["event_id"].is_unique
    assert (returns["on_promotion"] == "false").all()
    recent = returns[returns["arrived"] > str(FIRST + timedelta(days=7))]
    bought = recent.merge(sold, on=["order_id", "sku", "location", "unit_price"], suffixes=("", "_bought"))
    bought = bought[bought["event_id"] == bought["event_id_bought"] + "-R"]
    assert len(bought) == len(recent)
    delay = pd.to_datetime(bought["sold_at"].str[:10]) - pd.to_datetime(bought["sold_at_bought"].str[:10])
    assert set(delay.dt.days) == set(range(1, 8))
    assert (-bought["quantity"].astype(int) <= bought["quantity_bought"].astype(int)).all()


def test_a_few_lines_arrive_one_to_three_days_late(sold):
    delay = pd.to_datetime(sold["arrived"]) - pd.to_datetime(sold["sold_at"].str[:10])
    assert set(delay.dt.days) == {0, 1, 2, 3}
    assert 0.003 <= (delay.dt.days > 0).mean() <= 0.007


def test_a_few_events_are_corrected_by_a_newer_state(sales, sold):
    good = sales[~is_bad(sales)]
    told_twice = good[good.duplicated("event_id", keep=False)].sort_values(["event_id", "updated_at"])
    told_twice = told_twice[told_twice["sold_at"].str[:10] >= str(FIRST)]
    first, second = told_twice.iloc[::2], told_twice.iloc[1::2]
    assert first["event_id"].tolist() == second["event_id"].tolist()
    assert 0.001 <= len(first) / len(sold) <= 0.005
    assert (second["updated_at"].to_numpy() > first["updated_at"].to_numpy()).all()
    assert (second["arrived"].to_numpy() > first["arrived"].to_numpy()).all()
    assert (first["quantity"].astype(int).to_numpy() == 10 * second["quantity"].astype(int).to_numpy()).all()
    same = ["order_id", "sold_at", "sku", "location", "unit_price", "on_promotion"]
    assert first[same].to_numpy().tolist() == second[same].to_numpy().tolist()


def test_a_few_batches_have_one_bad_row_of_either_kind(sales):
    bad = sales[is_bad(sales)]
    assert 0.20 <= len(bad) / 200 <= 0.40
    assert bad["arrived"].is_unique
    assert (bad["sku"] == "").any()
    assert (bad["sku"] != "").any()
    assert not set(bad["event_id"]) & set(sales.loc[~is_bad(sales), "event_id"])
    share = len(bad) / len(sales)
    assert share < 0.002


def test_orders_have_one_place_and_time_and_often_several_lines(sold):
    by_order = sold.groupby("order_id")
    assert (by_order["location"].nunique() == 1).all()
    assert (by_order["sold_at"].nunique() == 1).all()
    assert 1.5 <= by_order.size().mean() <= 3.5


def test_events_are_within_opening_hours_and_carry_the_offset_of_their_day(sold):
    hours = sold["sold_at"].str[11:13].astype(int)
    assert (hours.min(), hours.max()) == (8, 19)
    offset = sold["sold_at"].str[19:]
    summer = sold["sold_at"].str[:10].between("2026-03-29", "2026-10-24")
    assert (offset == np.where(summer, "+02:00", "+01:00")).all()


@pytest.mark.parametrize("zone, day", [("America/New_York", date(2026, 3, 8)), ("Asia/Kathmandu", date(2026, 11, 1))])
def test_every_sale_of_a_batch_falls_on_its_day_in_any_time_zone(zone, day):
    content = batches("raw_sales", DemoSource(n_skus=20), day, day, timezone=zone)[f"sales-{day}.csv"].decode()
    sold_at = pd.Series([line.split(",")[2] for line in content.splitlines()[1:]])
    local = pd.to_datetime(sold_at, utc=True).dt.tz_convert(zone).dt.date
    assert (local.astype(str) == sold_at.str[:10]).all()
    assert (local == day).mean() > 0.9


def test_a_batch_has_a_header_and_only_plain_cells(settings):
    (content,) = batches("raw_sales", settings, LAST, LAST).values()
    lines = content.decode().splitlines()
    assert lines[0] == HEADER
    assert {line.count(",") for line in lines} == {HEADER.count(",")}
