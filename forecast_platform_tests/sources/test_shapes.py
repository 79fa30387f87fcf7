"""Settings of sources: what is wrong is said with the field's name, and what decides a reading is known."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from forecast_platform.sources.shapes import FactSources, FilesSales, SalesSource, SqlSales

COLUMNS = {"sold_at": "time", "sku": "article", "quantity": "units"}
FILES = {"kind": "files", "url": "/drop", "columns": COLUMNS}


def sales(**settings: object):
    return TypeAdapter(SalesSource).validate_python(FILES | settings)


@pytest.mark.parametrize(
    ("settings", "place", "message"),
    [
        ({"delimiter": ";"}, "delimiter", "Extra inputs"),
        ({"columns": {"sold_at": "t", "sku": "s"}}, "quantity", "Field required"),
        ({"columns": COLUMNS | {"qty": "x"}}, "qty", "Extra inputs"),
        ({"columns": COLUMNS | {"sale_date": "d"}}, "columns", "either sold_at or sale_date"),
        ({"columns": COLUMNS | {"unit_price": "p", "revenue": "r"}}, "columns", "either unit_price or revenue"),
        ({"csv": {"delimiter": ";;"}}, "delimiter", "at most 1 character"),
        ({"csv": {"delimiter": '"'}}, "csv", "delimiter and quote"),
        ({"csv": {"encoding": "klingon"}}, "encoding", "unknown encoding 'klingon'"),
        ({"timezone": "Mars/Olympus"}, "timezone", "unknown time zone"),
        ({"ignore": [{"column": "c", "pattern": "("}]}, "pattern", "not a regular expression"),
        ({"ignore": [{"column": "c"}]}, "ignore", "either values or a pattern"),
        ({"constants": {"colour": "red"}}, "", "constants.colour"),
        ({"constants": {"sku": "x"}}, "", "sku is mapped to a column and given as a constant"),
        ({"decimal": ",", "thousands": ","}, "", "decimal and thousands"),
        ({"true_values": ["x"], "false_values": ["X"]}, "", "both yes and no"),
        ({"pattern": "../*.csv"}, "", "leaves the folder"),
        ({"pattern": "/etc/*"}, "", "leaves the folder"),
        ({"shift_to": "tomorrow"}, "shift_to", ""),
        ({"limits": {"max_quantity": "lots"}}, "max_quantity", "decimal"),
        ({"kind": "ftp"}, "", "'files', 'sql', 'events', 'demo'"),
        ({"name": "My Sales"}, "name", "pattern"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(settings, place, message):
    with pytest.raises(ValidationError) as error:
        sales(**settings)
    assert any(place in ".".join(map(str, e["loc"])) and message in e["msg"] for e in error.value.errors())


def test_the_kind_chooses_the_settings():
    assert isinstance(sales(), FilesSales)
    query = {"kind": "sql", "url": "sqlite:///x", "page_by": "id", "columns": COLUMNS}
    assert isinstance(TypeAdapter(SalesSource).validate_python(query | {"table": "t"}), SqlSales)
    with pytest.raises(ValidationError, match="either table or query"):
        TypeAdapter(SalesSource).validate_python(query)
    with pytest.raises(ValidationError, match="join in the query"):
        join = {"name": "side", "pattern": "x", "on": {"a": "b"}, "columns": ["c"]}
        TypeAdapter(SalesSource).validate_python(query | {"table": "t", "joins": [join]})


def test_every_field_is_described_so_that_an_editor_can_help():
    schema = TypeAdapter(SalesSource).json_schema()
    schema["$defs"] |= FactSources.model_json_schema()["$defs"]
    bare = [
        f"{model}.{name}"
        for model, body in schema["$defs"].items()
        for name, field in body.get("properties", {}).items()
        if "description" not in field
    ]
    assert bare == []


def test_a_reading_depends_on_how_rows_look_and_not_on_where_they_are():
    plain = sales().reading_settings()
    assert (
        sales(url="/other", name="shop", pattern="*.csv", settle_seconds=60, shift_to="yesterday").reading_settings()
        == plain
    )
    assert sales(url="/drop", timezone="UTC").reading_settings() != plain
    assert sales(columns=COLUMNS | {"location": "store"}).reading_settings() != plain
    assert sales(ambiguous="first").reading_settings() == plain


def test_facts_beside_sales_map_columns_of_their_own():
    facts = FactSources(items={"kind": "files", "url": "/x", "columns": {"sku": "a", "lead_time_days": "b"}})
    assert facts.items.mapped() == {"sku": ("a",), "lead_time_days": ("b",)}
    with pytest.raises(ValidationError, match="quantity"):
        FactSources(items={"kind": "files", "url": "/x", "columns": {"sku": "a", "quantity": "b"}})
