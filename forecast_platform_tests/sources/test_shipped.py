"""The settings that ship, each on small files of the data set's exact shape, column for column."""

from __future__ import annotations

import io
import json
from datetime import date, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast_platform.sources.shapes import FactSources
from forecast_platform.sources.shipped import load_shipped, shipped_names

M5_IDS = "id,item_id,dept_id,cat_id,store_id,state_id"
M5_CALENDAR = "date,wm_yr_wk,weekday,wday,month,year,d,event_name_1,event_type_1,event_name_2,event_type_2"
M5_CALENDAR += ",snap_CA,snap_TX,snap_WI"


def shipped(drop, name: str, asset: str = "raw_sales", **changes):
    """A tenant with the shipped settings of an asset, its folder apart."""
    sections = load_shipped(name)
    given = sections["source"] if asset == "raw_sales" else sections["facts"][asset]
    given = {key: value for key, value in given.items() if key != "url"}
    zone = {"online_retail": "Europe/London", "m5": "America/Chicago", "favorita": "America/Guayaquil"}[name]
    return drop(asset=asset, zone=zone, name=asset, **(given | changes))


def test_every_data_set_has_settings_and_an_unknown_one_is_named():
    assert shipped_names() == ("favorita", "m5", "online_retail")
    for name in shipped_names():
        FactSources(**load_shipped(name).get("facts", {}))
    with pytest.raises(ValueError, match="'walmart'; there are favorita, m5, online_retail"):
        load_shipped("walmart")


RETAIL = [
    ("536365", "85123A", "WHITE HANGING HEART", 6, datetime(2010, 12, 1, 8, 26), 2.55, 17850, "United Kingdom"),
    ("536365", "85123A", "WHITE HANGING HEART", 6, datetime(2010, 12, 1, 8, 26), 2.55, 17850, "United Kingdom"),
    ("536365", "POST", "POSTAGE", 1, datetime(2010, 12, 1, 8, 26), 18.0, 17850, "France"),
    ("C536379", "22720", None, -1, datetime(2010, 12, 1, 9, 41), 4.65, 14527, "United Kingdom"),
    ("C536391", "22556", None, 12, datetime(2010, 12, 1, 10, 24), 1.65, 17548, "United Kingdom"),
    ("A563186", "B", "Adjust bad debt", 1, datetime(2011, 8, 12, 14, 51), -11062.06, None, "United Kingdom"),
    ("536589", "21777", None, -10, datetime(2010, 12, 1, 16, 50), 0.0, None, "United Kingdom"),
    ("581483", "23843", "PAPER CRAFT", 80995, datetime(2011, 12, 9, 9, 15), 2.08, 16446, "United Kingdom"),
    ("541869", "gift_0001_40", "Voucher", 1, datetime(2011, 1, 24, 8, 0), 34.04, None, "United Kingdom"),
    ("536544", "DCGSSBOY", "BOYS PARTY BAG", 1, datetime(2010, 12, 1, 14, 32), 3.29, None, "United Kingdom"),
    ("537666", "m", "Manual", 1, datetime(2010, 12, 7, 18, 36), 2.55, None, "United Kingdom"),
    ("540000", "PADS", "PADS", 1, datetime(2011, 6, 1, 0, 30), 0.001, None, "United Kingdom"),
]
RETAIL_SCHEMA = pa.schema(
    [
        pa.field("InvoiceNo", pa.string(), nullable=False),
        pa.field("StockCode", pa.string(), nullable=False),
        pa.field("Description", pa.string()),
        pa.field("Quantity", pa.int32(), nullable=False),
        pa.field("InvoiceDate", pa.timestamp("us"), nullable=False),
        pa.field("UnitPrice", pa.float64(), nullable=False),
        pa.field("CustomerID", pa.int32()),
        pa.field("Country", pa.string(), nullable=False),
    ]
)


def test_online_retail_keeps_goods_and_says_why_the_rest_is_none(drop):
    shop = shipped(drop, "online_retail")
    columns = [
        pa.array(column, field.type) for column, field in zip(zip(*RETAIL, strict=True), RETAIL_SCHEMA, strict=True)
    ]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(columns, schema=RETAIL_SCHEMA), buffer)
    shop.write("online_retail.parquet", buffer.getvalue())
    shop.land()
    rows, rejects = shop.facts()
    assert len(rows) + len(rejects) == len(RETAIL)
    found = sorted((r.order_id, r.sku, int(r.quantity), r.unit_price) for r in rows.itertuples())
    assert found == [
        ("536365", "85123A", 6, Decimal("2.55")),
        ("536365", "85123A", 6, Decimal("2.55")),
        ("536544", "DCGSSBOY", 1, Decimal("3.29")),
        ("581483", "23843", 80995, Decimal("2.08")),
        ("C536379", "22720", -1, Decimal("4.65")),
    ]
    assert set(rows["location"]) == {"all"}
    reasons = {json.loads(r.payload)["InvoiceNo"]: r.reason for r in rejects.itertuples()}
    assert {key: reason.split(":")[0] for key, reason in reasons.items()} == {
        "536365": "ignored",
        "C536391": "the row is marked as a return in 'InvoiceNo' and its quantity is positive",
        "A563186": "ignored",
        "536589": "ignored",
        "541869": "ignored",
        "537666": "ignored",
        "540000": "ignored",
    }
    # 2011-06-01 00:30 in London is May 31st in UTC: the shop's day counts.
    assert rejects.loc[rejects["payload"].str.contains("540000"), "sale_date"].iloc[0] == pd.Timestamp(2011, 6, 1)


