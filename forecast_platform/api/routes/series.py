"""What is on record of one SKU: what it sold, and how good its forecasts were; and of all, which model is best."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from forecast_platform.accuracy.buckets import HORIZON_BUCKETS
from forecast_platform.api.access import Here
from forecast_platform.api.answers import answer
from forecast_platform.api.keys import Scope
from forecast_platform.api.paging import Cursor, Limit, page_of
from forecast_platform.api.parameters import TEXT, Location, Sku
from forecast_platform.api.periods import From, To, period
from forecast_platform.api.problems import RESPONSES, Problem
from forecast_platform.api.reading import accuracy as measuring
from forecast_platform.api.reading import history
from forecast_platform.api.reading.accuracy import ALL
from forecast_platform.api.reading.forecasts import known_locations
from forecast_platform.api.routing import api_router
from forecast_platform.io_managers.warehouse import Session

router = api_router(Scope.READ, tags=["series"])

DAYS, MOST_DAYS = 91, 1_100
SCORED_DAYS, MOST_SCORED_DAYS = 28, 400

UNKNOWN: dict[int | str, dict[str, Any]] = {404: {**RESPONSES[401], "description": "This SKU was never sold there."}}

Model = Annotated[
    str | None,
    Query(max_length=100, pattern=TEXT, description="Only this model; or `published`.", examples=["ensemble"]),
]
Bucket = Annotated[
    Literal["all", "1", "2-7", "8-14", "15-28", "29+"] | None,
    Query(alias="horizon_bucket", description="Only these days ahead; `all`: all of them together.", examples=["2-7"]),
]


class DayOfSales(BaseModel):
    """The facts of a SKU's day at a location."""

    day: date
    location: str
    units: float = Field(description="Net of returns, not below 0: what forecasts are of.")
    units_sold: float
    units_returned: float
    revenue: float
    price: float | None = Field(description="Mean price of what was sold; null where nothing was.")
    orders: int
    on_promotion: bool
    in_stock: bool = Field(description="False: the shelf was empty, and 0 units say nothing about demand.")


class History(BaseModel):
    """A page of facts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        **{"day": "2026-01-31", "location": "north", "units": 11, "units_sold": 12},
                        **{"units_returned": 1, "revenue": 35.75, "price": 3.25, "orders": 9},
                        **{"on_promotion": False, "in_stock": True},
                    }
                ],
                "next_cursor": None,
            }
        }
    )

    items: list[DayOfSales]
    next_cursor: str | None = Field(description="Asks for the next page; null: this is the last one.")


class Figures(BaseModel):
    """How good the forecasts of one scope were; null: undefined."""

    model: str = Field(description="A model, or `published`: what was published, whichever model it was of.")
    horizon_bucket: str = Field(description="Days ahead; `all`: all of them together.")
    scored: int = Field(description="Forecasts that have met their actual.")
    mape_skipped: int = Field(description="Those of them that MAPE leaves out: nothing was sold.")
    out_of_stock: int = Field(description="Those of them whose shelf was empty.")
    wape: float | None
    mape: float | None
    mape_coverage: float | None = Field(description="Share of the scored forecasts that MAPE is of.")
    mae: float | None
    rmse: float | None
    bias: float | None = Field(description="Above 0: too much was forecast.")
    fva_wape: float | None = Field(
        description="WAPE of `seasonal_naive_7` minus this one: above 0 is better. Null where it has met less than"
        " nine tenths of the floor's actuals: they are of other days."
    )
    fva_mae: float | None
    fva_rmse: float | None


class FiguresOfDay(Figures):
    """How good the forecasts of a day or of all days were."""

    day: date | None = Field(description="Null: all days of the period.")


class FiguresOfSeries(Figures):
    """How good the forecasts of one series were."""

    location: str
    mase: float | None = Field(description="MAE in units of the mean absolute one-day difference as of the origin.")
    rmsse: float | None = Field(description="RMSE in units of the root mean squared one-day difference.")
    unscaled: int = Field(description="Forecasts that MASE and RMSSE leave out: the series had no scale yet.")


EXAMPLE = {
    **{"model": "ensemble", "horizon_bucket": "all", "scored": 840, "mape_skipped": 112, "out_of_stock": 3},
    **{"wape": 0.31, "mape": 0.42, "mape_coverage": 0.8667, "mae": 2.9, "rmse": 4.4, "bias": -0.02},
    **{"fva_wape": 0.07, "fva_mae": 0.65, "fva_rmse": 0.9},
}


class Accuracy(BaseModel):
    """Accuracy over all series."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"from": "2026-01-04", "to": "2026-01-31"},
                "items": [{**EXAMPLE, "day": None}],
                "next_cursor": None,
            }
        }
    )

    first: date | None = Field(alias="from", description="First target day; null: nothing has been scored yet.")
    last: date | None = Field(alias="to")
    items: list[FiguresOfDay]
    next_cursor: None = Field(description="All is on one page.")


