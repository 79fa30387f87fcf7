"""Checks of ``forecasts``: every active series has numbers to publish, and no model failed."""

from __future__ import annotations

from forecast_platform.assets.checks.schema import schema_check
from forecast_platform.assets.checks.suite import Check, Finding, Look, examples, failed
from forecast_platform.tenant import Tenant


def checks(tenant: Tenant) -> list[Check]:
    return [
        schema_check("forecasts"),
        Check(
            "forecasts",
            "forecasts_complete",
            f"Every active series has finite forecasts of {tenant.horizon} days; a series that some models lack is"
            " told, one that all lack stops what follows.",
            forecasts_complete,
            blocking=True,
            alert="quality",
        ),
        Check(
            "forecasts",
            "models_ran",
            "No model failed when it was last asked; one that fails costs its own forecasts only.",
            models_ran,
            alert="quality",
        ),
    ]


# A version holds every horizon of a series, or as many as it says; an older whole one still counts, and a longer one.
# Horizons from 1 on are counted and added: a count of distinct ones takes fifteen times as long (1.8 s for six models
# of 30,490 series).
INCOMPLETE = """
    with origins as (
      select day as origin from partition_log where asset = 'forecasts' and day between :first and :last
    ),
    active as (
      select features.sale_date as origin, features.series_id
      from features join origins on origins.origin = features.sale_date
    ),
    rows_held as (
      select origin_date, version_id, series_id, count(*) as horizons, sum(horizon) as places
      from forecasts
      where origin_date between :first and :last
        and mean >= 0 and mean < cast('Infinity' as double precision)
      group by origin_date, version_id, series_id
    ),
    held as (
      select r.origin_date as origin, v.model, r.series_id,
        max(case when r.horizons = v.horizons then 1
          when r.horizons >= :horizon and 2 * places = r.horizons * (r.horizons + 1) then 1 else 0 end) as whole
      from rows_held r join forecast_versions v on v.version_id = r.version_id
      group by r.origin_date, v.model, r.series_id
    ),
    models as (select distinct origin, model from held)
    select active.origin, models.model, active.series_id
    from active
    left join models on models.origin = active.origin
    left join held
      on held.origin = active.origin and held.model = models.model and held.series_id = active.series_id
    where coalesce(held.whole, 0) = 0
    order by active.origin, models.model, active.series_id
"""

MODELS = """
    select v.origin_date, count(distinct v.model) from forecast_versions v
    where v.origin_date between :first and :last and v.series > 0 group by v.origin_date
"""

NAMES = "select series_id, sku, location from series"


def forecasts_complete(look: Look) -> Finding:
    short = look.rows(INCOMPLETE, horizon=look.scope.tenant.horizon)
    if not short:
        return Finding()
    models = dict(look.rows(MODELS))
    names = {series_id: f"{sku} at {location}" for series_id, sku, location in look.session.execute(NAMES)}
    by_model: dict[tuple, list[str]] = {}
    lacking: dict[tuple, int] = {}
    for origin, model, series_id in short:
        by_model.setdefault((origin, model), []).append(names.get(series_id, f"series {series_id}"))
        lacking[origin, series_id] = lacking.get((origin, series_id), 0) + 1
    problems = [
        f"{origin}: {model or 'every model'} lacks {len(lacks)} series ({examples(lacks)})"
        for (origin, model), lacks in by_model.items()
    ]
    nobody = [key for key, count in lacking.items() if count >= models.get(key[0], 0)]
    if nobody:
        problems.append(f"no model has a whole forecast of {len(nobody)} of them")
    return failed(problems, warn=not nobody)


FAILED_MODELS = """
    with newest as (
      select origin_date, model, outcome,
        row_number() over (partition by model order by origin_date desc, started_at desc) as age
      from forecast_runs
    )
    select origin_date, model, outcome from newest where age = 1 and outcome like 'failed%' order by model
"""


def models_ran(look: Look) -> Finding:
    lost = look.session.execute(FAILED_MODELS)
    return failed([f"{model} from {origin}: {outcome}" for origin, model, outcome in lost])
