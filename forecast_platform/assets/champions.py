"""``champions[D]``: the model to publish for each series as of day D, and why."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.accuracy.buckets import HORIZON_BUCKETS
from forecast_platform.accuracy.champion_reasons import reasons
from forecast_platform.accuracy.champions import ChampionRules, Champions, Choice
from forecast_platform.accuracy.error_sums import ErrorSums, rolling
from forecast_platform.accuracy.pins import Pin, PinsOfDay
from forecast_platform.assets.catalog import add_figures, table_metadata
from forecast_platform.assets.lineage import columns_of, made_from, passed_on
from forecast_platform.assets.scope import TenantScope, day_range
from forecast_platform.days import days_between, stretches
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.statements import place_of
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.io_managers.windows import require_materialized
from forecast_platform.partitions import DayWindow
from forecast_platform.tenant import Tenant

CODE_VERSION = "3"
"""Raise it with every change to the choice."""

ROWS_AT_ONCE = 5_000_000
"""Rows of error sums that one query reads: of 30,490 series and six models those of seven days, 160 MB in matrices.
A query costs 0.1 s of CPU before its first row."""

COUNTED = ("n", "n_scaled")
SUMMED = (*COUNTED, "sum_scaled_sq", "sum_error", "sum_actual")
"""What is read of the errors, in the order of ``ErrorSums``."""

ERRORS = """
    select target_date, series_id, {model} as model, {bucket} as bucket,
      n, n_scaled, sum_scaled_sq, sum_error, sum_actual
    from error_sums where target_date between :first and :last
"""

CLASSES = """
    select classes.as_of, classes.series_id, series.sku, series.location, classes.demand_class
    from demand_classes classes join series on series.series_id = classes.series_id
    where classes.as_of between :first and :last
"""

PINS_UP_TO = "select max(pin_id) from model_pins where valid_from <= :last"

# Each figure is that of the model that all of them decided.
DECIDING = (
    *columns_of("error_sums", "target_date", "model", "n", "n_scaled", "sum_scaled_sq", "sum_error", "sum_actual"),
    "demand_classes.demand_class",
)
DECIDED = (
    *("model", "incumbent", "reason", "days_held", "n"),
    *("rmsse", "incumbent_rmsse", "floor_rmsse", "bias", "confidence"),
)
MADE_FROM = {
    **passed_on("demand_classes", "as_of", "series_id"),
    "segment": ("demand_classes.demand_class",),
    **made_from(DECIDED, *DECIDING),
}


def build_champions_asset(scope: TenantScope) -> dg.AssetsDefinition:
    window, rules = scope.tenant.champion_window, champion_rules(scope.tenant)
    reads = {"error_sums": (1 - window, 0), "demand_classes": (0, 0)}

    @dg.asset(
        key=scope.key("champions"),
        deps=[dg.AssetDep(scope.key(name), partition_mapping=DayWindow(*days)) for name, days in reads.items()],
        io_manager_key=scope.replace_key,
        metadata=table_metadata(scope, "champions", MADE_FROM),
        code_version=CODE_VERSION,
        group_name=scope.name,
        kinds={"numpy", scope.settings.backend},
        owners=scope.tenant.owners,
        **scope.partitioned(),
    )
    def champions(context: dg.AssetExecutionContext) -> pd.DataFrame:
        """The model to publish for each series: ahead of the one before for days in a row, by measured errors.

        The choice is replayed from the default model inside the window, so it does not depend on which days were made
        before. A pin wins over everything.
        """
        first, last = day_range(context)
        scope.require_closed("champions", last)
        rows_of_days = {day: state.rows for day, state in _require_inputs(context, scope, first, last).items()}
        with scope.warehouse.reading() as session:
            reads_of(context).saw_rows(session, "model_pins", PINS_UP_TO, {"last": last})
            pins = pins_up_to(session, last)
            classes = _classes(session, first, last)
            chosen = _chosen(session, rules, classes, rows_of_days, window, first, last)
        parts = [(day, _rows_of_day(day, classes, chosen[day], rules, pins)) for day in days_between(first, last)]
        add_figures(context, scope.key("champions"), {day: _figures(part) for day, part in parts})
        return pd.concat([part for _, part in parts], ignore_index=True)

    return champions


def champion_rules(tenant: Tenant) -> ChampionRules:
    """A tenant's rules for choosing champions."""
    given, models = tenant.publication, tenant.publishable_models
    return ChampionRules(
        models=models,
        default_model=given.default_model or ("ensemble" if "ensemble" in models else models[-1]),
        routing=dict(given.routing),
        rolling_days=given.rolling_days,
        margin=given.margin,
        for_days=given.for_days,
        max_bias=given.max_bias,
        min_errors=given.min_errors,
    )


