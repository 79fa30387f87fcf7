"""Everything on record of one series' forecast from one origin: what went in, what came out, what sold, who asked.

Facts are gathered here as plain values that JSON can hold; how they look at a terminal is in ``audit_report``.
Nothing is decided and nothing is written.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from forecast_platform.assets.scope import TenantScope
from forecast_platform.audit_inputs import GONE, Histories, SeriesHistory
from forecast_platform.audit_runs import with_dagster, with_runs
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.logs import masked
from forecast_platform.tables import QUANTILES

if TYPE_CHECKING:
    from dagster import DagsterInstance

Row = dict[str, Any]

NEWEST_DAYS = 7
"""Days up to the origin of which the landed batches are named: a forecast leans on them most."""

BATCHES_SHOWN = 20
ORIGINS_SHOWN = 10

SERIES = "select series_id, sku, location from series where sku = :sku order by location"
VERSIONS = """
    select version_id, digest, model, model_spec, code_version, horizon, inputs, series, live
    from forecast_versions where origin_date = :origin order by version_id
"""
FORECASTS = """
    select version_id, horizon, mean, status from forecasts
    where origin_date = :origin and series_id = :series order by version_id, horizon
"""
INTERVALS = f"""
    select version_id, horizon, calibration_id, {", ".join(QUANTILES)} from forecast_intervals
    where origin_date = :origin and series_id = :series order by calibration_id
"""
PUBLICATIONS = """
    select version_id, calibration_id, batch_id, confidence, published_at from publications
    where origin_date = :origin and series_id = :series order by batch_id
"""
CHAMPION = """
    select model, incumbent, reason, segment, days_held, n, rmsse, incumbent_rmsse, floor_rmsse, bias, confidence
    from champions where as_of = :origin and series_id = :series
"""
EXPLANATIONS = """
    select version_id, summary from forecast_explanations
    where origin_date = :origin and series_id = :series order by batch_id
"""
SOLD = """
    select sale_date, units, in_stock from daily_sales
    where series_id = :series and sale_date > :origin and sale_date <= :last
"""
ERRORS = """
    select target_date, version_id, actual, error, in_stock from forecast_errors
    where origin_date = :origin and series_id = :series and target_date > :origin and target_date <= :last
"""
RUNS = """
    select run_id, model, version_id, appended, requested_by, reason, outcome, started_at, ended_at
    from forecast_runs where origin_date = :origin
    order by case when ended_at is null then 1 else 0 end, ended_at, started_at, model
"""
BATCHES = """
    select batch_digest, source, name, rows, days, received_at from landed_batches
    where asset = 'raw_sales' and refused is null and ({touches}) order by ordinal desc
"""
ORIGINS = """
    select distinct origin_date from forecasts where series_id = :series and horizon = 1 order by origin_date desc
