"""``GET /forecasts``: what is published of many series, by day or week, or summed up; in pages, or whole as a table."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

import orjson
from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from forecast_platform.api.access import Here, TenantAccess
from forecast_platform.api.answers import answer_bytes, to_json
from forecast_platform.api.keys import Scope
from forecast_platform.api.paging import MOVED_ON, Cursor, Limit, Page, page_of
from forecast_platform.api.parameters import LONGEST_NAME, TEXT, Horizon, Location
from forecast_platform.api.problems import Problem
from forecast_platform.api.reading import listed_forecasts as reading
from forecast_platform.api.reading.listed_forecasts import Row, Wanted
from forecast_platform.api.routing import api_router
from forecast_platform.api.tabular import NOT_ACCEPTABLE, TABLES, Form, table_answer, wanted_form
from forecast_platform.assets.served_forecasts import LEVELS
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.tables import QUANTILES

router = api_router(Scope.READ, tags=["forecasts"])

MOST_SKUS = 100

Name = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_NAME, pattern=TEXT)]
Skus = Annotated[
    list[Name], Query(alias="sku", max_length=MOST_SKUS, description="Only these SKUs.", examples=[["sku 1"]])
]
Category = Annotated[
    str | None,
    Query(max_length=LONGEST_NAME, pattern=TEXT, description="Only items of this category.", examples=["warm"]),
]
Granularity = Annotated[
    Literal["day", "week"], Query(description="Days, or whole weeks from Sunday to Saturday.", examples=["week"])
]
Level = Annotated[
    Literal["series", "location", "category", "total"],
    Query(description="Each SKU at each location, or sums that add up.", examples=["location"]),
]
Published = Annotated[
    str | None,
    Query(
        alias="model",
        max_length=100,
        pattern=TEXT,
        description="Only series whose forecast is its.",
        examples=["ensemble"],
    ),
]
Status = Annotated[
    str | None,
    Query(
        max_length=100,
        pattern=TEXT,
        description="Only series of this status in the newest inventory plan.",
        examples=["understocked"],
    ),
]


class ListedForecast(BaseModel):
    """The forecast of a series, or of a sum of series. Arrays run over its days or weeks."""

    level: Literal["series", "location", "category", "total"] = "series"
    sku: str | None = Field(None, description="Of a series.")
    location: str | None = Field(None, description="Of a series.")
    node: str | None = Field(None, description="Of a sum: which location or category.")
    origin: date = Field(description="The last day whose sales it knew.")
    horizon: int = Field(description="Values in the arrays.")
    model: str | None = Field(None, description="Of a series.")
    version: str | None = Field(None, description="Digest of all that the forecast was made from.")
    confidence: float | None = Field(None, description="0 to 1: skill over repeating the week before.")
    published_at: str | None = None
    explanation: str | None = None
    dates: list[date] = Field(description="The days; of weeks the Saturday that each ends on.")
    mean: list[float] = Field(description="Expected units.")
    quantiles: dict[str, list[float | None]] | None = Field(
        None, description="Units that demand stays below with the probability that names them; sums have none."
    )
    status: list[str] | None = Field(None, description="How each day was made.")
    age_days: int = Field(description="Days from the origin to today's open day.")


class ListedForecasts(BaseModel):
    """A page of forecasts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "level": "location",
                        "node": "north",
                        "origin": "2026-01-31",
                        "horizon": 2,
                        "dates": ["2026-02-01", "2026-02-02"],
                        "mean": [412.5, 398.25],
                        "age_days": 1,
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    items: list[ListedForecast]
    next_cursor: str | None = Field(description="Asks for the next page; null: this is the last one.")


