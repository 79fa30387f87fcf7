"""What intervals are calibrated on: a sample of the stored errors of some days, with what was known on their origins.

The database draws the sample and joins; what leaves it for a day is bounded, however many series there are. What is
learned from it is in ``forecasting.calibration``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast_platform.accuracy.demand_classes import DEMAND_CLASSES
from forecast_platform.assets.lineage import columns_of
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import days_between
from forecast_platform.forecasting.calibration import PastErrors, sampled_horizons
from forecast_platform.forecasting.demand_law import Outlook
from forecast_platform.io_managers.warehouse import PartitionState, Session
from forecast_platform.io_managers.windows import require_materialized

SAMPLED_SERIES = 2000
"""Series of a target day whose errors are read, at most: a cell of 56 such days says as much as ten times as many
series would, because series share their days."""

KNOWN = "scales.scale_sq, classes.demand_class, classes.adi, classes.cv2"
"""What was known of a series on an origin."""

SCALES = "select series_id, scale_sq from series_scales where as_of = :origin order by series_id"
CLASSES = "select series_id, demand_class, adi, cv2 from demand_classes where as_of = :origin order by series_id"

ERRORS = """
    with asked as (select * from (values {asked}) as pairs (target_date, horizon, digits, share)),
    errors as (
      select e.target_date, e.origin_date, e.series_id, e.horizon, e.forecast, e.actual, e.in_stock, versions.model,
        row_number() over (
          partition by e.target_date, e.origin_date, versions.model, e.series_id order by e.version_id desc
        ) as age
      from forecast_errors e
      join asked on asked.target_date = e.target_date and asked.horizon = e.horizon
      join (select series_id, md5(sku || chr(31) || location) as draw from series) as names
        on names.series_id = e.series_id and substr(names.draw, asked.digits, 4) < asked.share
      join forecast_versions versions on versions.version_id = e.version_id
      where e.target_date between :first and :last
    )
    select errors.target_date, errors.origin_date, errors.series_id, errors.horizon, errors.model,
      errors.forecast as mean, errors.actual, {known}
    from errors
    left join series_scales scales on scales.as_of = errors.origin_date and scales.series_id = errors.series_id
      and scales.as_of between :since and :last
    left join demand_classes classes on classes.as_of = errors.origin_date and classes.series_id = errors.series_id
      and classes.as_of between :since and :last
    where errors.age = 1 and errors.in_stock
"""

ERRORS_READ = (
    *columns_of(
        "forecast_errors", "target_date", "origin_date", "version_id", "horizon", "forecast", "actual", "in_stock"
    ),
    "series_scales.scale_sq",
    *columns_of("demand_classes", "demand_class", "adi", "cv2"),
)
"""What ``ERRORS`` takes from where, column by column."""

FRACTIONAL = """
    select series.sku, series.location, series.series_id from series
    where series_id in (
      select series_id from daily_sales where sale_date between :first and :last and units <> floor(units)
    )
"""


@dataclass
class PastErrorsOfDays:
    """The errors of a sliding window of target days: a range of origins reads each day once.

    Attributes:
        active: series of each day, which decide the share of them that is drawn.
    """

    scope: TenantScope
    active: dict[date, int]
    held: pa.Table | None = None
    read_to: date | None = None

    def up_to(self, session: Session, origin: date) -> pa.Table:
        """The sampled errors of the calibration window that ends with ``origin``; ask for origins in order."""
        first = origin - timedelta(days=self.scope.tenant.calibration_window - 1)
        begin = first if self.read_to is None else max(first, self.read_to + timedelta(days=1))
        parts = [] if self.held is None else [self.held.filter(pc.greater_equal(self.held["target_date"], first))]
        days = [day for day in days_between(begin, origin) if day in self.active]
        if days:
            parts.append(self._read(session, days))
        self.read_to = origin
        self.held = pa.concat_tables(parts) if parts else None
        return self.held

    def _read(self, session: Session, days: list[date]) -> pa.Table:
        asked = ", ".join(
            f"(date '{day}', {horizon}, {1 + day.toordinal() % 29}, '{_share(self.active[day])}')"
            for day in days
            for horizon in sampled_horizons(day.toordinal(), self.scope.tenant.horizon)
        )
        # Days of what is joined are named: no database takes them over from the origins, and all of history is joined.
        window = {"since": days[0] - timedelta(days=self.scope.tenant.horizon), "first": days[0], "last": days[-1]}
        rows = session.arrow(ERRORS.format(asked=asked, known=KNOWN), window)
        for name in ("model", "demand_class"):
            place = rows.column_names.index(name)
            rows = rows.set_column(place, name, rows[name].cast(pa.string()))
        return rows


@dataclass(frozen=True)
class KnownSeries:
    """What was known of each series on an origin, read once for all models, in order of ``series_id``.

    Attributes:
        scaled, classed: ids of the series that have a scale, and a class.
        scale_sq, adi, cv2, segment: theirs, and at the end what stands for a series that is not known.
        fractional: ids of the series that do not sell whole units only.
    """

    scaled: np.ndarray
    scale_sq: np.ndarray
    classed: np.ndarray
    segment: np.ndarray
    adi: np.ndarray
    cv2: np.ndarray
    fractional: np.ndarray

    @classmethod
    def read(cls, session: Session, origin: date, fractional: np.ndarray) -> KnownSeries:
        """As of ``origin``."""
        scales, classes = (session.arrow(query, {"origin": origin}) for query in (SCALES, CLASSES))
        return cls(
            scaled=scales["series_id"].to_numpy(),
            scale_sq=np.append(_doubles(scales["scale_sq"]), np.nan),
            classed=classes["series_id"].to_numpy(),
            segment=np.append(segments(classes["demand_class"]), DEMAND_CLASSES.index("new")),
            adi=np.append(_doubles(classes["adi"]), np.nan),
            cv2=np.append(_doubles(classes["cv2"]), np.nan),
            fractional=fractional,
        )

    def outlook(self, forecasts: pa.Table) -> Outlook:
        """Forecasts with ``series_id``, ``horizon`` and ``mean``, beside what was known of their series."""
        series = forecasts["series_id"].to_numpy()
        scale, known = _places(self.scaled, series), _places(self.classed, series)
        return Outlook(
            mean=forecasts["mean"].to_numpy(),
            horizon=forecasts["horizon"].to_numpy().astype(np.intp),
            segment=self.segment[known],
            scale_sq=self.scale_sq[scale],
            adi=self.adi[known],
            cv2=self.cv2[known],
            whole=_whole(series, self.fractional),
        )


def _places(held: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in ``held``, which is sorted, each of ``wanted`` is; one past its end for what is not there."""
    place = np.searchsorted(held, wanted)
    found = np.append(held, np.zeros(1, dtype=held.dtype))[place] == wanted
    return np.where(found & (place < len(held)), place, len(held))


