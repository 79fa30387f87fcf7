"""Rows of a block read as facts: the source's columns become ours, with our types; what cannot be read gets a reason.

Every row of a block comes out once: as a fact, or as a reject with the reason and the row as it came. Pure: a block
and settings in, a table out. Which file it came from is not known here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Boolean, Column, Date, Double, Numeric, Table

from forecast_platform.inventory.terms import METRICS, POLICIES
from forecast_platform.sources.blocks import Block, payloads
from forecast_platform.sources.clock import Clock
from forecast_platform.sources.parsing import (
    NumberReader,
    Parsed,
    Problem,
    Texts,
    parsed,
    read_boolean,
    read_choice,
    read_text,
    shown,
    texts_of,
)
from forecast_platform.sources.rules import Matching, Returns
from forecast_platform.sources.shapes import EVERYWHERE, Rows, SalesRows
from forecast_platform.sources.typed import arrow_type
from forecast_platform.tables import PRICE, metadata

CONTENT = pa.binary(16)
_PAST = {"raw_sales", "inventory_levels", "actual_overrides"}
"""Facts that have happened; master data and plans may hold from a day to come."""
_DAYS = {
    column.name: (Decimal(0), Decimal(3660))
    for name in ("items", "suppliers")
    for column in metadata.tables[name].columns
    if column.name.endswith("_days")
}
"""More days than ten years are a mistake, and no date can be told from them."""
_BETWEEN = {"service_level": (Decimal(0), Decimal(1)), **_DAYS}
_STRICTLY_BETWEEN = {"service_level": (0.0, 1.0)}
"""Numbers that may not reach their bounds: at 1 no stock is enough, at 0 none is needed."""
_CHOICES = {"policy": POLICIES, "service_metric": METRICS}
"""Texts of which there are only some."""
_SIGNED = {"quantity", "on_hand", "value"}
"""Numbers that may be negative: returns, stock sold before it was booked, and covariates, as a temperature."""
_SCOPE = {"covariates": {"sku", "location", "category"}}
"""Columns that mean everything where a source does not have them; elsewhere that is the location alone."""
_TAKEN = frozenset(metadata.tables["features"].c.keys())
"""Names that no covariate of a tenant may have: our own features would be mistaken for it."""


def fact_columns(asset: str) -> tuple[Column, ...]:
    """The declared columns that a source fills: the partition, the name of the source and the event apart."""
    table = metadata.tables[asset]
    return tuple(c for c in table.columns if c.name not in (table.info["partition"], "source", "event_id"))


def reading_schema(asset: str) -> pa.Schema:
    """Columns of a reading: the day, where the row stood, our columns, and for a reject why and what."""
    return pa.schema(
        [
            ("day", pa.date32()),
            ("row_number", pa.int64()),
            ("event_id", pa.string()),
            ("content", CONTENT),
            ("updated_at", pa.timestamp("us", "UTC")),
            *((column.name, arrow_type(column)) for column in fact_columns(asset)),
            ("reason", pa.string()),
            ("payload", pa.string()),
        ]
    )


def needed_columns(rows: Rows) -> tuple[str, ...]:
    """Source columns that the file itself must have: those of side files and of the melt apart."""
    names = [name for group in rows.mapped().values() for name in group]
    names += [*rows.told_apart_by(), *filter(None, [rows.refused_by()]), *(rule.column for rule in rows.ignore)]
    names += [name for join in rows.joins for name in join.on]
    if isinstance(rows, SalesRows) and rows.returns is not None:
        names.append(rows.returns.column)
    made = {name for join in rows.joins for name in join.columns}
    if rows.melt is not None:
        made |= {rows.melt.variable, rows.melt.value}
    return tuple(name for name in dict.fromkeys(names) if name not in made)


@dataclass
class _Reading:
    """What is being gathered about one block."""

    block: Block
    values: dict[str, pa.Array]
    problems: list[pa.Array]

    def keep(self, name: str, result: Parsed) -> None:
        self.values[name] = result.values
        self.problems.append(result.problems)

    def reject(self, where: pa.Array, why: str) -> None:
        """Give ``why`` to the rows of a boolean array that has no nulls."""
        self.problems.append(pc.if_else(where, pa.scalar(why), pa.scalar(None, pa.string())))


class RowReader:
    """Reads the blocks of one batch.

    Args:
        rows: how they look.
        clock: how their times are read.
    """

    def __init__(self, rows: Rows, clock: Clock) -> None:
        self._rows = rows
        self._clock = clock
        self._mapped = rows.mapped()
        self._everywhere = _SCOPE.get(rows.asset, {"location"})
        self._table: Table = metadata.tables[rows.asset]
        self._schema = reading_schema(rows.asset)

    def read(self, block: Block) -> pa.Table:
        """Give every row of ``block``, in the schema of :func:`reading_schema`."""
        reading = _Reading(block, {}, self._refused(block))
        ignored = self._ignored(block)
        if self._rows.asset == "raw_sales":
            self._read_sales(reading)
        else:
            self._read_facts(reading)
        if "updated_at" in self._mapped:
            texts = self._texts(block, "updated_at")
            reading.keep("updated_at", self._clock.updates(texts, self._rows.date_format, "updated_at"))
        for column in fact_columns(self._rows.asset):
            if not column.nullable:
                reading.reject(pc.is_null(reading.values[column.name]), f"{column.name} is empty")
        reason = pc.coalesce(ignored, *reading.problems)
        return pa.concat_tables([self._finished(reading, reason), self._broken(block)])

    def _read_sales(self, reading: _Reading) -> None:
        block, values = reading.block, reading.values
        if "sold_at" in self._mapped:
            instant, day = self._clock.instants(self._texts(block, "sold_at"), self._rows.date_format, "sold_at")
            reading.keep("sold_at", instant)
            values["day"] = day.values
            reading.reject(pc.is_null(day.values), "sold_at is empty")
        else:
            texts = self._texts(block, "sale_date")
            reading.keep("day", self._clock.days(texts, self._rows.date_format, "sale_date", past=True))
            reading.reject(pc.is_null(values["day"]), "sale_date is empty")
            values["sold_at"] = pa.nulls(len(block.numbers), pa.timestamp("us", "UTC"))
        for name in ("sku", "location", "quantity", "on_promotion", "order_id"):
            self._keep(reading, self._table.c[name])
        as_written = values["quantity"]
        self._sign(reading, getattr(self._rows, "returns", None))
        if "revenue" in self._mapped:
            self._price_of_revenue(reading, as_written)
        else:
            self._keep(reading, self._table.c.unit_price)
        if "event_id" in self._mapped:
            reading.keep("event_id", self._event_ids(block))
            reading.reject(pc.is_null(values["event_id"]), "event_id is empty")
        else:
            apart = [_plain_texts(block, name) for name in self._rows.told_apart_by()]
            values["content"] = _contents([values["day"], *(values[c.name] for c in fact_columns("raw_sales")), *apart])

    def _read_facts(self, reading: _Reading) -> None:
        partition = self._table.info["partition"]
        size = len(reading.block.numbers)
        if partition in self._mapped or partition in self._rows.constants:
            past = self._rows.asset in _PAST
            texts = self._texts(reading.block, partition)
            reading.keep("day", self._clock.days(texts, self._rows.date_format, partition, past=past))
            reading.reject(pc.is_null(reading.values["day"]), f"{partition} is empty")
        else:
            reading.values["day"] = pa.array([self._clock.arrival_day] * size, pa.date32())
        for column in fact_columns(self._rows.asset):
            self._keep(reading, column)

    def _keep(self, reading: _Reading, column: Column) -> None:
        """Read one of our columns; one that is not mapped is null, or everywhere."""
        name = column.name
        if name not in self._mapped and name not in self._rows.constants and name not in self._everywhere:
            reading.values[name] = pa.nulls(len(reading.block.numbers), arrow_type(column))
            return
        texts = self._texts(reading.block, name)
        if isinstance(column.type, Date):
            reading.keep(name, self._clock.days(texts, self._rows.date_format, name, past=False))
        elif isinstance(column.type, Double):
            exact = parsed(texts, self._number(column, texts), pa.decimal128(38, 12))
            values = exact.values.cast(pa.float64())
            reading.keep(name, Parsed(values, exact.problems))
            if name in _STRICTLY_BETWEEN:
                least, most = _STRICTLY_BETWEEN[name]
                outside = pc.or_(pc.less_equal(values, least), pc.greater_equal(values, most))
                reading.reject(pc.fill_null(outside, False), f"{name} must be between {least:g} and {most:g}")
        else:
            reading.keep(name, parsed(texts, self._reader(column, texts), arrow_type(column)))

    def _reader(self, column: Column, texts: Texts) -> Callable[[str], Any]:
        if isinstance(column.type, Numeric):
            return self._number(column, texts)
        if isinstance(column.type, Boolean):
            return read_boolean(column.name, self._rows.true_values, self._rows.false_values)
        if column.name in _CHOICES:
            return read_choice(column.name, _CHOICES[column.name])
        taken = _TAKEN if self._rows.asset == "covariates" and column.name == "name" else frozenset()
        return read_text(column.name, self._rows.limits.max_text, taken=taken)

    def _number(self, column: Column, texts: Texts) -> NumberReader:
        least, most = _BETWEEN.get(column.name, (None if column.name in _SIGNED else Decimal(0), None))
        # A covariate may be money spent: its bound is the wider one.
        money = column.type is PRICE or column.name == "value"
        limit = self._rows.limits.max_price if money else self._rows.limits.max_quantity
        return NumberReader(
            column=column.name,
            scale=12 if isinstance(column.type, Double) else column.type.scale,
            limit=most if most is not None else limit,
            limit_name="its greatest value" if most is not None else f"limits.max_{'price' if money else 'quantity'}",
            least=least,
            decimal="." if texts.typed else self._rows.decimal,
            thousands=None if texts.typed else self._rows.thousands,
            inexact=texts.inexact,
        )

    def _texts(self, block: Block, name: str) -> Texts:
        """The texts of one of our columns, from the source's column or the settings."""
        constant = self._rows.constants.get(name, EVERYWHERE if name in self._everywhere else None)
        if name not in self._mapped:
            return Texts(pa.array(np.zeros(len(block.numbers), np.int32)), [constant], False, False)
        (source,) = self._mapped[name]
        return texts_of(block.table.column(source), self._rows.null_values)

    def _event_ids(self, block: Block) -> Parsed:
        """The event's name; of several columns their values with ``/`` between, and null where any is empty."""
        read = read_text("event_id", self._rows.limits.max_text)
        columns = [texts_of(block.table.column(name), self._rows.null_values) for name in self._mapped["event_id"]]
        parts = [parsed(texts, read, pa.string()) for texts in columns]
        if len(parts) == 1:
            return parts[0]
        escaped = [pc.replace_substring(pc.replace_substring(p.values, "%", "%25"), "/", "%2F") for p in parts]
        return Parsed(pc.binary_join_element_wise(*escaped, "/"), pc.coalesce(*(part.problems for part in parts)))

    def _sign(self, reading: _Reading, returns: Returns | None) -> None:
        if returns is None:
            return
        quantity = reading.values["quantity"]
        marked = _mask(reading.block, returns)
        zero = pa.scalar(Decimal(0), quantity.type)
        other = pc.less(quantity, zero) if returns.quantity == "negated" else pc.greater(quantity, zero)
        wrong = pc.fill_null(pc.and_(marked, other), False)
        sign = "negative already" if returns.quantity == "negated" else "positive"
        reading.reject(wrong, f"the row is marked as a return in {returns.column!r} and its quantity is {sign}")
        if returns.quantity == "negated":
            reading.values["quantity"] = pc.if_else(marked, pc.negate(quantity), quantity)

    def _price_of_revenue(self, reading: _Reading, quantity: pa.Array) -> None:
        """Price of a unit = revenue / quantity, rounded half to even at the scale of prices, or none.

        Both as the row has them: where a return is told by a mark alone, they are positive.
        """
        texts = self._texts(reading.block, "revenue")
        number = self._number(self._table.c.unit_price, texts)
        limits = self._rows.limits
        number = replace(number, column="revenue", least=None, scale=10, limit=limits.max_price * limits.max_quantity)
        revenue = parsed(texts, number, pa.decimal128(38, 10))
        reading.problems.append(revenue.problems)
        unit = Decimal(1).scaleb(-PRICE.scale)
        prices: list[Decimal | Problem | None] = []
        for amount, units in zip(revenue.values.to_pylist(), quantity.to_pylist(), strict=True):
            price = None if amount is None or not units else (amount / units).quantize(unit, ROUND_HALF_EVEN)
            if price is not None and not 0 <= price <= limits.max_price:
                price = Problem(f"revenue {amount:f} for quantity {units:f} makes a price out of bounds")
            prices.append(price)
        kind = arrow_type(self._table.c.unit_price)
        reading.values["unit_price"] = pa.array([None if isinstance(p, Problem) else p for p in prices], kind)
        reading.problems.append(pa.array([str(p) if isinstance(p, Problem) else None for p in prices], pa.string()))

    def _ignored(self, block: Block) -> pa.Array:
        """Why a row is left out on purpose, null where it is not."""
        reasons = pa.nulls(len(block.numbers), pa.string())
        for rule in self._rows.ignore:
            texts = texts_of(block.table.column(rule.column), ())
            why = []
            for text in [*texts.distinct, None]:
                because = rule.because or f"{rule.column} is {shown(text or '')}"
                why.append(f"ignored: {because}" if matches(rule, text) else None)
            indices = texts.indices.fill_null(len(why) - 1)
            reasons = pc.coalesce(reasons, pa.array(why, pa.string()).take(indices))
        return reasons

    def _refused(self, block: Block) -> list[pa.Array]:
        """Why rows were refused when they were taken in, first of all problems."""
        column = self._rows.refused_by()
        if column is None:
            return []
        said = _plain_texts(block, column)
        return [pc.if_else(pc.equal(said, ""), pa.scalar(None, pa.string()), said)]

    def _finished(self, reading: _Reading, reason: pa.Array) -> pa.Table:
        good = pc.is_null(reason)
        rejects = np.flatnonzero(~good.to_numpy(zero_copy_only=False))
        payload = np.full(len(good), None, object)
        payload[rejects] = payloads(reading.block.table, rejects)
        made = {
            "day": pc.coalesce(reading.values["day"], pa.scalar(self._clock.arrival_day, pa.date32())),
            "row_number": pa.array(reading.block.numbers, pa.int64()),
            "reason": reason,
            "payload": pa.array(payload, pa.string()),
        }
        columns = []
        for field in self._schema:
            column = made.get(field.name)
            if column is None:
                value = reading.values.get(field.name, pa.nulls(len(good), field.type))
                column = pc.if_else(good, value, pa.nulls(len(good), field.type)) if len(rejects) else value
            columns.append(column)
        return pa.Table.from_arrays(columns, schema=self._schema)

    def _broken(self, block: Block) -> pa.Table:
        broken = block.broken
        return rejects_table(
            self._rows.asset,
            [self._clock.arrival_day] * len(broken),
            [(line.number, line.reason, line.payload) for line in broken],
        )