def m5_calendar(days: int) -> str:
    lines = [M5_CALENDAR]
    for n in range(days):
        day = pd.Timestamp(2011, 1, 29) + pd.Timedelta(days=n)
        week = 11101 + n // 7
        lines.append(f"{day:%Y-%m-%d},{week},{day:%A},{n % 7 + 1},{day.month},{day.year},d_{n + 1},,,,,0,0,0")
    return "\n".join([*lines, ""])


def m5_sales(kind: str, days: int, units) -> str:
    lines = [",".join([M5_IDS, *(f"d_{n + 1}" for n in range(days))])]
    for item in ("HOBBIES_1_001", "FOODS_3_090"):
        for store in ("CA_1", "TX_2"):
            ids = f"{item}_{store}_{kind},{item},{item[:-4]},{item.split('_')[0]},{store},{store[:2]}"
            lines.append(",".join([ids, *(str(units(item, store, n)) for n in range(days))]))
    return "\n".join([*lines, ""])


M5_PRICES = "store_id,item_id,wm_yr_wk,sell_price\n" + "".join(
    f"{store},{item},{week},{price}\n"
    for store in ("CA_1", "TX_2")
    for item, week, price in (
        ("HOBBIES_1_001", 11101, "9.58"),
        ("HOBBIES_1_001", 11102, "8.26"),
        ("FOODS_3_090", 11102, "1"),
    )
)


def test_m5_is_melted_joined_and_overlapping_files_double_nothing(drop):
    def units(item: str, store: str, n: int) -> int:
        return (n * 7 + len(item)) % 3

    shop = shipped(drop, "m5")
    shop.write("calendar.csv", m5_calendar(20), age=500)
    shop.write("sell_prices.csv", M5_PRICES, age=490)
    shop.write("sales_train_validation.csv", m5_sales("validation", 10, units), age=480)
    shop.write("sales_train_evaluation.csv", m5_sales("evaluation", 14, units), age=470)
    shop.write("sample_submission.csv", "id,F1\n", age=460)
    shop.land()
    rows, rejects = shop.facts()
    assert len(rejects) == 0
    wanted = {
        (pd.Timestamp(2011, 1, 29) + pd.Timedelta(days=n), item, store): units(item, store, n)
        for item in ("HOBBIES_1_001", "FOODS_3_090")
        for store in ("CA_1", "TX_2")
        for n in range(14)
        if units(item, store, n)
    }
    assert {(r.sale_date, r.sku, r.location): int(r.quantity) for r in rows.itertuples()} == wanted
    prices = {(r.sku, r.sale_date < pd.Timestamp(2011, 2, 5)): r.unit_price for r in rows.itertuples()}
    assert prices[("HOBBIES_1_001", True)] == Decimal("9.58") and prices[("HOBBIES_1_001", False)] == Decimal("8.26")
    assert prices[("FOODS_3_090", True)] is pd.NA or pd.isna(prices[("FOODS_3_090", True)])


def test_m5_sales_wait_for_their_side_files_and_take_the_newest(drop):
    shop = shipped(drop, "m5")
    shop.write("sales_train_evaluation.csv", m5_sales("evaluation", 3, lambda *_: 1))
    (sales,) = shop.land()
    assert "the side file 'calendar' (calendar.csv) has not arrived yet" in sales.refused
    shop.write("calendar.csv", m5_calendar(20))
    shop.write("sell_prices.csv", M5_PRICES)
    sides = shop.land()
    days = tuple(date(2011, 1, d) for d in (29, 30, 31))
    assert all(set(days) <= set(side.days) and sales.days[0] in side.days for side in sides)
    rows, rejects = shop.facts()
    assert (len(rows), len(rejects)) == (12, 0)
    shop.write("sell_prices.csv", M5_PRICES.replace("9.58", "9.99"))
    shop.land()
    assert Decimal("9.99") in set(shop.facts()[0]["unit_price"].dropna())
    shop.write("sell_prices.csv", M5_PRICES + M5_PRICES.splitlines()[1] + "\n")
    (broken,) = shop.land()
    assert "more than one row" in broken.refused
    rows, rejects = shop.facts()
    assert len(rows) == 12 and Decimal("9.99") in set(rows["unit_price"].dropna())
    assert [r.source.split("@")[0] for r in rejects.itertuples()] == ["sell_prices.csv"]


