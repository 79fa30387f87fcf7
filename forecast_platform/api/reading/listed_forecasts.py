"""Forecasts of many series, or of sums of them, a page or a block at a time: what is published now.

One series' forecast of another day, model or moment is in ``forecasts``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import orjson
import pyarrow as pa

from forecast_platform.api.paging import Key, Page
from forecast_platform.api.reading.base import TenantReading, records
from forecast_platform.assets.served_forecasts import DECIMALS, LEVELS
from forecast_platform.forecasting.weekly import WEEK, whole_weeks
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.tables import QUANTILES

Row = dict[str, Any]

BLOCK = 1_000
"""Series that a table holds in memory at once: 28,000 rows."""

SERIES_KEYS = (Key("s.sku"), Key("s.location"))
NODE_KEYS = (Key("node"),)

STATE = "select day, digest from partition_log where asset = 'serving' and rows > 0 order by day desc limit 1"
NEWEST_ORIGIN = "select max(origin_date) from published_latest"
PLANNED = "select max(day) from partition_log where asset = 'inventory_plan'"

SERVED = "select s.sku, s.location, s.body from served_forecasts as s"

OF_WEEKS = """
    select s.sku, s.location, w.series_id, v.model, v.digest
    from (
      select series_id, version_id, row_number() over (partition by series_id order by batch_id desc) as age
      from weekly_forecasts where origin_date = :origin
    ) as w
    join series as s on s.series_id = w.series_id
    join forecast_versions as v on v.version_id = w.version_id
"""
WEEKS = f"""
    select series_id, week_ending, mean, {", ".join(QUANTILES)}
    from (
      select *, row_number() over (partition by series_id, week_ending order by batch_id desc) as age
      from weekly_forecasts where origin_date = :origin and series_id in ({{series}})
    ) as ranked
    where age = 1 order by series_id, week_ending
"""

# Of an item the newest category that is told of its location, else the one for everywhere.
CATEGORIES = """
    left join ({named}) as own on own.sku = s.sku and own.location = s.location
    left join ({named}) as everywhere on everywhere.sku = s.sku and everywhere.location = 'all'
""".format(
    named="""
      select sku, location, category
      from (
        select sku, location, category,
          row_number() over (partition by sku, location order by valid_from desc) as age
        from items where category is not null and valid_from <= :today
      ) as told
      where age = 1
    """
)
PLAN = " join inventory_plan as p on p.as_of = :planned and p.sku = s.sku and p.location = s.location"

NODES = """
    select distinct node from hierarchy_forecasts
    where origin_date = :origin and level = :level and {conditions} order by {order} limit :limit
"""
OF_NODES = """
    select node, horizon, mean
    from (
      select *, row_number() over (partition by node, horizon order by batch_id desc) as age
      from hierarchy_forecasts where origin_date = :origin and level = :level and node in ({nodes})
    ) as ranked
    where age = 1 order by node, horizon
"""


@dataclass(frozen=True)
class Wanted:
    """Which series; ``None`` and no SKU stand for all. ``status`` is one of the inventory plan."""

    skus: tuple[str, ...] = ()
    location: str | None = None
    category: str | None = None
    model: str | None = None
    status: str | None = None

    def joins(self, *, weekly: bool) -> str:
        """What has to be joined to ``s`` for ``conditions``."""
        versions = " join forecast_versions as v on v.version_id = s.version_id" if self.model and not weekly else ""
        return versions + (CATEGORIES if self.category else "") + (PLAN if self.status else "")

    def conditions(self) -> str:
        """SQL over ``s`` and what is joined to it."""
        told = {
            f"s.sku in ({', '.join(f':sku_{n}' for n in range(len(self.skus)))})": self.skus,
            "s.location = :location": self.location,
            "coalesce(own.category, everywhere.category) = :category": self.category,
            "v.model = :model": self.model,
            "p.status = :status": self.status,
        }
        return " and ".join(["true", *(sql for sql, value in told.items() if value)])

    def parameters(self, *, today: date, planned: date | None) -> Row:
        """Of ``joins`` and ``conditions``, and no others: PostgreSQL's driver takes no more than are named."""
        named = {"location": self.location, "model": self.model}
        given: Row = {name: value for name, value in named.items() if value}
        given |= {f"sku_{n}": sku for n, sku in enumerate(self.skus)}
        given |= {"category": self.category, "today": today} if self.category else {}
        return given | ({"status": self.status, "planned": planned} if self.status else {})


