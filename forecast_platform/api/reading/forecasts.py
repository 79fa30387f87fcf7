"""Forecasts of one SKU other than the newest publication: of a past origin, of another model, as of a past moment.

They are put in the form of ``served_forecasts`` (``assets.served_forecasts``), figures and all, so that what was
published then is answered as it was answered then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from forecast_platform.api.reading.base import records
from forecast_platform.api.reading.latest import Served
from forecast_platform.assets.served_forecasts import body_of, rounded
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.tables import QUANTILES

SERIES = "select series_id, location from series where sku = :sku order by location"

PUBLISHED = """
    select p.series_id, p.origin_date, p.version_id, p.calibration_id, p.confidence, p.published_at, v.model, v.digest
    from (
      select *, row_number() over (partition by series_id order by origin_date desc, batch_id desc) as age
      from publications where series_id in ({series}) {conditions}
    ) p
    join forecast_versions v on v.version_id = p.version_id
    where p.age = 1
"""

# A version holds the series that differ from those before it: of each series the newest that has it.
OF_MODEL = """
    select f.series_id, f.origin_date, max(f.version_id) as version_id
    from forecasts f join forecast_versions v on v.version_id = f.version_id
    where f.origin_date = :origin and v.origin_date = :origin and v.model = :model and f.series_id in ({series})
    group by f.series_id, f.origin_date
"""
VERSIONS = "select version_id, model, digest from forecast_versions where origin_date = :origin"

NEWEST_ORIGIN = "select max(origin_date) as origin from forecast_versions where model = :model"

POINTS = """
    select version_id, series_id, horizon, mean, status from forecasts
    where origin_date = :origin and version_id in ({versions}) and series_id in ({series}) order by horizon
"""
AROUND = f"""
    select version_id, series_id, horizon, calibration_id, {", ".join(QUANTILES)} from forecast_intervals
    where origin_date = :origin and version_id in ({{versions}}) and series_id in ({{series}}) order by calibration_id
"""
WHY = """
    select version_id, series_id, summary from forecast_explanations
    where origin_date = :origin and version_id in ({versions}) and series_id in ({series}) order by batch_id
"""

Row = dict[str, Any]


def known_locations(session: Session, sku: str) -> dict[int, str]:
    """The series of a SKU: locations by id."""
    return {row["series_id"]: row["location"] for row in records(session, SERIES, {"sku": sku})}


def published(
    session: Session, locations: Mapping[int, str], *, origin: date | None, as_of: datetime | None
) -> list[Served]:
    """What was published for some series, of an origin, up to a moment or both: each one's answer."""
    if not locations:
        return []
    conditions, asked = "", {}
    if origin is not None:
        conditions, asked = conditions + " and origin_date = :origin", asked | {"origin": origin}
    if as_of is not None:
        conditions, asked = conditions + " and published_at <= :as_of", asked | {"as_of": as_of}
    chosen = records(session, PUBLISHED.format(series=_list(locations), conditions=conditions), asked)
    return _bodies(session, locations, chosen)


def of_model(session: Session, locations: Mapping[int, str], model: str, origin: date | None) -> list[Served]:
    """A model's newest forecast of an origin, or of its newest one, for some series; it need never have been
    published."""
    origin = origin or session.scalar(NEWEST_ORIGIN, {"model": model})
    if origin is None or not locations:
        return []
    session.recall([origin], "forecasts")
    query = OF_MODEL.format(series=_list(locations))
    chosen = records(session, query, {"origin": origin, "model": model})
    versions = {row["version_id"]: row for row in records(session, VERSIONS, {"origin": origin})}
    nothing = {"calibration_id": None, "confidence": None, "published_at": None}
    return _bodies(session, locations, [{**nothing, **versions[row["version_id"]], **row} for row in chosen])


def _bodies(session: Session, locations: Mapping[int, str], chosen: Sequence[Row]) -> list[Served]:
    answers: dict[str, Served] = {}
    for origin in sorted({row["origin_date"] for row in chosen}):
        rows = [row for row in chosen if row["origin_date"] == origin]
        points, around, why = _ledger(session, origin, rows)
        for row in rows:
            key = row["version_id"], row["series_id"]
            quantiles = _quantiles(around.get(key, ()), row["calibration_id"])
            location = locations[row["series_id"]]
            days = points.get(key, ())
            body = body_of(
                location=location,
                origin=origin,
                horizons=[day["horizon"] for day in days],
                mean=rounded([day["mean"] for day in days]),
                quantiles={
                    name: rounded([quantiles.get(day["horizon"], {}).get(name) for day in days]) for name in QUANTILES
                },
                status=[day["status"] for day in days],
                model=row["model"],
                version=row["digest"],
                confidence=row["confidence"],
                published_at=row["published_at"],
                explanation=why.get(key),
            )
            answers[location] = Served(location, origin, body)
    return [answers[location] for location in sorted(answers)]


def _ledger(session: Session, origin: date, rows: Sequence[Row]) -> tuple[dict, dict, dict]:
    """Points, quantiles and explanations of the versions of an origin, by version and series."""
    session.recall([origin])
    named = {
        "versions": _list({row["version_id"] for row in rows}),
        "series": _list({row["series_id"] for row in rows}),
    }
    points, around = (
        _grouped(records(session, query.format(**named), {"origin": origin})) for query in (POINTS, AROUND)
    )
    told = records(session, WHY.format(**named), {"origin": origin})
    return points, around, {(row["version_id"], row["series_id"]): row["summary"] for row in told}


def _grouped(rows: Sequence[Row]) -> dict[tuple[int, int], list[Row]]:
    grouped: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        grouped.setdefault((row["version_id"], row["series_id"]), []).append(row)
    return grouped


def _quantiles(rows: Sequence[Row], calibration: int | None) -> dict[int, Row]:
    """Of each horizon the newest calibration up to the one that was published; the newest of all where none was."""
    return {row["horizon"]: row for row in rows if calibration is None or row["calibration_id"] <= calibration}


def _list(ids) -> str:
    """Integers of our own, as SQL has a list of them."""
    return ", ".join(str(int(each)) for each in sorted(ids))