def test_m5_cells_that_are_no_number_are_rejects_of_their_day(drop):
    shop = shipped(drop, "m5")
    shop.write("calendar.csv", m5_calendar(3), age=500)
    shop.write("sell_prices.csv", M5_PRICES, age=490)
    text = m5_sales(
        "evaluation", 5, lambda item, store, n: "?" if (item, store, n) == ("FOODS_3_090", "CA_1", 1) else 1
    )
    shop.write("sales_train_evaluation.csv", text)
    shop.land()
    rows, rejects = shop.facts()
    assert len(rows) == 4 * 3 - 1
    reasons = rejects.groupby("reason").size().to_dict()
    # d_4 and d_5 are not in the calendar, so these cells have no day.
    assert reasons == {"quantity '?' is not a finite number": 1, "sale_date is empty": 8}
    assert not rejects.duplicated(["sale_date", "source", "row_number"]).any()


def test_m5_items_are_named_by_the_wide_file(drop):
    items = shipped(drop, "m5", "items")
    items.write("sales_train_evaluation.csv", m5_sales("evaluation", 3, lambda *_: 1))
    items.land()
    rows, rejects = items.facts()
    assert len(rejects) == 0
    assert [(r.sku, r.location, r.category) for r in rows.itertuples()] == [
        ("FOODS_3_090", "CA_1", "FOODS_3"),
        ("FOODS_3_090", "TX_2", "FOODS_3"),
        ("HOBBIES_1_001", "CA_1", "HOBBIES_1"),
        ("HOBBIES_1_001", "TX_2", "HOBBIES_1"),
    ]
    assert set(rows["valid_from"]) == {pd.Timestamp(2011, 1, 29)}


FAVORITA = """id,date,store_nbr,item_nbr,unit_sales,onpromotion
0,2013-01-01,25,103665,7.0,
1,2013-01-01,25,105574,-1.0,
2,2014-06-01,1,105574,2.567,False
3,2014-06-01,2,105574,12.0,True
4,2014-06-04,2,105574,1.0,True
"""


def test_favorita_returns_are_negative_promotions_may_be_unknown_and_absent_days_have_no_row(drop):
    shop = shipped(drop, "favorita")
    shop.write("train.csv", FAVORITA)
    shop.write("items.csv", "item_nbr,family,class,perishable\n")
    shop.land()
    rows, rejects = shop.facts()
    assert len(rejects) == 0
    found = [
        (r.sku, r.location, r.quantity, None if pd.isna(r.on_promotion) else r.on_promotion) for r in rows.itertuples()
    ]
    assert found == [
        ("103665", "25", Decimal(7), None),
        ("105574", "25", Decimal(-1), None),
        ("105574", "1", Decimal("2.567"), False),
        ("105574", "2", Decimal(12), True),
        ("105574", "2", Decimal(1), True),
    ]
    assert set(rows["sale_date"].dt.date) == {date(2013, 1, 1), date(2014, 6, 1), date(2014, 6, 4)}
    shop.write("train_corrected.csv", FAVORITA.replace("12.0", "13.0"))
    shop.land()
    assert [int(q) for q in shop.facts([date(2014, 6, 1)])[0]["quantity"]] == [2, 13]


def test_favorita_items_stores_and_test_period_are_facts_beside_sales(drop):
    items = shipped(drop, "favorita", "items")
    items.write("items.csv", "item_nbr,family,class,perishable\n96995,GROCERY I,1093,0\n99197,DAIRY,1067,1\n")
    items.land()
    assert [(r.sku, r.location, r.category) for r in items.facts()[0].itertuples()] == [
        ("96995", "all", "GROCERY I"),
        ("99197", "all", "DAIRY"),
    ]
    stores = shipped(drop, "favorita", "locations")
    stores.write("stores.csv", "store_nbr,city,state,type,cluster\n1,Quito,Pichincha,D,13\n")
    stores.land()
    assert [(r.location, r.region, r.country) for r in stores.facts()[0].itertuples()] == [("1", "Pichincha", "EC")]
    plan = shipped(drop, "favorita", "plan")
    plan.write(
        "test.csv", "id,date,store_nbr,item_nbr,onpromotion\n5,2017-08-16,1,96995,False\n6,2017-08-16,1,99197,True\n"
    )
    plan.land()
    rows, _ = plan.facts()
    assert [(r.target_date.date(), r.sku, r.on_promotion) for r in rows.itertuples()] == [
        (date(2017, 8, 16), "96995", False),
        (date(2017, 8, 16), "99197", True),
    ]
    assert set(rows["known_from"]) == {pd.Timestamp(2017, 8, 15)}