def pins_up_to(session: Session, last: date) -> list[Pin]:
    """Every pin that is valid on ``last`` or before."""
    p = tables.model_pins.c
    query = sa.select(p.pin_id, p.valid_from, p.sku, p.location, p.model, p.reason, p.set_by).where(
        p.valid_from <= last
    )
    return [Pin(*row) for row in session.execute(query)]


def _require_inputs(
    context: dg.AssetExecutionContext, scope: TenantScope, first: date, last: date
) -> dict[date, PartitionState]:
    """Check that what is read is materialized, and remember it; the days of error sums."""
    states = {}
    for asset, back, young in (("error_sums", scope.tenant.champion_window - 1, True), ("demand_classes", 0, False)):
        states[asset] = require_materialized(
            scope.warehouse,
            asset,
            first=first,
            last=last,
            back=back,
            start=scope.tenant.start,
            young=young,
            wanted_by="champions",
        )
        reads_of(context).saw_partitions(asset, days_between(first - timedelta(days=back), last), states[asset])
    return states["error_sums"]


def _classes(session: Session, first: date, last: date) -> pd.DataFrame:
    """``as_of`` (a ``date``), ``series_id``, ``sku``, ``location``, ``demand_class``, by day, SKU and location."""
    rows = session.arrow(CLASSES, {"first": first, "last": last}).to_pandas()
    order = sorted(
        range(len(rows)), key=list(zip(rows["as_of"], rows["sku"], rows["location"], strict=True)).__getitem__
    )
    return rows.iloc[order].reset_index(drop=True)


def _ids_by_name(classes: pd.DataFrame) -> np.ndarray:
    """The series of any day, in order of SKU and location."""
    named = classes.drop_duplicates("series_id")
    order = sorted(range(len(named)), key=list(zip(named["sku"], named["location"], strict=True)).__getitem__)
    return named["series_id"].to_numpy(dtype=np.int32)[order]


def _chosen(
    session: Session,
    rules: ChampionRules,
    classes: pd.DataFrame,
    rows_of_days: Mapping[date, int],
    window: int,
    first: date,
    last: date,
) -> dict[date, Champions]:
    """The choice of each day of the range. Rolling sums are made once a day, and every choice goes on by them that
    looks back on it."""
    ids = _ids_by_name(classes)
    place_of = pd.Series(np.arange(len(ids)), index=ids)
    places: dict[date, np.ndarray] = {}
    choices: dict[date, Choice] = {}
    for day in days_between(first, last):
        rows = classes[classes["as_of"] == day]
        places[day] = place_of.loc[rows["series_id"]].to_numpy(dtype=np.intp)
        choices[day] = Choice(rows["demand_class"].to_numpy(dtype=object), rules)
    since = first - timedelta(days=window - 1)
    sums = rolling(read_errors(session, rules.models, ids, rows_of_days, since, last), rules.rolling_days)
    everybody = np.arange(len(ids))
    for end, summed in enumerate(sums, rules.rolling_days - 1):
        for day, choice in choices.items():
            behind = (day - since).days - end
            if 0 <= behind <= window - rules.rolling_days:
                alike = np.array_equal(places[day], everybody)
                choice.day(summed if alike else summed.part(places[day]))
    return {day: choice.champions() for day, choice in choices.items()}


def _rows_of_day(
    day: date, classes: pd.DataFrame, chosen: Champions, rules: ChampionRules, pins: list[Pin]
) -> pd.DataFrame:
    rows = classes[classes["as_of"] == day]
    segments = rows["demand_class"].to_numpy(dtype=object)
    ids = rows["series_id"].to_numpy(dtype=np.int32)
    return champion_rows(day, ids, rows[["sku", "location"]], segments, chosen, rules, PinsOfDay(pins, day))


