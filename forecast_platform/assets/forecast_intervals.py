"""``forecast_intervals[D]``: quantiles around every forecast of origin D, calibrated on the errors known by then."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa

from forecast_platform.accuracy.buckets import HORIZON_BUCKETS
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of, made_from, passed_on
from forecast_platform.assets.past_errors import (
    ERRORS_READ,
    FRACTIONAL,
    KnownSeries,
    PastErrorsOfDays,
    by_model,
    required_states,
)
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between
from forecast_platform.digest import combine, in_order
from forecast_platform.forecasting.calibration import Calibration, PastErrors, calibrate
from forecast_platform.io_managers.batches import Batch, BatchStream, RecordedBatches, batch_digest, recorded_batches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.partitions import DayWindow
from forecast_platform.tables import LEDGER_ORDER, QUANTILES

CODE_VERSION = "2"
"""Raise it with every change to the numbers."""

VERSIONS = """
    select origin_date, model, version_id, digest from forecast_versions
    where origin_date between :first and :last and series > 0 order by origin_date, model, version_id
"""

FORECASTS = """
    select version_id, series_id, horizon, mean from forecasts
    where origin_date = :origin and version_id = :version
"""
"""Of one version, in the order of the ledger: a join, which nothing here needs, would lose it."""

OF_SEVERAL = """
    with known as (
      select f.version_id, f.series_id, f.horizon, f.mean, max(f.version_id) over (partition by f.series_id) as newest
      from forecasts f
      join forecast_versions versions on versions.version_id = f.version_id
      where f.origin_date = :origin and versions.origin_date = :origin and versions.model = :model
    )
    select version_id, series_id, horizon, mean from known where version_id = newest