def state_of(session: Session) -> str:
    """Names what is published now: it changes with every other publication, and with nothing else."""
    return " ".join(f"{day} {digest}" for day, digest in session.execute(STATE))


def newest_origin(session: Session) -> date | None:
    """The newest origin that is published."""
    return session.scalar(NEWEST_ORIGIN)


def planned_day(session: Session) -> date | None:
    """The day of the newest inventory plan."""
    return session.scalar(PLANNED)


def served(session: Session, wanted: Wanted, page: Page, *, today: date) -> list[Row]:
    """Of a page of series what is published, day by day: ``sku``, ``location``, ``body``."""
    return _series(session, SERVED, wanted, page, {}, today=today, weekly=False)


def of_weeks(session: Session, wanted: Wanted, page: Page, *, origin: date, today: date) -> list[Row]:
    """Of a page of series what is published of the whole weeks ahead; each row has its ``weeks``."""
    rows = _series(session, OF_WEEKS, wanted, page, {"origin": origin}, today=today, weekly=True)
    ids = ", ".join(str(int(row["series_id"])) for row in rows)
    weeks: dict[int, list[Row]] = {}
    for week in records(session, WEEKS.format(series=ids), {"origin": origin}) if rows else ():
        weeks.setdefault(week["series_id"], []).append(week)
    return [row | {"weeks": weeks.get(row["series_id"], [])} for row in rows]


def _series(
    session: Session, relation: str, wanted: Wanted, page: Page, given: Row, *, today: date, weekly: bool
) -> list[Row]:
    planned = planned_day(session) if wanted.status else None
    conditions = f"{wanted.conditions()} and {page.condition}" + (" and w.age = 1" if weekly else "")
    query = f"{relation} {wanted.joins(weekly=weekly)} where {conditions} order by {page.order} limit :limit"
    return records(session, query, given | wanted.parameters(today=today, planned=planned) | page.parameters)


def of_nodes(session: Session, page: Page, *, level: str, node: str | None, origin: date, weekly: bool) -> list[Row]:
    """Of a page of locations, categories or the total: ``node``, ``dates``, ``mean``; weekly, whole weeks summed."""
    asked: Row = {"origin": origin, "level": level}
    conditions = f"{page.condition} and node = :node" if node else page.condition
    found = session.execute(
        NODES.format(conditions=conditions, order=page.order),
        asked | ({"node": node} if node else {}) | page.parameters,
    )
    nodes = [name for (name,) in found]
    named = {f"node_{n}": name for n, name in enumerate(nodes)}
    query = OF_NODES.format(nodes=", ".join(f":{name}" for name in named))
    means: dict[str, list[float]] = {name: [] for name in nodes}
    for row in records(session, query, asked | named) if nodes else ():
        means[row["node"]].append(row["mean"])
    return [{"node": name, **_dated(origin, means[name], weekly=weekly)} for name in nodes]


def _dated(origin: date, mean: Sequence[float], *, weekly: bool) -> Row:
    if not weekly:
        return {"dates": [origin + timedelta(days=day + 1) for day in range(len(mean))], "mean": list(mean)}
    weeks = whole_weeks(origin, len(mean)) if len(mean) >= WEEK else []
    return {"dates": [week.week_ending for week in weeks], "mean": [sum(mean[week.days]) for week in weeks]}


def shortened(body: bytes | str, horizon: int | None) -> bytes:
    """The answer about a series (``served_forecasts.body_of``) of its first ``horizon`` days."""
    raw = body.encode() if isinstance(body, str) else body
    if horizon is None:
        return raw
    content = orjson.loads(raw)
    content["horizon"] = min(horizon, content["horizon"])
    for name in ("dates", "mean", "status"):
        content[name] = content[name][:horizon]
    content["quantiles"] = {level: each[:horizon] for level, each in content["quantiles"].items()}
    return orjson.dumps(content)


def rounded(figures: Sequence[float]) -> list[float]:
    """Figures of units as the API gives them."""
    return [round(figure, DECIMALS) for figure in figures]