"""

INPUTS = {
    "series": "which series there were",
    "groups": "categories of items",
    "history": "sales history",
    "covariates": "which covariates there were",
    "covariates_past": "past promotions, prices, holidays or covariates",
    "covariates_ahead": "plan, prices, holidays or covariates ahead",
    "artifact": "what the model had learned",
}
SETTINGS = {
    "spec": "spec",
    "code_version": "code version of the model",
    "guards": "code version of the guards",
    "fallback": "code version of the fallback",
    "horizon": "horizon",
    "window": "training window",
    "device": "device",
    "dtype": "number type",
}
"""Parts of ``input_summary`` in words, for what differs between two versions."""


class NothingToAudit(LookupError):
    """There is no such series, or no forecast of it from that origin. The message names what there is."""


def audit(
    scope: TenantScope,
    sku: str,
    origin: date,
    *,
    location: str | None = None,
    model: str | None = None,
    instance: DagsterInstance | None = None,
) -> Row:
    """All that is on record of a series' forecasts from an origin.

    Args:
        location: needed where the SKU is sold at several.
        model: tell of this model only.
        instance: Dagster's record of runs, for how they ended and the events they came from.

    Raises:
        NothingToAudit: naming near SKUs, the locations, the origins or the models there are.
    """
    with scope.warehouse.reading() as session:
        return audit_in(session, scope, sku, origin, location=location, model=model, instance=instance)


def audit_in(
    session: Session,
    scope: TenantScope,
    sku: str,
    origin: date,
    *,
    location: str | None = None,
    model: str | None = None,
    instance: DagsterInstance | None = None,
    served: bool = False,
) -> Row:
    """The same in a session of one's own.

    Args:
        served: tell only what is served to readers outside of runs, and soon: not the sales history that a version was
            made from, which is read of all series again, nor errors as they were scored.
    """
    session.recall([origin])
    found = _series(session, scope.name, sku, location)
    asked = {"origin": origin, "series": found["series_id"]}
    versions = _rows(session, VERSIONS, {"origin": origin})
    rows = _rows(session, FORECASTS, asked)
    if not rows:
        raise NothingToAudit(_no_origin(session, scope, found, origin))
    _require_model(versions, model, origin)
    chosen = [each for each in versions if model in (None, each["model"])]
    last = origin + timedelta(days=max(each["horizon"] for each in versions))
    publications = _rows(session, PUBLICATIONS, asked)
    runs = with_dagster(_rows(session, RUNS, {"origin": origin}), instance)
    runs = [each for each in runs if model in (None, each["model"])]
    met = _met(session, asked | {"last": min(last, scope.today() - timedelta(days=1))}, scored=not served)
    forecasts = _forecasts(origin, rows, _rows(session, INTERVALS, asked), publications, met)
    histories = None if served else Histories(scope, session, found["series_id"], origin)
    told, seen = _versions(chosen, forecasts, publications, runs, histories)
    return _plain(
        {
            "tenant": scope.name,
            "sku": found["sku"],
            "location": found["location"],
            "origin": origin,
            "versions": told,
            "changes": _changes(chosen, told, seen),
            "publications": with_runs(scope, publications, versions, origin, instance),
            "champion": next(iter(_rows(session, CHAMPION, asked)), None),
            "explanation": _explanation(_rows(session, EXPLANATIONS, asked), publications),
            "runs": runs,
            "landed": _batches(session, origin),
        }
    )


def _rows(session: Session, query: str, parameters: Mapping[str, Any]) -> list[Row]:
    return session.arrow(query, parameters).to_pylist()


def _series(session: Session, tenant: str, sku: str, location: str | None) -> Row:
    rows = _rows(
        session, "select series_id, sku, location from series where sku = :sku order by location", {"sku": sku}
    )
    if not rows:
        names = [name for (name,) in session.execute("select distinct sku from series order by sku")]
        lower = {name.lower(): name for name in names}
        near = [lower[each] for each in difflib.get_close_matches(sku.lower(), lower, n=5, cutoff=0.5)]
        raise NothingToAudit(
            f"SKU {sku!r}: {tenant} has never sold it; "
            + (f"near it are {_named(near)}" if near else f"it has sold {len(names)} others, none of a near name")
        )
    there = [each["location"] for each in rows]
    if location is None and len(rows) > 1:
        raise NothingToAudit(f"SKU {sku!r} is sold at {_named(there)}: say which with --location")
    if location is not None and location not in there:
        raise NothingToAudit(f"--location {location}: {tenant} has not sold SKU {sku!r} there, but at {_named(there)}")
    return next(each for each in rows if location in (None, each["location"]))


def _no_origin(session: Session, scope: TenantScope, found: Row, origin: date) -> str:
    days = [day for (day,) in session.execute(ORIGINS, {"series": found["series_id"]})]
    who = f"SKU {found['sku']!r} at {found['location']}"
    if not days:
        return f"{who}: {scope.name} has no forecast of it from any origin: materialize forecasts first"
    shown = ", ".join(day.isoformat() for day in days[:ORIGINS_SHOWN])
    more = f" and {len(days) - ORIGINS_SHOWN} before" if len(days) > ORIGINS_SHOWN else ""
    return f"{who}: there is no forecast of it from {origin}; there are from {shown}{more}"


def _require_model(versions: Sequence[Row], model: str | None, origin: date) -> None:
    there = sorted({each["model"] for each in versions})
    if model is not None and model not in there:
        raise NothingToAudit(f"--model {model}: no version of it from {origin}; there are {', '.join(there)}")


def _named(names: Iterable[str]) -> str:
    return ", ".join(repr(each) for each in names)


def _met(session: Session, asked: Row, *, scored: bool) -> dict[str, dict]:
    """What sold, by day, and the errors on record, by version and day; dbt may not have made its tables yet."""
    there = session.relations() if scored else ()
    sold = _rows(session, SOLD, {name: asked[name] for name in ("series", "origin", "last")})
    errors = _rows(session, ERRORS, asked) if "forecast_errors" in there else []
    by_day = {each["sale_date"]: each for each in sold}
    for each in errors:  # a series that has become inactive sold 0, and has no row of sales
        by_day.setdefault(each["target_date"], {"units": each["actual"], "in_stock": each["in_stock"]})
    return {"sold": by_day, "errors": {(each["version_id"], each["target_date"]): each["error"] for each in errors}}


def _forecasts(
    origin: date,
    rows: Sequence[Row],
    intervals: Sequence[Row],
    publications: Sequence[Row],
    met: Mapping[str, dict],
) -> dict[int, list[Row]]:
    """By version: each day's forecast, the newest quantiles (of what is published, those published), sales, error."""
    limits = {each["version_id"]: each["calibration_id"] for each in publications}
    quantiles: dict[tuple[int, int], Row] = {}
    for each in intervals:
        if each["calibration_id"] <= limits.get(each["version_id"], each["calibration_id"]):
            quantiles[each["version_id"], each["horizon"]] = {name: each[name] for name in QUANTILES}
    made: dict[int, list[Row]] = {}
    for each in rows:
        version, day = each["version_id"], origin + timedelta(days=each["horizon"])
        sold = met["sold"].get(day, {})
        made.setdefault(version, []).append(
            {"target_date": day, "horizon": each["horizon"], "mean": each["mean"], "status": each["status"]}
            | quantiles.get((version, each["horizon"]), dict.fromkeys(QUANTILES))
            | {"sold": sold.get("units"), "in_stock": sold.get("in_stock")}
            | {"error": met["errors"].get((version, day))}
        )
    return made