def _doubles(column: pa.ChunkedArray) -> np.ndarray:
    return column.cast(pa.float64()).to_numpy()


def _whole(series: np.ndarray, fractional: np.ndarray) -> np.ndarray:
    return ~np.isin(series, fractional) if len(fractional) else np.ones(len(series), dtype=bool)


def _share(series: int) -> str:
    """Four hexadecimal digits below which about ``SAMPLED_SERIES`` of so many digests lie; ``g`` is above all."""
    return "g" if series <= SAMPLED_SERIES else f"{65536 * SAMPLED_SERIES // series:04x}"


def by_model(rows: pa.Table | None, fractional: np.ndarray) -> Iterator[tuple[str, PastErrors]]:
    """The errors of each model, in order of name."""
    if rows is None:
        return
    for model in sorted(pc.unique(rows["model"]).to_pylist()):
        each = rows.filter(pc.equal(rows["model"], model))
        origin, target = (each[name].to_numpy().astype("datetime64[D]") for name in ("origin_date", "target_date"))
        outlook = outlook_of(each, fractional)
        yield model, PastErrors(outlook=outlook, actual=each["actual"].to_numpy(), origin=origin, target=target)


def outlook_of(rows: pa.Table, fractional: np.ndarray) -> Outlook:
    """Rows with ``mean``, ``horizon``, ``series_id`` and what ``KNOWN`` selects; ``fractional`` lists series by id."""
    series = rows["series_id"].to_numpy()
    return Outlook(
        mean=rows["mean"].to_numpy(),
        horizon=rows["horizon"].to_numpy().astype(np.intp),
        segment=segments(rows["demand_class"]),
        whole=_whole(series, fractional),
        **{name: _doubles(rows[name]) for name in ("scale_sq", "adi", "cv2")},
    )


def segments(classes: pa.ChunkedArray) -> np.ndarray:
    """Places in ``DEMAND_CLASSES``; a series whose class was never asked counts as new."""
    places = pc.index_in(classes.cast(pa.string()), pa.array(DEMAND_CLASSES))
    return pc.fill_null(places, DEMAND_CLASSES.index("new")).to_numpy().astype(np.intp)


def required_states(scope: TenantScope, first: date, last: date) -> dict[str, dict[date, PartitionState]]:
    """What is on record of the days that intervals of ``first`` .. ``last`` look back on, by asset.

    Raises:
        WindowIncomplete: days are missing that the ledger, young as it may be, should have.
    """
    errors, origins = scope.tenant.calibration_window - 1, scope.tenant.calibration_window - 1 + scope.tenant.horizon
    windows = {
        "forecast_errors": errors,
        "series_scales": origins,
        "demand_classes": origins,
        "daily_sales": scope.tenant.training_window - 1,
    }
    asked = {"first": first, "last": last, "start": scope.tenant.start, "wanted_by": "forecast_intervals"}
    for asset in ("series_scales", "demand_classes"):
        require_materialized(scope.warehouse, asset, **asked)
    return {
        asset: require_materialized(scope.warehouse, asset, back=back, young=True, **asked)
        for asset, back in windows.items()
    }