_QUANTILES = [pa.field(name, pa.float64()) for name in QUANTILES]
_NAMES = [pa.field("sku", pa.string()), pa.field("location", pa.string()), pa.field("origin_date", pa.date32())]
DAY_TABLE = pa.schema(
    [
        *(*_NAMES, pa.field("target_date", pa.date32()), pa.field("model", pa.string())),
        *(pa.field("mean", pa.float64()), *_QUANTILES, pa.field("status", pa.string())),
        *(pa.field("confidence", pa.float64()), pa.field("version", pa.string())),
    ]
)
WEEK_TABLE = pa.schema(
    [
        *(*_NAMES, pa.field("week_ending", pa.date32()), pa.field("model", pa.string())),
        *(pa.field("mean", pa.float64()), *_QUANTILES, pa.field("version", pa.string())),
    ]
)


def node_table(*, weekly: bool) -> pa.Schema:
    """The columns of a table of locations, categories or the total."""
    names = [("level", pa.string()), ("node", pa.string()), ("origin_date", pa.date32())]
    return pa.schema([*names, ("week_ending" if weekly else "target_date", pa.date32()), ("mean", pa.float64())])


@contextmanager
def blocks(
    reading: TenantReading,
    first: Page,
    read: Callable[[Session, Page], Sequence[Row]],
    key_of: Callable[[Row], Sequence[Any]],
    as_table: Callable[[Sequence[Row]], pa.Table],
) -> Iterator[Iterator[pa.Table]]:
    """The whole of a list as tables, ``BLOCK`` rows of it each, of one state of the data."""

    def each(session: Session) -> Iterator[pa.Table]:
        page = replace(first, limit=BLOCK)
        while True:
            rows = read(session, page)
            yield as_table(rows[:BLOCK])
            if len(rows) <= BLOCK:
                return
            page = replace(page, after=tuple(key_of(rows[BLOCK - 1])))

    with reading.session() as session:
        yield each(session)


def day_table(rows: Sequence[Row], *, horizon: int | None) -> pa.Table:
    """Rows of ``served`` as rows of ``DAY_TABLE``."""
    columns: dict[str, list[Any]] = {name: [] for name in DAY_TABLE.names}
    for row in rows:
        content = orjson.loads(shortened(row["body"], horizon))
        days = content["horizon"]
        repeated = {
            **{name: row[name] for name in ("sku", "location")},
            **{name: content[name] for name in ("model", "confidence", "version")},
            "origin_date": content["origin"],
        }
        for name, value in repeated.items():
            columns[name] += [value] * days
        columns["target_date"] += content["dates"]
        columns["mean"] += content["mean"]
        columns["status"] += content["status"]
        for name in QUANTILES:
            columns[name] += content["quantiles"][LEVELS[name]]
    return _table(columns, DAY_TABLE)


def week_table(rows: Sequence[Row], *, origin: date) -> pa.Table:
    """Rows of ``of_weeks`` as rows of ``WEEK_TABLE``."""
    flat = [
        {"sku": row["sku"], "location": row["location"], "origin_date": origin.isoformat(), "model": row["model"]}
        | {"version": row["digest"], "week_ending": week["week_ending"].isoformat()}
        | dict(zip(("mean", *QUANTILES), rounded([week[name] for name in ("mean", *QUANTILES)]), strict=True))
        for row in rows
        for week in row["weeks"]
    ]
    return _table({name: [row[name] for row in flat] for name in WEEK_TABLE.names}, WEEK_TABLE)


def nodes_table(rows: Sequence[Row], *, level: str, origin: date, weekly: bool) -> pa.Table:
    """Rows of ``of_nodes`` as rows of ``node_table``."""
    schema = node_table(weekly=weekly)
    flat = [
        (level, row["node"], origin.isoformat(), day.isoformat(), mean)
        for row in rows
        for day, mean in zip(row["dates"], rounded(row["mean"]), strict=True)
    ]
    return _table({name: [row[place] for row in flat] for place, name in enumerate(schema.names)}, schema)


def _table(columns: Mapping[str, list[Any]], schema: pa.Schema) -> pa.Table:
    """Columns as a table; days are given as ISO text."""
    return pa.table(
        [
            pa.array(columns[field.name], pa.string()).cast(field.type)
            if pa.types.is_date32(field.type)
            else pa.array(columns[field.name], field.type)
            for field in schema
        ],
        schema=schema,
    )
