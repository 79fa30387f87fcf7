"""Features of a day look back in days, see nothing later, and do not depend on how they were asked for."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Boolean, Date, Double, Integer, SmallInteger

from forecast_platform import tables
from forecast_platform.features import LOOK_BACK_DAYS, FeatureError, HolidayCalendar, build_features
from forecast_platform.features.build import READ_FROM, REQUIRED

TEXT = pd.ArrowDtype(pa.string())
UNITS = pd.ArrowDtype(pa.decimal128(18, 4))
DTYPES = {Date: "datetime64[ns]", Integer: "int32", SmallInteger: "int16", Double: "float64", Boolean: "bool"}
FIRST = date(2026, 3, 1)


def daily_frame(rows):
    """``(day, series_id, sku, location, units, price)`` as daily sales."""
    frame = pd.DataFrame(rows, columns=["sale_date", "series_id", "sku", "location", "units", "avg_price"])
    return frame.assign(
        sale_date=pd.to_datetime(frame["sale_date"]).astype("datetime64[ns]"),
        series_id=frame["series_id"].astype("int32"),
        sku=frame["sku"].astype(TEXT),
        location=frame["location"].astype(TEXT),
        units=pd.array([Decimal(str(u)) for u in frame["units"]], dtype=UNITS),
        avg_price=frame["avg_price"].astype(float),
        on_promotion=[bool(int(u) % 3 == 0) for u in frame["units"]],
        in_stock=[bool(int(u) % 5) for u in frame["units"]],
    )


def steady(days=60, *, series_id=1, sku="a", location="all", first=FIRST, units=lambda n: n + 1, price=2.0):
    return [(first + timedelta(days=n), series_id, sku, location, units(n), price) for n in range(days)]


@pytest.fixture(scope="module")
def shop():
    """Four series with gaps, late starts and unknown prices, in no order."""
    generator = np.random.default_rng(7)
    rows = []
    names = [(9, "é 1", "south"), (3, "a", "north"), (5, "a", "south"), (1, "B", "all")]
    for place, (series_id, sku, location) in enumerate(names):
        for n in range(8 * place, 75):
            if generator.random() > 0.15:
                price = np.nan if generator.random() < 0.3 else round(float(generator.uniform(1, 9)), 2)
                units = round(float(generator.gamma(0.7, 4)), 4)
                rows.append((FIRST + timedelta(days=n), series_id, sku, location, units, price))
    return daily_frame(rows).sample(frac=1, random_state=1)


def build(daily, first=30, last=74, **options):
    return build_features(daily, first=FIRST + timedelta(days=first), last=FIRST + timedelta(days=last), **options)


def test_look_backs_of_a_steady_series_are_as_worked_by_hand():
    row = build(daily_frame(steady()), 40, 40).iloc[0]
    assert row["units"] == 41
    assert [row[f"lag_{n}"] for n in (1, 7, 14, 28)] == [40, 34, 27, 13]
    assert row["rolling_mean_7"] == 37.0
    assert row["rolling_mean_28"] == 26.5
    assert row["trend_index"] == pytest.approx(6 / 7)


def test_a_lag_counts_days_and_not_rows():
    rows = [r for r in steady() if r[0] != FIRST + timedelta(days=39)]
    row = build(daily_frame(rows), 40, 40).iloc[0]
    assert row["lag_1"] == 0.0
    assert row["rolling_mean_7"] == (34 + 35 + 36 + 37 + 38 + 39) / 7


def test_before_its_first_row_a_series_counts_as_zero_and_has_no_row():
    features = build(daily_frame(steady(10, first=FIRST + timedelta(days=35))), 30, 36)
    assert features["sale_date"].dt.date.tolist() == [FIRST + timedelta(days=35), FIRST + timedelta(days=36)]
    assert features["rolling_mean_7"].tolist() == [0.0, 1 / 7]


def test_every_value_equals_a_plain_loop_over_the_rows(shop):
    known = {(r.series_id, r.sale_date): r for r in shop.itertuples()}
    for row in build(shop).itertuples():
        back = [known.get((row.series_id, row.sale_date - pd.Timedelta(days=n))) for n in range(1, LOOK_BACK_DAYS + 1)]
        units = [0.0 if r is None else float(r.units) for r in back]
        prices = [r.avg_price for r in back if r is not None and not np.isnan(r.avg_price)]
        now = known[row.series_id, row.sale_date]
        assert (row.lag_1, row.lag_7, row.lag_14, row.lag_28) == (units[0], units[6], units[13], units[27])
        assert row.rolling_mean_7 == sum(units[:7]) / 7
        assert row.rolling_mean_28 == sum(units) / 28
        assert row.trend_index == (units[0] - units[6]) / 7
        ratio = 1.0 if np.isnan(now.avg_price) or not prices else now.avg_price / (sum(prices) / len(prices))
        assert row.price_ratio == ratio
        assert (row.on_promotion, row.in_stock) == (now.on_promotion, now.in_stock)
        assert (row.day_of_week, row.month) == (row.sale_date.dayofweek, row.sale_date.month)


def test_a_range_equals_single_days_to_the_bit(shop):
    single = pd.concat([build(shop, n, n) for n in range(30, 75)], ignore_index=True)
    pd.testing.assert_frame_equal(build(shop), single, check_exact=True)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1))
def test_row_order_and_ids_do_not_matter(shop, seed):
    generator = np.random.default_rng(seed)
    ids = dict(zip([9, 3, 5, 1], generator.permutation(1000)[:4].tolist(), strict=True))
    shuffled = shop.sample(frac=1, random_state=seed % 2**31)
    renumbered = shuffled.assign(series_id=shuffled["series_id"].map(ids).astype("int32"))
    expected = build(shop)
    expected["series_id"] = expected["series_id"].map(ids).astype("int32")
    pd.testing.assert_frame_equal(build(renumbered), expected, check_exact=True)


def test_rows_are_sorted_by_day_sku_and_location(shop):
    names = {9: ("é 1", "south"), 3: ("a", "north"), 5: ("a", "south"), 1: ("B", "all")}
    keys = [(row.sale_date, *names[row.series_id]) for row in build(shop).itertuples()]
    assert keys == sorted(keys)


def test_another_series_changes_nothing(shop):
    alone = build(shop[shop["series_id"] == 5])
    together = build(shop)
    pd.testing.assert_frame_equal(together[together["series_id"] == 5].reset_index(drop=True), alone, check_exact=True)


def test_nothing_dated_later_is_seen(shop):
    later = shop["sale_date"] > pd.Timestamp(FIRST + timedelta(days=50))
    nonsense = shop.assign(
        units=shop["units"].where(~later, Decimal("987654.3210")),
        avg_price=shop["avg_price"].where(~later, 1e6),
        on_promotion=shop["on_promotion"] | later,
        in_stock=shop["in_stock"] & ~later,
    )
    pd.testing.assert_frame_equal(build(nonsense, 30, 50), build(shop, 30, 50), check_exact=True)
    assert not build(nonsense, 51, 51)["units"].equals(build(shop, 51, 51)["units"])


def test_columns_and_types_are_those_of_the_table(shop):
    for frame in (build(shop), build(shop.iloc[:0])):
        assert list(frame.columns) == [column.name for column in tables.features.columns]
        for column in tables.features.columns:
            assert str(frame[column.name].dtype) == DTYPES[type(column.type)], column.name
        assert not frame.isna().any().any()
        assert np.isfinite(frame.select_dtypes("number").to_numpy(dtype=float)).all()


def test_leap_days_year_ends_and_the_53rd_week_are_ordinary_days():
    rows = steady(70, first=date(2028, 1, 1))
    leap = build_features(daily_frame(rows), first=date(2028, 2, 29), last=date(2028, 3, 1))
    assert leap["lag_1"].tolist() == [59.0, 60.0]
    assert leap["day_of_week"].tolist() == [1, 2]
    rows = steady(70, first=date(2026, 11, 20))
    turn = build_features(
        daily_frame(rows), first=date(2026, 12, 31), last=date(2027, 1, 1), holidays=HolidayCalendar("GB")
    )
    assert turn["month"].tolist() == [12, 1]
    assert turn["is_holiday"].tolist() == [False, True]
    assert turn["lag_1"].tolist() == [41.0, 42.0]


@pytest.mark.parametrize("bad", [0.0, -1.0, np.inf, np.nan])
def test_a_price_that_is_none_counts_as_unknown(bad):
    rows = [(*r[:5], bad if n == 35 else 2.0) for n, r in enumerate(steady())]
    features = build(daily_frame(rows), 35, 36)
    assert features["price_ratio"].tolist() == [1.0, 1.0]


def test_the_first_price_of_a_series_has_ratio_one_and_a_raise_shows():
    rows = [(*r[:5], 3.0 if n >= 45 else 2.0) for n, r in enumerate(steady())]
    assert build(daily_frame(rows), 44, 45)["price_ratio"].tolist() == [1.0, 1.5]
    assert build(daily_frame(steady(5, first=FIRST + timedelta(days=40))), 40, 40)["price_ratio"].tolist() == [1.0]


def test_two_rows_of_one_day_and_series_are_refused_by_name(shop):
    doubled = pd.concat([shop, shop[shop["series_id"] == 9].iloc[[3]]])
    with pytest.raises(FeatureError, match=r"'é 1' at 'south' more than once"):
        build_features(doubled, first=FIRST + timedelta(days=28), last=FIRST + timedelta(days=74))


def test_a_missing_column_and_a_missing_number_are_named(shop):
    with pytest.raises(FeatureError, match="in_stock"):
        build(shop.drop(columns="in_stock"))
    hole = shop.assign(units=shop["units"].where(shop["series_id"] != 3, None))
    with pytest.raises(FeatureError, match="'a' at 'north'"):
        build(hole)


def test_a_range_that_ends_before_it_starts_is_refused(shop):
    with pytest.raises(FeatureError, match="ends before it starts"):
        build(shop, 40, 39)


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("units", lambda daily: pd.array([each + 2 for each in daily["units"]], dtype=UNITS)),
        ("avg_price", lambda daily: daily["avg_price"] * np.linspace(1, 2, len(daily))),
        ("on_promotion", lambda daily: ~daily["on_promotion"]),
        ("in_stock", lambda daily: ~daily["in_stock"]),
        ("location", lambda daily: daily["location"].where(daily["location"] != "all", "berlin")),
        ("sku", lambda daily: daily["sku"] + " x"),
    ],
)
def test_features_change_with_the_columns_they_are_said_to_be_read_from_and_no_others(shop, column: str, other):
    holidays = HolidayCalendar(by_location={"berlin": "DE"})
    daily = shop.assign(avg_price=shop["avg_price"].fillna(3.0))
    before, after = (build(frame, holidays=holidays) for frame in (daily, daily.assign(**{column: other(daily)})))
    before, after = (frame.sort_values(["sale_date", "series_id"], ignore_index=True) for frame in (before, after))
    changed = {name for name in before.columns if not before[name].equals(after[name])}
    assert changed == {name for name, read in READ_FROM.items() if column in read}


def test_what_features_are_read_from_is_told_of_every_column():
    assert set(READ_FROM) == set(tables.features.columns.keys())
    assert {name for read in READ_FROM.values() for name in read} <= set(REQUIRED)
