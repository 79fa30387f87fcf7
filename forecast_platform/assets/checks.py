"""Asset checks that are not dbt tests: what a person should be told although the run succeeded."""

import dagster as dg

from forecast_platform.assets.scope import TenantScope

CHECKED_DAYS = 28
"""How many of the newest materialized days a check looks at: a correction of older days is seen by its own run."""


def build_checks(scope: TenantScope) -> list[dg.AssetChecksDefinition]:
    return [_reject_share(scope), _arrivals_readable(scope), _forecasts_complete(scope), _models_ran(scope)]


REJECT_SHARE = """
    with newest as (
      select day, rows from partition_log where asset = 'raw_sales' order by day desc limit :days
    ),
    bad as (
      select sale_date as day, count(*) as n from sales_rejects
      where reason not like 'ignored%' and sale_date in (select day from newest)
      group by sale_date
    )
    select newest.day, bad.n, newest.rows
    from newest join bad on bad.day = newest.day
    where bad.n > :share * (newest.rows + bad.n)
    order by newest.day
"""


def _reject_share(scope: TenantScope) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=scope.key("sales_rejects"),
        name="reject_share",
        description=f"At most {scope.tenant.max_reject_share:.1%} bad rows on each of the newest {CHECKED_DAYS} days.",
    )
    def reject_share() -> dg.AssetCheckResult:
        with scope.warehouse.reading() as session:
            over = session.execute(REJECT_SHARE, {"days": CHECKED_DAYS, "share": scope.tenant.max_reject_share})
        return dg.AssetCheckResult(
            passed=not over,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(f"{day}: {bad} bad rows beside {rows} good ones" for day, bad, rows in over) or None,
        )

    return reject_share


REFUSED = """
    select asset, name, refused from landed_batches where refused is not null order by ordinal desc limit 5
"""


def _arrivals_readable(scope: TenantScope) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=scope.key("raw_sales"),
        name="arrivals_readable",
        description="Every batch that has landed could be read.",
    )
    def arrivals_readable() -> dg.AssetCheckResult:
        with scope.warehouse.reading() as session:
            refused = session.execute(REFUSED)
        return dg.AssetCheckResult(
            passed=not refused,
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(f"{asset}: {name}: {reason}" for asset, name, reason in refused) or None,
        )

    return arrivals_readable


INCOMPLETE = """
    with newest as (select max(day) as origin from partition_log where asset = 'forecasts'),
    active as (
      select series_id from features where sale_date = (select origin from newest)
    ),
    held as (
      select v.model, f.series_id, count(distinct f.horizon) as horizons
      from forecasts f join forecast_versions v on v.version_id = f.version_id
      where f.origin_date = (select origin from newest)
      group by v.model, f.series_id
    ),
    models as (select distinct model from held)
    select (select origin from newest) as origin, models.model, count(*) as n
    from models cross join active
    left join held on held.model = models.model and held.series_id = active.series_id
    where coalesce(held.horizons, 0) < :horizon
    group by models.model
    order by models.model
"""


def _forecasts_complete(scope: TenantScope) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=scope.key("forecasts"),
        name="forecasts_complete",
        description="The newest origin has a forecast of every model for every active series and horizon.",
    )
    def forecasts_complete() -> dg.AssetCheckResult:
        with scope.warehouse.reading() as session:
            short = session.execute(INCOMPLETE, {"horizon": scope.tenant.horizon})
        return dg.AssetCheckResult(
            passed=not short,
            description="; ".join(f"{origin}: {model} lacks {n} series" for origin, model, n in short) or None,
        )

    return forecasts_complete


FAILED_MODELS = """
    with newest as (
      select origin_date, model, outcome,
        row_number() over (partition by model order by origin_date desc, started_at desc) as age
      from forecast_runs
    )
    select origin_date, model, outcome from newest where age = 1 and outcome like 'failed%' order by model
"""


def _models_ran(scope: TenantScope) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=scope.key("forecasts"),
        name="models_ran",
        description="No model failed when it was last asked; one that fails costs its own forecasts only.",
    )
    def models_ran() -> dg.AssetCheckResult:
        with scope.warehouse.reading() as session:
            failed = session.execute(FAILED_MODELS)
        return dg.AssetCheckResult(
            passed=not failed,
            description="; ".join(f"{model} from {origin}: {outcome}" for origin, model, outcome in failed) or None,
        )

    return models_ran