def _versions(
    versions: Sequence[Row],
    forecasts: Mapping[int, list[Row]],
    publications: Sequence[Row],
    runs: Sequence[Row],
    histories: Histories | None,
) -> tuple[list[Row], dict[int, SeriesHistory | None]]:
    """Each version with who asked for it, what went in and what came out; and the series as each of them saw it."""
    published = publications[-1]["version_id"] if publications else None
    told, seen = [], {}
    for version in versions:
        number, inputs = version["version_id"], json.loads(version["inputs"])
        made_by = next((each for each in runs if each["version_id"] == number), {})
        seen[number] = None if histories is None else histories.of(inputs, made_by.get("started_at"))
        history = seen[number]
        told.append(
            {name: version[name] for name in ("version_id", "model", "digest", "model_spec", "code_version", "live")}
            | {"published": number == published, "series_appended": version["series"]}
            | {name: made_by.get(name) for name in ("run_id", "requested_by", "reason", "correlation_id")}
            | {"made_at": made_by.get("ended_at"), "went_in_all_series": inputs.get("figures")}
            | {"went_in": None if history is None else history.figures()}
            | {"went_in_source": _source(history, histories)}
            | {"inputs": inputs, "forecasts": forecasts.get(number, [])}
        )
    return told, seen


def _source(history: SeriesHistory | None, histories: Histories | None) -> str | None:
    if history is not None:
        return history.source
    return None if histories is None else GONE


def _changes(versions: Sequence[Row], told: Sequence[Row], seen: Mapping[int, SeriesHistory | None]) -> list[Row]:
    """What each version changed of the one of its model before it: which days, by how much, and why."""
    by_number = {each["version_id"]: each for each in told}
    changes, standing, before = [], {}, {}
    for version in versions:
        model, number = version["model"], version["version_id"]
        now = by_number[number]
        if model in before:
            old = by_number[before[model]]
            histories = seen[before[model]], seen[number]
            changes.append(
                {"model": model, "from": before[model], "to": number, "at": now["made_at"]}
                | {"why": _why(old["inputs"], now["inputs"])}
                | {"days": _differing(standing.get(model, []), now["forecasts"])}
                | {"history": histories[0].changes_to(histories[1]) if None not in histories else None}
                | {"requested_by": now["requested_by"], "reason": now["reason"]}
            )
        before[model] = number
        standing[model] = now["forecasts"] or standing.get(model, [])
    return changes


def _why(old: Row, new: Row) -> list[str]:
    settings = [
        f"{words}: {old.get(name)} became {new.get(name)}"
        for name, words in SETTINGS.items()
        if old.get(name) != new.get(name)
    ]
    inputs = [words for name, words in INPUTS.items() if old["inputs"].get(name) != new["inputs"].get(name)]
    return [*settings, *inputs] or ["the same inputs again, after others"]


def _differing(old: Sequence[Row], new: Sequence[Row]) -> list[Row]:
    """Days whose mean or status differs; none where ``new`` appended nothing of this series."""
    before = {each["target_date"]: each for each in old}
    pairs = [(before.get(each["target_date"], {}), each) for each in new]
    return [
        {"target_date": now["target_date"], "before": was.get("mean"), "after": now["mean"]}
        | {"change": None if was.get("mean") is None else now["mean"] - was["mean"], "status": now["status"]}
        for was, now in pairs
        if (was.get("mean"), was.get("status")) != (now["mean"], now["status"])
    ]


def _explanation(explanations: Sequence[Row], publications: Sequence[Row]) -> str | None:
    """The newest sentence about what is published."""
    published = publications[-1]["version_id"] if publications else None
    return next((each["summary"] for each in reversed(explanations) if each["version_id"] == published), None)


def _batches(session: Session, origin: date) -> list[Row]:
    """Landed batches of sales that hold one of the newest days, the newest first."""
    days = [(origin - timedelta(days=back)).isoformat() for back in range(NEWEST_DAYS)]
    touches = " or ".join(f"days like :day_{n}" for n in range(len(days)))
    query = BATCHES.format(touches=touches)
    rows = _rows(session, query, {f"day_{n}": f'%"{day}"%' for n, day in enumerate(days)})
    return [each | {"days": sorted(set(json.loads(each["days"])) & set(days))} for each in rows[:BATCHES_SHOWN]]


def _plain(value: Any) -> Any:
    """A value as JSON holds it; texts without secrets."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    return masked(value) if isinstance(value, str) else value
