"""A table as a source: pages that stay equal, a pruned table that erases nothing."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter

from forecast_platform.sources.base import SourceError, SourceUnavailable
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.landing import Landing, land, landed_frame
from forecast_platform.sources.opening import open_source
from forecast_platform.sources.shapes import SqlSales

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Till:
    """A database table of sales and its tenant."""

    def __init__(self, url: str, folder, *, page_by: str = "id", **settings) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.table = sa.Table(
            "sales",
            sa.MetaData(),
            sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
            sa.Column("sold_at", sa.DateTime(timezone=True)),
            sa.Column("sku", sa.Text),
            sa.Column("units", sa.Numeric(18, 4)),
            sa.Column("price", sa.Double),
            sa.Column("promo", sa.Boolean),
        )
        self.table.drop(self.engine, checkfirst=True)
        self.table.create(self.engine)
        columns = {
            "sold_at": "sold_at",
            "sku": "sku",
            "quantity": "units",
            "unit_price": "price",
            "on_promotion": "promo",
        }
        origin = {} if "query" in settings else {"table": "sales"}
        given = {"kind": "sql", "url": url, "page_by": page_by, "page_size": 10, "columns": columns} | origin | settings
        parsed = TypeAdapter(SqlSales).validate_python(given)
        self.source = open_source("raw_sales", parsed, timezone="UTC", variables={"SECRET": "hunter2"})
        self.landing = Landing(folder.as_uri(), "tenant", "UTC")
        self.known = landed_frame([])

    def insert(
        self, *ids: int, day: int | None = None, units: str = "1.5", sku: str = "A'; drop table sales;--"
    ) -> None:
        rows = [
            {
                "id": i,
                "sold_at": datetime(2026, 5, day or 1 + i % 28, 10, tzinfo=UTC),
                "sku": sku,
                "units": Decimal(units),
                "price": 0.1 + 0.2,
                "promo": None if i % 2 else True,
            }
            for i in ids
        ]
        with self.engine.begin() as connection:
            connection.execute(self.table.insert(), rows)

    def run(self, statement: sa.Executable) -> None:
        with self.engine.begin() as connection:
            connection.execute(statement)

    def land(self, **days: date) -> list[str]:
        batches = land(self.source, self.known, self.landing, NOW, **days)
        self.known = pd.concat([self.known, landed_frame(batches)], ignore_index=True)
        return [batch.name for batch in batches]

    def facts(self) -> pd.DataFrame:
        days = [date(2026, 5, d) for d in range(1, 32)]
        return facts_of(self.source, days, self.known, self.landing)[0]


@pytest.fixture(params=["sqlite", "postgresql"])
def till(request, tmp_path):
    url = f"sqlite:///{tmp_path}/till.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    made = []

    def make(**settings):
        made.append(Till(url, tmp_path / "landing", **settings))
        return made[-1]

    yield make
    for each in made:
        each.table.drop(each.engine, checkfirst=True)
        each.engine.dispose()


def test_rows_are_read_exactly_and_an_unchanged_table_lands_nothing_new(till):
    shop = till()
    shop.insert(*range(25))
    assert shop.land() == ["sales/0-9", "sales/10-19", "sales/20-29"]
    rows = shop.facts()
    assert len(rows) == 25
    assert set(rows["quantity"]) == {Decimal("1.5")} and set(rows["unit_price"]) == {Decimal("0.3")}
    assert set(rows["sku"]) == {"A'; drop table sales;--"}
    assert rows["on_promotion"].isna().sum() == 12
    assert rows["sold_at"].iloc[0] == pd.Timestamp("2026-05-01T10:00Z")
    assert shop.land() == []


def test_a_row_more_makes_one_other_page_and_doubles_nothing(till):
    shop = till()
    shop.insert(*range(0, 40, 2))
    assert len(shop.land()) == 4
    shop.insert(13)
    assert shop.land() == ["sales/10-19"]
    assert len(shop.facts()) == 21


def test_equal_rows_on_two_pages_are_two_sales_however_the_pages_are_cut(till):
    shop = till()
    shop.insert(3, 31)  # both on May 4th
    shop.land()
    assert len(shop.facts()) == 2
    wider = till(page_size=100)
    wider.known = shop.known
    wider.insert(3, 31)
    assert wider.land() == ["sales/0-99"]
    assert len(wider.facts()) == 2


def test_a_pruned_table_erases_nothing(till):
    shop = till()
    shop.insert(*range(30))
    shop.land()
    before = shop.facts()
    shop.run(shop.table.delete().where(shop.table.c.id < 17))
    assert shop.land() == ["sales/10-19"]
    pd.testing.assert_frame_equal(shop.facts(), before)
    shop.run(shop.table.delete())
    assert shop.land() == []
    pd.testing.assert_frame_equal(shop.facts(), before)


def test_a_changed_row_with_a_name_replaces_its_old_state(till):
    shop = till(columns={"sold_at": "sold_at", "sku": "sku", "quantity": "units", "event_id": "id"})
    shop.insert(*range(5))
    shop.land()
    shop.run(shop.table.update().where(shop.table.c.id == 3).values(units=Decimal("-7.25")))
    shop.land()
    rows = shop.facts().set_index("event_id")["quantity"]
    assert len(rows) == 5 and rows["3"] == Decimal("-7.25")


def test_dates_page_by_the_day_and_only_the_days_asked_for_and_their_neighbours_are_read(till):
    shop = till(page_by="sold_at")
    shop.insert(*range(28))
    names = shop.land(first=date(2026, 5, 10), last=date(2026, 5, 11))
    assert names == [f"sales/2026-05-{d:02d}" for d in (9, 10, 11, 12)]
    assert len(shop.land()) == 24
    assert shop.land() == []
    assert len(shop.facts()) == 28


def test_a_query_may_be_the_source_and_rows_without_a_page_value_come_too(till):
    shop = till(query="select id, sold_at, sku, units, price, promo from sales where id <> 3;", page_by="price")
    shop.insert(1, 2, 3)
    with pytest.raises(SourceError, match="page_by 'price' holds"):
        shop.land()
    shop.run(shop.table.update().values(price=None))
    assert shop.land() == ["query/none"]
    assert len(shop.facts()) == 2


def test_what_is_not_there_is_named_without_the_password(till, tmp_path):
    shop = till(page_by="nothing")
    with pytest.raises(SourceError, match="no column; there are id, sold_at"):
        shop.land()
    for settings, message in (
        ({"table": "missing"}, "missing"),
        ({"url": "sqlite:////nowhere/${SECRET}/x.db"}, "unable to open"),
        ({"url": "nosuchdb://u:${SECRET}@h/x"}, "nosuchdb"),
        ({"url": "postgresql://u:${SECRET}@127.0.0.1:1/x"}, "cannot be read"),
    ):
        with pytest.raises(SourceError, match=message) as error:
            till(**settings).land() if "url" not in settings else _land_other(settings["url"], tmp_path)
        assert "hunter2" not in str(error.value)


def _land_other(url: str, folder) -> None:
    columns = {"sold_at": "t", "sku": "s", "quantity": "q"}
    parsed = TypeAdapter(SqlSales).validate_python(
        {"kind": "sql", "url": url, "table": "t", "page_by": "t", "columns": columns}
    )
    source = open_source("raw_sales", parsed, timezone="UTC", variables={"SECRET": "hunter2"})
    land(source, landed_frame([]), Landing(folder.as_uri(), "tenant", "UTC"), NOW)


def test_a_file_that_another_process_keeps_locked_may_pass_and_a_table_that_is_not_there_may_not(tmp_path):
    url = f"sqlite:///{tmp_path / 'till.db'}?timeout=0"
    Till(url, tmp_path).insert(1)
    with closing(sqlite3.connect(tmp_path / "till.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(SourceUnavailable, match="database is locked"):
            _read(url, "sales")
        other.execute("rollback")
    assert len(_read(url, "sales")) == 1
    with pytest.raises(SourceError, match="nothing_here") as lasting:
        _read(url, "nothing_here")
    assert not isinstance(lasting.value, SourceUnavailable)


def test_a_server_that_is_down_may_come_back_and_a_user_that_it_does_not_know_will_not(postgres_url, tmp_path):
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        down = f"postgresql+psycopg2://till@127.0.0.1:{free.getsockname()[1]}/till"
    with pytest.raises(SourceUnavailable, match="refused"):
        _read(down, "sales")
    stranger = sa.make_url(postgres_url).set(username="stranger")
    with pytest.raises(SourceError, match="FATAL") as lasting:
        _read(stranger.render_as_string(hide_password=False), "sales")
    assert not isinstance(lasting.value, SourceUnavailable)


def _read(url: str, table: str) -> list:
    columns = {"sold_at": "sold_at", "sku": "sku", "quantity": "units"}
    given = {"kind": "sql", "url": url, "page_by": "id", "columns": columns, "table": table}
    parsed = TypeAdapter(SqlSales).validate_python(given)
    return list(open_source("raw_sales", parsed, timezone="UTC", variables={}).discover(now=NOW))