def rejects_table(asset: str, days: list, rejects: list[tuple[int, str, str]]) -> pa.Table:
    """Rejects (row number, reason, payload) in the schema of :func:`reading_schema`."""
    schema = reading_schema(asset)
    given = {
        "day": days,
        "row_number": [number for number, _, _ in rejects],
        "reason": [reason for _, reason, _ in rejects],
        "payload": [payload for _, _, payload in rejects],
    }
    columns = [pa.array(given.get(field.name, [None] * len(rejects)), field.type) for field in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def matches(test: Matching, text: str | None) -> bool:
    """Whether a text passes a test of the settings; no value counts as an empty text."""
    return (text or "") in test.values if test.pattern is None else re.search(test.pattern, text or "") is not None


def _mask(block: Block, test: Matching) -> pa.Array:
    texts = texts_of(block.table.column(test.column), ())
    passed = pa.array([matches(test, text) for text in [*texts.distinct, None]], pa.bool_())
    return passed.take(texts.indices.fill_null(len(passed) - 1))


def _plain_texts(block: Block, column: str) -> pa.Array:
    texts = texts_of(block.table.column(column), ())
    return pa.array(texts.distinct, pa.string()).take(texts.indices)


def _contents(columns: list[pa.Array]) -> pa.Array:
    """Digest of each row's values: what tells a row from another where the source gives no id."""
    texts = [pc.coalesce(column.cast(pa.string()), pa.scalar("\x00")) for column in columns]
    joined = pc.binary_join_element_wise(*texts, "\x1f")
    return pa.array([hashlib.blake2b(t.encode(), digest_size=16).digest() for t in joined.to_pylist()], CONTENT)