def read_errors(
    session: Session,
    models: tuple[str, ...],
    ids: np.ndarray,
    rows_of_days: Mapping[date, int],
    first: date,
    last: date,
) -> Iterator[ErrorSums]:
    """The sums of errors of some series, day by day: models x series, in the order of ``models`` and ``ids``.

    The buckets of a day are added here, in the order of their names, whatever the order of rows: 14 days of 30,490
    series took the database 6.9 s of CPU to add exactly, and 1.6 s to hand out. Rows are put in their place as they
    come: 28 days cost 1.0 s less than in tables of a query's rows, and 700 MB less beside the matrices.

    Args:
        rows_of_days: rows of the days that have any, in the order of days; some are read at once.
    """
    query = ERRORS.format(model=place_of("model", models), bucket=place_of("horizon_bucket", HORIZON_BUCKETS))
    row_of = np.full(int(ids.max(initial=-1)) + 1, -1, dtype=np.intp)
    row_of[ids] = np.arange(len(ids))
    held = {day: rows for day, rows in rows_of_days.items() if rows and first <= day <= last}
    wanted = first
    for begin, end in stretches(held, at_once=ROWS_AT_ONCE) if len(ids) else ():
        days = [day for day in days_between(begin, end) if day in held]
        shape = (len(days), len(HORIZON_BUCKETS), len(models), len(ids))
        cubes = {name: np.zeros(shape, dtype=np.int32 if name in COUNTED else np.float64) for name in SUMMED}
        for block in session.stream(query, {"first": begin, "last": end}):
            _put(block, cubes, np.array(days, dtype="datetime64[D]"), row_of)
        for number, day in enumerate(days):
            yield from (ErrorSums.nothing(len(models), len(ids)) for _ in range((day - wanted).days))
            yield ErrorSums.of_day(*(_added(cube[number]) for cube in cubes.values()))
            wanted = day + timedelta(days=1)
        del cubes
    yield from (ErrorSums.nothing(len(models), len(ids)) for _ in range((last - wanted).days + 1))


def _put(block: pa.RecordBatch, cubes: Mapping[str, np.ndarray], days: np.ndarray, row_of: np.ndarray) -> None:
    """Put rows where they belong: each is the only one of its day, bucket, model and series."""
    columns = {name: block.column(name).to_numpy(zero_copy_only=False) for name in block.schema.names}
    series, model = columns["series_id"], columns["model"]
    at = np.where(series < len(row_of), row_of[np.minimum(series, len(row_of) - 1)], -1)
    target = columns["target_date"].astype("datetime64[D]")
    day, bucket = np.minimum(np.searchsorted(days, target), len(days) - 1), columns["bucket"]
    asked = np.flatnonzero((at >= 0) & (model >= 0) & (bucket >= 0) & (days[day] == target))
    place = tuple(each[asked] for each in (day, bucket, model, at))
    for name, cube in cubes.items():
        cube[place] = columns[name][asked]


def _added(buckets: np.ndarray) -> np.ndarray:
    """The sum over the first axis, in its order."""
    total = np.zeros_like(buckets[0])
    for each in buckets:
        total += each
    return total


def champion_rows(
    day: date,
    ids: np.ndarray,
    names: pd.DataFrame,
    segments: np.ndarray,
    chosen: Champions,
    rules: ChampionRules,
    pins: PinsOfDay,
) -> pd.DataFrame:
    """The table's rows of a day; a pin stands in for the choice and says what it stands for."""
    at, models = np.arange(len(ids)), np.array(rules.models, dtype=object)
    model, reason = models[chosen.model], reasons(chosen, segments, rules)
    place = chosen.model.copy()
    for row, (sku, location) in enumerate(names.itertuples(index=False, name=None)) if pins else ():
        pin = pins.of(sku, location)
        if pin is not None:
            reason[row] = f"{pin.in_words()}; the errors chose {model[row]}"
            model[row] = pin.model
            # A pinned model that no longer runs has no errors: its figures are the floor's, and it has no confidence.
            place[row] = rules.models.index(pin.model) if pin.model in rules.models else -1
    runs = place >= 0
    return pd.DataFrame(
        {
            "as_of": np.full(len(ids), np.datetime64(day, "ns")),
            "series_id": ids,
            "model": model,
            "incumbent": models[chosen.incumbent],
            "reason": reason,
            "segment": segments,
            "days_held": chosen.days_held.astype(np.int16),
            "n": np.where(runs, chosen.n[place, at], 0).astype(np.int32),
            "rmsse": np.where(runs, chosen.rmsse[place, at], np.nan),
            "incumbent_rmsse": chosen.rmsse[chosen.incumbent, at],
            "floor_rmsse": chosen.rmsse[rules.floor],
            "bias": np.where(runs, chosen.bias[place, at], np.nan),
            "confidence": np.where(runs, chosen.confidence[place, at], 0.0),
        }
    )


def _figures(rows: pd.DataFrame) -> dict[str, Any]:
    shares = [f"| `{name}` | {count} |" for name, count in rows["model"].value_counts().sort_index().items()]
    return {
        "series": len(rows),
        "changed": int((rows["days_held"] == 1).sum()),
        "pinned": int(rows["reason"].str.startswith("pinned by ").sum()),
        "mean_confidence": round(float(rows["confidence"].mean()), 4) if len(rows) else 0.0,
        "models": dg.MetadataValue.md("\n".join(["| model | series |", "|---|--:|", *shares])),
    }
