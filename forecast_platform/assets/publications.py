"""``publications[D]``: the forecast and the quantiles that are published for each series from origin D."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from dagster._time import get_current_datetime

from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.champions import champion_rules
from forecast_platform.assets.lineage import columns_of, passed_on
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between, in_words
from forecast_platform.io_managers.batches import Batch, BatchStream, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.io_managers.windows import require_materialized
from forecast_platform.partitions import DayWindow

CODE_VERSION = "1"
"""Raise it with every change to what is published."""

INPUTS = ("forecasts", "forecast_intervals", "champions")

CHOSEN = "select series_id, model, confidence, days_held from champions where as_of = :origin"

# Every version of a series has all its horizons; one of a model that is not kept in full is never published.
VERSIONS = """
    select forecasts.series_id, versions.model, max(forecasts.version_id) as version_id
    from forecasts join forecast_versions versions on versions.version_id = forecasts.version_id
    where forecasts.origin_date = :origin and forecasts.horizon = 1 and versions.horizons is null
    group by forecasts.series_id, versions.model
"""

# A batch holds the horizons that differ from those before; readers take the newest up to this one, for each horizon.
CALIBRATIONS = """
    select series_id, version_id, max(calibration_id) as calibration_id
    from forecast_intervals where origin_date = :origin group by series_id, version_id
"""

CHOICE = ("forecasts.version_id", "champions.model")
PAIRED = (*CHOICE, *columns_of("forecast_intervals", "version_id", "calibration_id"))
SURE = (*CHOICE, "champions.confidence")
MADE_FROM = {
    **passed_on("forecasts", "origin_date", "series_id"),
    "version_id": CHOICE,
    "calibration_id": PAIRED,
    "confidence": SURE,
    "batch_id": (*PAIRED, *SURE),
    "published_at": (),
}


# The database refuses such rows at the write; what is published is looked at once more, whatever checks have run.
UNFIT = """
    select forecasts.series_id, forecasts.version_id, count(distinct forecasts.horizon)
    from forecasts
    join forecast_intervals around on around.origin_date = forecasts.origin_date
      and around.version_id = forecasts.version_id and around.series_id = forecasts.series_id
      and around.horizon = forecasts.horizon
    where forecasts.origin_date = :origin and forecasts.version_id in ({versions})
      and forecasts.mean >= 0 and forecasts.mean < cast('Infinity' as double precision)
      and q025 >= 0 and q025 <= q10 and q10 <= q50 and q50 <= q90 and q90 <= q975
      and q975 < cast('Infinity' as double precision)
    group by forecasts.series_id, forecasts.version_id