class SeriesAccuracy(BaseModel):
    """Accuracy of one SKU."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **{"sku": "sku 1", "from": "2026-01-04", "to": "2026-01-31"},
                "items": [{**EXAMPLE, "location": "north", "mase": 0.8, "rmsse": 0.83, "unscaled": 0}],
                "next_cursor": None,
            }
        }
    )

    sku: str
    first: date | None = Field(alias="from", description="First target day; null: nothing has been scored yet.")
    last: date | None = Field(alias="to")
    items: list[FiguresOfSeries]
    next_cursor: None = Field(description="All is on one page.")


@router.get(
    "/series/{sku}/history",
    operation_id="get_history",
    summary="What a SKU sold",
    response_model=History,
    responses=UNKNOWN,
)
def sales_history(
    request: Request,
    at: Here,
    sku: Sku,
    first: From = None,
    last: To = None,
    location: Location = None,
    limit: Limit = 400,
    cursor: Cursor = None,
) -> Response:
    """Facts by day and location, as they are now: a correction shows. A SKU that sold nothing on a day has a row of
    zeros, until it has not sold for long. Without `from`, 91 days up to `to`; at most 1,100."""
    with at.reading.session() as session:
        locations = _locations(session, sku, location)
        asked = {"list": "history", "sku": sku, "location": location, "from": first, "to": last}
        page = page_of(limit=limit, cursor=cursor, keys=history.KEYS, asked=asked)
        newest = history.newest_day(session) or at.platform.today(at.principal.tenant)
        days = period(first, last, newest=newest, days=DAYS, most=MOST_DAYS)
        rows = history.facts(session, sku, sorted(locations.values()), *days, page)
    kept, following = page.cut(rows, lambda row: (row["sale_date"], row["location"]))
    items = [{**row, "day": row["sale_date"], "price": row["avg_price"]} for row in kept]
    content = [{name: item[name] for name in DayOfSales.model_fields} for item in items]
    return answer(request, {"items": content, "next_cursor": following})


@router.get(
    "/series/{sku}/accuracy",
    operation_id="get_series_accuracy",
    summary="How good the forecasts of a SKU were",
    response_model=SeriesAccuracy,
    responses=UNKNOWN,
)
def series_accuracy(
    request: Request,
    at: Here,
    sku: Sku,
    first: From = None,
    last: To = None,
    location: Location = None,
    model: Model = None,
    bucket: Bucket = None,
) -> Response:
    """By location, model and horizon bucket, of the target days `from` to `to`: the newest 28 that are scored, at most
    400. Of several versions of a forecast the newest counts."""
    with at.reading.session() as session:
        locations = _locations(session, sku, location)
        newest = measuring.newest_scored(session)
        days = None if newest is None else period(first, last, newest=newest, days=SCORED_DAYS, most=MOST_SCORED_DAYS)
        rows = [] if days is None else measuring.of_series(session, locations, *days)
    items = [{**row, "location": locations[row["series_id"]]} for row in rows if _asked_for(row, model, bucket)]
    items.sort(key=lambda item: item["location"])
    return answer(request, {"sku": sku, **_told(days), "items": _fields(items, FiguresOfSeries), "next_cursor": None})


@router.get("/accuracy", operation_id="get_accuracy", summary="How good the models are", response_model=Accuracy)
def accuracy(
    request: Request,
    at: Here,
    first: From = None,
    last: To = None,
    model: Model = None,
    bucket: Bucket = None,
    by: Annotated[
        Literal["period", "day"], Query(description="All days together, or each.", examples=["day"])
    ] = "period",
    sort: Annotated[
        Literal["wape", "mape", "mae", "rmse", "bias"],
        Query(description="The best first; of biases the one nearest to 0.", examples=["rmse"]),
    ] = "wape",
) -> Response:
    """The leaderboard: over all series, by model and horizon bucket, of the target days `from` to `to` (the newest 28
    that are scored, at most 400), the best model of each bucket first. The model `published` is what was published."""
    with at.reading.session() as session:
        newest = measuring.newest_scored(session)
        days = None if newest is None else period(first, last, newest=newest, days=SCORED_DAYS, most=MOST_SCORED_DAYS)
        rows = [] if days is None else measuring.over_all(session, *days, by_day=by == "day")
    items = sorted((row for row in rows if _asked_for(row, model, bucket)), key=lambda row: _place(row, sort))
    return answer(request, {**_told(days), "items": _fields(items, FiguresOfDay), "next_cursor": None})


def _locations(session: Session, sku: str, location: str | None) -> dict[int, str]:
    """The series of a SKU, at one location or at all.

    Raises:
        Problem: there is none.
    """
    known = known_locations(session, sku)
    if not known:
        raise Problem(
            404, "unknown-sku", "nothing of this SKU was ever sold; GET /api/v1/forecasts lists what there is"
        )
    found = {series: name for series, name in known.items() if location in (None, name)}
    if not found:
        raise Problem(404, "unknown-location", "this SKU was never sold at this location; leave it out to see where")
    return found


def _asked_for(row: Mapping[str, Any], model: str | None, bucket: str | None) -> bool:
    return model in (None, row["model"]) and bucket in (None, row["horizon_bucket"])


def _place(row: Mapping[str, Any], sort: str) -> tuple:
    """By day, bucket and then by the metric; what has none comes last."""
    value = row[sort]
    buckets = (ALL, *HORIZON_BUCKETS)
    return (row["day"] or date.min, buckets.index(row["horizon_bucket"]), value is None, abs(value or 0), row["model"])


def _told(days: tuple[date, date] | None) -> dict[str, date | None]:
    return dict(zip(("from", "to"), days or (None, None), strict=True))


def _fields(rows: list[dict[str, Any]], of: type[BaseModel]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in of.model_fields} for row in rows]