"""
"""Of a model with several versions of an origin: of each series the newest that has a row for it counts."""

MADE_FROM = {
    **passed_on("forecasts", "origin_date", "version_id", "series_id", "horizon"),
    **made_from(
        ("calibration_id", *QUANTILES),
        *columns_of("forecasts", "version_id", "horizon", "mean"),
        *ERRORS_READ,
        "daily_sales.units",
    ),
}

States = dict[str, dict[date, PartitionState]]
Summary = dict[str, Any]
Versions = list[tuple[int, str]]
"""Id and digest of each version of an origin and model, oldest first."""


def build_forecast_intervals_asset(scope: TenantScope) -> dg.AssetsDefinition:
    errors, origins = 1 - scope.tenant.calibration_window, 1 - scope.tenant.calibration_window - scope.tenant.horizon
    windows = {
        "forecasts": 0,
        "forecast_errors": errors,
        "series_scales": origins,
        "demand_classes": origins,
        "daily_sales": 1 - scope.tenant.training_window,
    }

    @dg.asset(
        key=scope.key("forecast_intervals"),
        deps=[dg.AssetDep(scope.key(name), partition_mapping=DayWindow(back, 0)) for name, back in windows.items()],
        io_manager_key=scope.batches_key,
        metadata=table_metadata(scope, "forecast_intervals", MADE_FROM),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def forecast_intervals(context: dg.AssetExecutionContext) -> BatchStream:
        """80 % and 95 % intervals and the median of every forecast, calibrated on the errors stored so far.

        A model's errors of the calibration window say how far its forecasts are to be trusted, by horizon and demand
        class; while the ledger is young they lean on how the series itself has sold. Nothing is ever overwritten.
        """
        first, last = day_range(context)
        scope.require_closed("forecast_intervals", last)
        return BatchStream(_batches(context, scope, first, last))

    return forecast_intervals


def _batches(context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date) -> Iterator[Batch]:
    """One batch per origin and model, in order; computed only where the ledger has no equal one."""
    states = required_states(scope, first, last)
    for asset, days in states.items():
        reads_of(context).saw_partitions(asset, sorted(days), days)
    versions: dict[date, dict[str, Versions]] = {}
    with scope.warehouse.reading() as session:
        asked = {"first": first, "last": last}
        for origin, model, *version in reads_of(context).saw_rows(session, "forecast_versions", VERSIONS, asked):
            versions.setdefault(origin, {}).setdefault(model, []).append(tuple(version))
    recorded = recorded_batches(scope.warehouse, "forecast_intervals", first, last)
    past = PastErrorsOfDays(
        scope, {day: states["series_scales"].get(day, state).rows for day, state in states["forecast_errors"].items()}
    )
    for origin in days_between(first, last):
        made: list[Summary] = []
        yield from _origin_batches(scope, origin, versions.get(origin, {}), states, recorded, past, made)
        add_figures(context, scope.key("forecast_intervals"), {origin: _figures(made)})


def _origin_batches(
    scope: TenantScope,
    origin: date,
    versions: dict[str, Versions],
    states: States,
    recorded: RecordedBatches,
    past: PastErrorsOfDays,
    made: list[Summary],
) -> Iterator[Batch]:
    """One model after the other, as each is asked for: of an origin no more is held at once. No session is open while
    a batch is written. What is told of those that were not on record goes to ``made``."""
    with scope.warehouse.reading() as session:
        fractional = _fractional(scope, session, states, origin)
        names = combine(*(text for sku, location, _ in fractional for text in (sku, location)))
        read = _read_digests(scope, states, origin) | {"fractional": names}
        digests = {
            model: batch_digest(
                "forecast_intervals", origin, model, CODE_VERSION, read | {"versions": [digest for _, digest in held]}
            )
            for model, held in versions.items()
        }
        wanted = [model for model, digest in digests.items() if not recorded.holds(origin, model, digest)]
        if wanted:
            ids = np.array([series_id for _, _, series_id in fractional], dtype=np.int64)
            past_errors = dict(by_model(past.up_to(session, origin), ids))
            known = KnownSeries.read(session, origin, ids)
    for model, digest in digests.items():
        if model not in wanted:
            yield Batch(origin, model, CODE_VERSION, {}, digest, None)
            continue
        with scope.warehouse.reading() as session:
            session.recall([origin], "forecasts")
            forecasts = _in_ledger_order(session, origin, model, versions[model])
        errors = past_errors.get(model, PastErrors.none())
        calibration = calibrate(errors, origin=np.datetime64(origin), window=scope.tenant.calibration_window)
        quantiles = calibration.quantiles(known.outlook(forecasts))
        made.append(_summary(calibration))
        yield Batch(origin, model, CODE_VERSION, made[-1], digest, _rows(origin, forecasts, quantiles))
        del forecasts, quantiles


def _fractional(scope: TenantScope, session: Session, states: States, origin: date) -> list[tuple[Any, ...]]:
    """Series that did not sell whole units only, in the training window: sku, location, id; in codepoint order."""
    if not states["daily_sales"]:
        return []
    first = origin - timedelta(days=scope.tenant.training_window - 1)
    return sorted(session.execute(FRACTIONAL, {"first": first, "last": origin}))


def _read_digests(scope: TenantScope, states: States, origin: date) -> dict[str, Any]:
    """Digests of everything that decides the rows of an origin, apart from the forecasts themselves."""
    window, horizon = scope.tenant.calibration_window, scope.tenant.horizon
    back = {
        "forecast_errors": window - 1,
        "series_scales": window - 1 + horizon,
        "demand_classes": window - 1 + horizon,
    }
    return {"window": window, "horizon": horizon} | {
        asset: combine(
            *(
                f"{day} {state.digest}"
                for day, state in sorted(states[asset].items())
                if origin - timedelta(days=days) <= day <= origin
            )
        )
        for asset, days in back.items()
    }


def _rows(origin: date, forecasts: pa.Table, quantiles: np.ndarray) -> pd.DataFrame:
    keys = {name: forecasts[name].to_numpy() for name in ("version_id", "series_id", "horizon")}
    day = pd.array(pa.array(np.full(len(quantiles), origin, dtype="datetime64[D]")), dtype=pd.ArrowDtype(pa.date32()))
    return pd.DataFrame(
        {"origin_date": day} | keys | {name: quantiles[:, place] for place, name in enumerate(QUANTILES)},
        copy=False,
    )


def _in_ledger_order(session: Session, origin: date, model: str, versions: Versions) -> pa.Table:
    if len(versions) > 1:
        rows = session.arrow(OF_SEVERAL, {"origin": origin, "model": model})
    else:
        ((version, _),) = versions
        rows = session.arrow(FORECASTS, {"origin": origin, "version": version})
    return rows if in_order(rows, LEDGER_ORDER) else rows.sort_by([(name, "ascending") for name in LEDGER_ORDER])


def _summary(calibration: Calibration) -> Summary:
    """What people are told of a batch."""
    return {
        "method": calibration.method,
        "origins": calibration.origins,
        "errors": calibration.errors,
        "trust": {name: round(float(each), 4) for name, each in zip(HORIZON_BUCKETS, calibration.trust, strict=True)},
    }


def _figures(made: list[Summary]) -> dict[str, Any]:
    """Of one origin; nothing was calibrated where all was on record."""
    if not made:
        return {"models_calibrated": 0}
    return {
        "models_calibrated": len(made),
        "errors": sum(each["errors"] for each in made),
        "origins_in_ledger": min(each["origins"] for each in made),
        "conformal": sum(each["method"] == "conformal" for each in made),
    }