@router.get(
    "/forecasts",
    operation_id="list_forecasts",
    summary="Forecasts of many series",
    response_model=ListedForecasts,
    responses={200: {"content": TABLES}, **NOT_ACCEPTABLE, **MOVED_ON},
)
def list_forecasts(
    request: Request,
    at: Here,
    sku: Skus = [],  # noqa: B006 (FastAPI copies it)
    location: Location = None,
    category: Category = None,
    model: Published = None,
    status: Status = None,
    granularity: Granularity = "day",
    level: Level = "series",
    horizon: Horizon = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """What is published now: of each SKU and location, in the order of their names, or of locations, categories and
    the total, which add up.

    With `Accept: text/csv` or `application/vnd.apache.parquet` the whole is one table with a row a day or week, and
    `limit` and `cursor` mean nothing. A cursor names the publication it began in: once another is out, it is answered
    with 410, so that pages never mix two.
    """
    form = wanted_form(request)
    wanted = Wanted(tuple(sorted(set(sku))), location, category, model, status)
    _require_askable(at, wanted, level=level, weekly=granularity == "week", horizon=horizon)
    with at.reading.session() as session:
        origin = reading.newest_origin(session)
        state = reading.state_of(session)
        listing = _Listing(at, wanted, granularity == "week", level, horizon, origin, state)
        if form == "json":
            page = listing.page(limit, cursor)
            rows = listing.rows(session, page)
            kept, following = page.cut(rows, listing.key_of)
            items = b",".join(map(listing.item, kept))
            return answer_bytes(request, b'{"items":[%b],"next_cursor":%b}' % (items, orjson.dumps(following)))
    return listing.table(request, form, version=at.reading.version())


def _require_askable(at: TenantAccess, wanted: Wanted, *, level: str, weekly: bool, horizon: int | None) -> None:
    if wanted.status is not None and not at.tenant.plans_stock:
        raise Problem(422, "invalid-request", "no stock is planned here, so no series has a status")
    if weekly and horizon is not None:
        raise Problem(422, "invalid-request", "horizon counts days; granularity=week gives all whole weeks")
    if level == "series":
        return
    foreign = {"sku": wanted.skus, "model": wanted.model, "status": wanted.status}
    foreign |= {name: getattr(wanted, name) for name in ("location", "category") if name != level}
    given = [name for name, value in foreign.items() if value]
    if given:
        raise Problem(422, "invalid-request", f"level={level} goes without {', '.join(given)}: sums are of all series")


class _Listing:
    """One list: where its rows are from, and how they look."""

    def __init__(
        self,
        at: TenantAccess,
        wanted: Wanted,
        weekly: bool,
        level: str,
        horizon: int | None,
        origin: date | None,
        state: str,
    ) -> None:
        self._at, self._wanted, self._weekly, self._level = at, wanted, weekly, level
        self._horizon, self._origin, self._state = horizon, origin, state
        self._today = at.platform.today(at.principal.tenant)

    def page(self, limit: int, cursor: str | None) -> Page:
        asked = vars(self._wanted) | {"weekly": self._weekly, "level": self._level, "list": "forecasts"}
        keys = reading.SERIES_KEYS if self._level == "series" else reading.NODE_KEYS
        return page_of(limit=limit, cursor=cursor, keys=keys, asked=asked, state=self._state)

    def key_of(self, row: Row) -> tuple[str, ...]:
        return (row["sku"], row["location"]) if self._level == "series" else (row["node"],)

    def rows(self, session: Session, page: Page) -> list[Row]:
        if self._origin is None:
            return []
        if self._level != "series":
            node = getattr(self._wanted, self._level, None)
            return reading.of_nodes(
                session, page, level=self._level, node=node, origin=self._origin, weekly=self._weekly
            )
        if self._weekly:
            return reading.of_weeks(session, self._wanted, page, origin=self._origin, today=self._today)
        return reading.served(session, self._wanted, page, today=self._today)

    def item(self, row: Row) -> bytes:
        """A row as JSON."""
        if self._level == "series" and not self._weekly:
            body = reading.shortened(row["body"], self._horizon)
            origin = date.fromisoformat(orjson.loads(body)["origin"])
            named = b'{"level":"series","sku":' + orjson.dumps(row["sku"]) + b","
            return named + body[1:-1] + b',"age_days":%d}' % (self._today - origin).days
        assert self._origin is not None
        content: Row = {"level": self._level, "origin": self._origin, "age_days": (self._today - self._origin).days}
        return to_json(content | (self._week(row) if self._level == "series" else self._node(row)))

    def _week(self, row: Row) -> Row:
        weeks = row["weeks"]
        return {
            **{"sku": row["sku"], "location": row["location"], "model": row["model"], "version": row["digest"]},
            "horizon": len(weeks),
            "dates": [week["week_ending"] for week in weeks],
            "mean": reading.rounded([week["mean"] for week in weeks]),
            "quantiles": {LEVELS[name]: reading.rounded([week[name] for week in weeks]) for name in QUANTILES},
        }

    def _node(self, row: Row) -> Row:
        kept = slice(None if self._weekly else self._horizon)
        mean = reading.rounded(row["mean"][kept])
        return {"node": row["node"], "horizon": len(mean), "dates": row["dates"][kept], "mean": mean}

    def table(self, request: Request, form: Form, *, version: str) -> Response:
        """The whole list as one table."""
        schema, as_table = self._columns()
        blocks = reading.blocks(self._at.reading, self.page(1, None), self.rows, self.key_of, as_table)
        return table_answer(request, blocks, form=form, schema=schema, name="forecasts", version=version)

    def _columns(self) -> tuple[Any, Any]:
        origin = self._origin or date.min
        if self._level != "series":
            of_level = partial(reading.nodes_table, level=self._level, origin=origin, weekly=self._weekly)
            return reading.node_table(weekly=self._weekly), lambda rows: of_level(list(map(self._cut, rows)))
        if self._weekly:
            return reading.WEEK_TABLE, partial(reading.week_table, origin=origin)
        return reading.DAY_TABLE, partial(reading.day_table, horizon=self._horizon)

    def _cut(self, row: Row) -> Row:
        kept = slice(None if self._weekly else self._horizon)
        return row | {"dates": row["dates"][kept], "mean": row["mean"][kept]}
