"""Rows of files as facts: types, signs, reasons, and every line once."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast_platform.tables import metadata
from forecast_platform_tests.sources.conftest import COLUMNS, HEADER, NOW


def test_a_row_becomes_a_typed_fact(drop):
    shop = drop(zone="Europe/London", columns=COLUMNS | {"order_id": "receipt", "on_promotion": "promo"})
    shop.write(
        "a.csv", f"{HEADER},receipt,promo\n2026-05-01, A'1\"😀 ,north,-2.5,1.999,R7,yes\n2026-05-01,B,north,1,,,\n"
    )
    shop.land()
    rows, rejects = shop.facts()
    assert len(rejects) == 0
    first = rows.sort_values("sku").to_dict("records")[0]
    assert first["sale_date"] == pd.Timestamp(2026, 5, 1)
    assert (first["sku"], first["location"], first["order_id"], first["source"]) == (
        "A'1\"😀",
        "north",
        "R7",
        "raw_sales",
    )
    assert (first["quantity"], first["unit_price"]) == (Decimal("-2.5000"), Decimal("1.999000"))
    assert first["on_promotion"] is True
    assert rows.loc[rows["sku"] == "B", ["unit_price", "order_id", "on_promotion"]].isna().all(axis=None)
    assert pd.isna(first["sold_at"])


@pytest.mark.parametrize("days", [None, [date(2020, 1, 1)]])
def test_facts_and_rejects_have_the_declared_columns_and_types_even_when_empty(drop, days):
    shop = drop()
    shop.write("a.csv", f"{HEADER}\n2026-05-01,A,n,1,1\n2026-05-01,,n,1,1\n")
    shop.land()
    rows, rejects = shop.facts(days)
    for frame, name in ((rows, "raw_sales"), (rejects, "sales_rejects")):
        table = metadata.tables[name]
        assert list(frame.columns) == [column.name for column in table.columns]
        assert frame["sale_date"].dtype == "datetime64[ns]"
    assert rows["sold_at"].dtype == pd.DatetimeTZDtype("us", "UTC")
    assert rows["quantity"].dtype == pd.ArrowDtype(pa.decimal128(18, 4))
    assert rows["unit_price"].dtype == pd.ArrowDtype(pa.decimal128(18, 6))
    assert rows["sku"].dtype == pd.ArrowDtype(pa.string())
    assert rows["on_promotion"].dtype == pd.ArrowDtype(pa.bool_())
    assert rejects["row_number"].dtype == "int64"


BAD = [
    ("31.05.2026,A,n,1,1", "sale_date '31.05.2026' is not a date (iso)"),
    (",A,n,1,1", "sale_date is empty"),
    ("2026-05-01,,n,1,1", "sku is empty"),
    ("2026-05-01,A,,1,1", "location is empty"),
    ("2026-05-01,A,n,,1", "quantity is empty"),
    ("2026-05-01,A,n,one,1", "quantity 'one' is not a finite number"),
    ("2026-05-01,A,n,inf,1", "quantity 'inf' is not a finite number"),
    ("2026-05-01,A,n,NaN,1", "quantity 'NaN' is not a finite number"),
    ("2026-05-01,A,n,1e12,1", "quantity '1e12' is beyond limits.max_quantity, 1000000"),
    ("2026-05-01,A,n,1,-1", "unit_price '-1' is below 0"),
    ("2026-05-01,A,n,1,free", "unit_price 'free' is not a finite number"),
    ("2026-05-01,A,n,1", "the row has 4 fields, the header 5"),
    ("2026-05-01,A,n,1,1,1", "the row has 6 fields, the header 5"),
    ("2026-07-01,A,n,1,1", "sale_date '2026-07-01' is in the future: more than 24 hours after it arrived"),
    ("1926-05-01,A,n,1,1", "sale_date '1926-05-01' is before limits.earliest, 1990-01-01"),
    ("2026-05-01,A\0B,n,1,1", "the row holds a NUL character"),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_bad_rows_become_rejects_with_reason_number_and_row_and_good_rows_stay(drop, end):
    shop = drop()
    lines = [line for bad, _ in BAD for line in (bad, "2026-05-01,GOOD,n,1,1")]
    shop.write("bad.csv", "\ufeff" + end.join([HEADER, *lines, ""]))
    (batch,) = shop.land()
    rows, rejects = shop.facts()
    assert batch.rows == len(lines) == len(rows) + len(rejects)
    assert set(rows["sku"]) == {"GOOD"}
    found = rejects.sort_values("row_number")
    assert list(found["reason"]) == [reason for _, reason in BAD]
    assert list(found["row_number"]) == list(range(1, len(lines), 2))
    assert set(found["source"]) == {f"bad.csv@{batch.batch_digest[:12]}"}
    payload = json.loads(found["payload"].iloc[5])
    assert payload == {"day": "2026-05-01", "sku": "A", "location": "n", "quantity": "one", "price": "1"}


def test_a_row_without_a_readable_day_is_kept_under_the_day_its_batch_arrived(drop):
    shop = drop(zone="Pacific/Kiritimati")
    shop.write("a.csv", f"{HEADER}\nsoon,A,n,1,1\n2026-05-01,A,n,x,1\n2026-09-01,A,n,1,1\nbroken\n")
    shop.land()
    _, rejects = shop.facts()
    arrived = pd.Timestamp(2026, 6, 2)  # 13:00 UTC on June 1st is the 2nd there
    assert dict(zip(rejects["row_number"], rejects["sale_date"], strict=True)) == {
        1: arrived,
        2: pd.Timestamp(2026, 5, 1),
        3: arrived,
        4: arrived,
    }


def test_rows_left_out_on_purpose_say_ignored_and_are_no_bad_rows_even_if_unreadable(drop):
    rules = [{"column": "sku", "values": ["POST", "D"], "because": "no goods"}, {"column": "price", "pattern": "^0$"}]
    shop = drop(ignore=rules)
    shop.write("a.csv", f"{HEADER}\n2026-05-01,POST,n,x,1\n2026-05-01,A,n,1,0\n2026-05-01,POSTER,n,1,1\n")
    shop.land()
    rows, rejects = shop.facts()
    assert list(rows["sku"]) == ["POSTER"]
    assert list(rejects["reason"]) == ["ignored: no goods", "ignored: price is '0'"]


def test_marked_returns_are_negated_where_the_source_writes_them_positive(drop):
    shop = drop(returns={"column": "sku", "pattern": "^R-", "quantity": "negated"})
    shop.write(
        "a.csv", f"{HEADER}\n2026-05-01,R-A,n,2,1\n2026-05-01,A,n,3,1\n2026-05-01,A,n,-1,1\n2026-05-01,R-A,n,-2,1\n"
    )
    shop.land()
    rows, rejects = shop.facts()
    assert sorted(rows["quantity"]) == [-2, -1, 3]
    assert list(rejects["row_number"]) == [4] and "negative already" in rejects["reason"].iloc[0]


def test_a_marked_return_has_the_price_of_its_positive_revenue(drop):
    columns = {"sale_date": "day", "sku": "sku", "quantity": "quantity", "revenue": "price"}
    shop = drop(columns=columns, returns={"column": "location", "values": ["back"], "quantity": "negated"})
    shop.write("a.csv", f"{HEADER}\n2026-05-01,A,shop,2,20\n2026-05-01,A,back,1,10\n2026-05-01,A,back,-1,10\n")
    shop.land()
    rows, rejects = shop.facts()
    assert sorted(zip(rows["quantity"], rows["unit_price"], strict=True)) == [(-1, 10), (2, 10)]
    assert list(rejects["row_number"]) == [3] and "negative already" in rejects["reason"].iloc[0]


def test_a_cancellation_that_should_be_negative_and_is_not_is_a_reject(drop):
    shop = drop(returns={"column": "location", "values": ["C"], "quantity": "already_negative"})
    shop.write("a.csv", f"{HEADER}\n2026-05-01,A,C,-2,1\n2026-05-01,A,C,2,1\n")
    shop.land()
    rows, rejects = shop.facts()
    assert list(rows["quantity"]) == [-2]
    assert "marked as a return in 'location' and its quantity is positive" in rejects["reason"].iloc[0]


def test_revenue_is_divided_by_the_quantity(drop):
    columns = {**COLUMNS, "revenue": "price"}
    del columns["unit_price"]
    shop = drop(columns=columns)
    shop.write(
        "a.csv", f"{HEADER}\n2026-05-01,A,n,3,10\n2026-05-01,B,n,-2,-5\n2026-05-01,C,n,0,5\n2026-05-01,D,n,2,-5\n"
    )
    shop.land()
    rows, rejects = shop.facts()
    prices = dict(zip(rows["sku"], rows["unit_price"], strict=True))
    assert prices == {"A": Decimal("3.333333"), "B": Decimal("2.5"), "C": pd.NA}
    assert "price out of bounds" in rejects["reason"].iloc[0]


def test_numbers_and_dates_are_read_as_the_settings_say(drop):
    shop = drop(csv={"delimiter": ";", "encoding": "cp1252"}, decimal=",", thousands=".", date_format="%d.%m.%Y")
    shop.write("a.csv", f"{HEADER.replace(',', ';')}\n31.05.2026;Käse;n;1.234,5;0,99\n".encode("cp1252"))
    shop.land()
    rows, _ = shop.facts()
    assert rows[["sku", "quantity", "unit_price"]].iloc[0].tolist() == ["Käse", Decimal("1234.5"), Decimal("0.99")]
    assert rows["sale_date"].iloc[0] == pd.Timestamp(2026, 5, 31)


def test_several_columns_may_name_an_event_together_without_mixing_names(drop):
    shop = drop(columns=COLUMNS | {"event_id": ["sku", "location"]})
    shop.write("a.csv", f"{HEADER}\n2026-05-01,a/b,c,1,1\n2026-05-01,a,b/c,1,1\n2026-05-01,a%2Fb,c,1,1\n")
    shop.land()
    assert sorted(shop.facts()[0]["event_id"]) == ["a%252Fb/c", "a%2Fb/c", "a/b%2Fc"]


def test_typed_parquet_columns_are_read_exactly(drop):
    shop = drop(format="parquet", columns=COLUMNS | {"on_promotion": "promo"}, decimal=",")
    table = pa.table(
        {
            "day": pa.array([date(2026, 5, 1)] * 3),
            "sku": pa.array([2**62, 7, None]),
            "location": pa.array(["n"] * 3).dictionary_encode(),
            "quantity": pa.array([0.1 + 0.2, float("nan"), 1.0]),
            "price": pa.array([Decimal("12345678.123456"), Decimal(0), None], pa.decimal128(18, 6)),
            "promo": pa.array([True, None, False]),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    shop.write("a.parquet", buffer.getvalue())
    shop.land()
    rows, rejects = shop.facts()
    row = rows.iloc[0]
    assert (row["sku"], row["quantity"], row["unit_price"]) == (str(2**62), Decimal("0.3"), Decimal("12345678.123456"))
    assert list(rejects["reason"]) == ["quantity 'nan' is not a finite number", "sku is empty"]
    assert json.loads(rejects["payload"].iloc[0])["quantity"] == "nan"


@pytest.mark.parametrize(
    ("asset", "columns", "header", "line", "expected"),
    [
        (
            "items",
            {"sku": "a", "unit_cost": "b", "lead_time_days": "c", "service_level": "d", "active": "e"},
            "a,b,c,d,e",
            "A,1.5,2.5,0.95,no",
            {
                "location": "all",
                "unit_cost": Decimal("1.5"),
                "lead_time_days": 2.5,
                "service_level": 0.95,
                "active": False,
            },
        ),
        ("locations", {"location": "a", "country": "b"}, "a,b", "north,GB", {"location": "north", "country": "GB"}),
        ("suppliers", {"supplier": "a", "moq": "b"}, "a,b", "S,12", {"supplier": "S", "moq": Decimal(12)}),
        (
            "plan",
            {"target_date": "a", "sku": "b", "price": "c"},
            "a,b,c",
            "2027-01-01,A,9.5",
            {"target_date": pd.Timestamp(2027, 1, 1), "price": Decimal("9.5"), "location": "all"},
        ),
        ("inventory_levels", {"sku": "a", "on_hand": "b"}, "a,b", "A,-3", {"on_hand": Decimal(-3), "location": "all"}),
        (
            "covariates",
            {"target_date": "a", "name": "b", "location": "c", "value": "d"},
            "a,b,c,d",
            "2027-01-01,warmth,north,-3.25",
            {"name": "warmth", "sku": "all", "location": "north", "category": "all", "value": -3.25},
        ),
    ],
)
def test_facts_beside_sales_are_typed_and_dated_by_arrival_unless_they_say(
    drop, asset, columns, header, line, expected
):
    shop = drop(asset=asset, columns=columns)
    shop.write("a.csv", f"{header}\n{line}\n")
    shop.land()
    rows, rejects = shop.facts()
    assert len(rejects) == 0
    table = metadata.tables[asset]
    assert list(rows.columns) == [column.name for column in table.columns]
    row = rows.iloc[0].to_dict()
    assert row[table.info["partition"]] == pd.Timestamp(NOW.date())
    assert {name: row[name] for name in expected} == expected


def test_a_covariate_that_is_no_number_or_has_a_name_of_ours_is_a_reject_that_says_so(drop):
    columns = {"target_date": "a", "name": "b", "value": "c", "known_from": "a"}
    shop = drop(asset="covariates", columns=columns)
    lines = ["mail,1", "mail,nan", "mail,", "spend,20000000", "spend,1e12", "price_ratio,0.9", "lag_7,3"]
    shop.write("a.csv", "a,b,c\n" + "".join(f"2026-05-01,{line}\n" for line in lines))
    shop.land()
    rows, rejects = shop.facts([date(2026, 5, 1)])
    assert list(rows["value"]) == [1.0, 2e7]
    assert list(rejects["reason"]) == [
        "value 'nan' is not a finite number",
        "value is empty",
        "value '1e12' is beyond limits.max_price, 100000000",
        "name 'price_ratio' is a name of the platform's own; give it another",
        "name 'lag_7' is a name of the platform's own; give it another",
    ]


def test_a_covariate_without_a_name_is_refused_in_the_settings_and_may_have_one_for_all_rows(drop):
    columns = {"target_date": "a", "value": "c", "known_from": "a"}
    with pytest.raises(ValueError, match=r"constants\.name"):
        drop(asset="covariates", columns=columns)
    shop = drop(asset="covariates", columns=columns, constants={"name": "warmth"})
    shop.write("a.csv", "a,c\n2026-05-01,1\n")
    shop.land()
    assert list(shop.facts([date(2026, 5, 1)])[0]["name"]) == ["warmth"]


def test_master_data_out_of_bounds_is_a_reject(drop):
    shop = drop(asset="items", columns={"sku": "a", "service_level": "b", "lead_time_days": "c", "valid_from": "d"})
    shop.write("a.csv", "a,b,c,d\nA,1.5,1,2026-05-01\nB,0.9,-1,2026-05-01\nC,0.9,1,2027-05-01\n")
    shop.land()
    rows, rejects = shop.facts()
    assert list(rows["sku"]) == ["C"]
    assert list(rejects["reason"]) == [
        "service_level '1.5' is beyond its greatest value, 1",
        "lead_time_days '-1' is below 0",
    ]


def test_terms_that_no_stock_can_be_planned_by_are_rejects_and_stop_no_other_item(drop):
    columns = {"sku": "a", "service_level": "b", "policy": "c", "service_metric": "d", "valid_from": "e"}
    shop = drop(asset="items", columns=columns)
    lines = ["A,1,,", "B,0,,", "C,0.9,guess,", "D,0.9,Newsvendor,luck", "E,0.9,Newsvendor,FILL", "F,,,"]
    shop.write("a.csv", "a,b,c,d,e\n" + "".join(f"{line},2026-05-01\n" for line in lines))
    shop.land()
    rows, rejects = shop.facts()
    assert list(zip(rows["sku"], rows["policy"].fillna(""), rows["service_metric"].fillna(""), strict=True)) == [
        ("E", "newsvendor", "fill"),
        ("F", "", ""),
    ]
    assert list(rejects["reason"]) == [
        "service_level must be between 0 and 1",
        "service_level must be between 0 and 1",
        "policy 'guess' is none of order_up_to, fixed_quantity, newsvendor",
        "service_metric 'luck' is none of cycle, fill",
    ]


def test_more_days_than_a_date_can_hold_are_a_reject(drop):
    shop = drop(asset="items", columns={"sku": "a", "lead_time_days": "b", "valid_from": "c"})
    shop.write("a.csv", "a,b,c\nA,200000,2026-05-01\nB,3660,2026-05-01\n")
    shop.land()
    rows, rejects = shop.facts()
    assert list(rows["sku"]) == ["B"]
    assert list(rejects["reason"]) == ["lead_time_days '200000' is beyond its greatest value, 3660"]