"""


class UnfitForecasts(RuntimeError):
    """What is to be published is not finite, not whole or not in order. Nothing of the origin was published."""


class IntervalsMissing(RuntimeError):
    """A forecast that is to be published has no quantiles. Materialize ``forecast_intervals`` of that day again."""


def build_publications_asset(scope: TenantScope) -> dg.AssetsDefinition:
    @dg.asset(
        key=scope.key("publications"),
        deps=[dg.AssetDep(scope.key(name), partition_mapping=DayWindow(0, 0)) for name in INPUTS],
        io_manager_key=scope.batches_key,
        metadata=table_metadata(scope, "publications", MADE_FROM),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"pandas", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def publications(context: dg.AssetExecutionContext) -> BatchStream:
        """For each series the champion's newest forecast with its newest quantiles, its confidence, and the time.

        Where the champion has no forecast of a series, the default model's stands in, else the next there is, without
        confidence. Nothing is ever overwritten: what is published again is appended where it differs.
        """
        first, last = day_range(context)
        scope.require_closed("publications", last)
        return BatchStream(_batches(context, scope, first, last))

    return publications


def _batches(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Batch]:
    """One batch an origin, in order; computed only where the ledger has no equal one."""
    states = {
        asset: require_materialized(
            scope.warehouse, asset, first=first, last=last, start=scope.tenant.start, wanted_by="publications"
        )
        for asset in INPUTS
    }
    for asset, days in states.items():
        reads_of(context).saw_partitions(asset, days_between(first, last), days)
    order = stand_ins(scope)
    recorded = recorded_batches(scope.warehouse, "publications", first, last)
    for origin in days_between(first, last):
        read = _digests(states, origin) | {"stand_ins": list(order)}
        digest = batch_digest("publications", origin, "", CODE_VERSION, read)
        if recorded.holds(origin, "", digest):
            add_figures(context, scope.key("publications"), {origin: {"outcome": "on record"}})
            yield Batch(origin, "", CODE_VERSION, {}, digest, None)
            continue
        with scope.warehouse.reading() as session:
            session.recall([origin], "forecasts", "forecast_intervals")
            chosen = choose_versions(session, origin, order)
            require_fit(session, origin, chosen, horizon=scope.tenant.horizon)
        figures = _figures(chosen)
        add_figures(context, scope.key("publications"), {origin: figures | {"models": _table(chosen)}})
        yield Batch(origin, "", CODE_VERSION, figures, digest, _rows(origin, chosen))


def stand_ins(scope: TenantScope) -> tuple[str, ...]:
    """The models in the order in which they stand in for a champion without a forecast: the default, then the last."""
    rules = champion_rules(scope.tenant)
    return tuple(dict.fromkeys([rules.default_model, *reversed(rules.models)]))


def choose_versions(session: Session, origin: date, order: tuple[str, ...]) -> pd.DataFrame:
    """What to publish of an origin: ``series_id``, ``model``, ``version_id``, ``calibration_id``, ``confidence``,
    ``stands_in`` and ``changed``, one row for each series that any model has a forecast of.

    Raises:
        IntervalsMissing: a version that is to be published has no quantiles for a series.
    """
    asked = {"origin": origin}
    versions, champions, calibrations = (
        session.arrow(query, asked).to_pandas() for query in (VERSIONS, CHOSEN, CALIBRATIONS)
    )
    chosen = versions.merge(champions, on="series_id", how="left", suffixes=("", "_chosen"))
    is_champion = chosen["model"] == chosen["model_chosen"]
    rank = chosen["model"].map({name: place for place, name in enumerate(order, start=1)}).fillna(len(order) + 1)
    chosen = chosen.assign(stands_in=~is_champion, rank=np.where(is_champion, 0, rank))
    chosen = chosen.sort_values(["series_id", "rank", "model"], kind="stable").drop_duplicates("series_id")
    chosen = chosen.merge(calibrations, on=["series_id", "version_id"], how="left")
    without = chosen[chosen["calibration_id"].isna()]
    if len(without):
        models = ", ".join(f"{name} ({count} series)" for name, count in without.groupby("model").size().items())
        raise IntervalsMissing(
            f"forecast_intervals of {in_words([origin])} have no quantiles for the newest forecasts of {models}."
            f" Materialize {session.warehouse.tenant}/forecast_intervals of that day again, then publish"
        )
    return chosen.assign(
        confidence=np.where(chosen["stands_in"], 0.0, chosen["confidence"]),
        changed=chosen["days_held"] == 1,
    )


def require_fit(session: Session, origin: date, chosen: pd.DataFrame, *, horizon: int) -> None:
    """Refuse an origin whose chosen forecasts are not finite and whole, each with quantiles in order.

    A check gates only its own run, and none where it was left out: so what is published is looked at here as well.

    Raises:
        UnfitForecasts: naming how many series, and one of them.
    """
    if chosen.empty:
        return
    versions = ", ".join(str(each) for each in sorted(set(chosen["version_id"].astype(int))))
    rows = session.execute(UNFIT.format(versions=versions), {"origin": origin})
    fit = {(series, version) for series, version, days in rows if days >= horizon}
    asked = zip(chosen["series_id"].astype(int), chosen["version_id"].astype(int), strict=True)
    unfit = [series for series, version in asked if (series, version) not in fit]
    if unfit:
        raise UnfitForecasts(
            f"{len(unfit)} series of origin {origin} (as series {unfit[0]}) lack a finite forecast of each of"
            f" {horizon} days with quantiles in order. Nothing of it was published; look at the checks of"
            f" {session.warehouse.tenant}/forecasts and forecast_intervals, make those again, then publish"
        )


def _rows(origin: date, chosen: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "origin_date": np.full(len(chosen), np.datetime64(origin, "ns")),
            "series_id": chosen["series_id"].to_numpy(dtype=np.int32),
            "version_id": chosen["version_id"].to_numpy(dtype=np.int32),
            "calibration_id": chosen["calibration_id"].to_numpy(dtype=np.int32),
            "confidence": chosen["confidence"].to_numpy(dtype=np.float64),
            "published_at": pd.Timestamp(get_current_datetime()).as_unit("us"),
        }
    )


def _digests(states: dict[str, dict[date, PartitionState]], origin: date) -> dict[str, Any]:
    return {asset: days[origin].digest for asset, days in states.items() if origin in days}


def _figures(chosen: pd.DataFrame) -> dict[str, Any]:
    return {
        "series": len(chosen),
        "champions_changed": int(chosen["changed"].sum()),
        "stand_ins": int(chosen["stands_in"].sum()),
        "mean_confidence": round(float(chosen["confidence"].mean()), 4) if len(chosen) else 0.0,
    }


def _table(chosen: pd.DataFrame) -> dg.MetadataValue:
    """Markdown: how many series each model is published for, and for how many of them it stands in."""
    by_model = chosen.groupby("model")["stands_in"].agg(["size", "sum"])
    lines = [
        f"| `{name}` | {size} | {size / len(chosen):.1%} | {standing} |"
        for name, size, standing in by_model.itertuples(name=None)
    ]
    return dg.MetadataValue.md("\n".join(["| model | series | share | stands in |", "|---|--:|--:|--:|", *lines]))
