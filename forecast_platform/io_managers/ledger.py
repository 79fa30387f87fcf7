"""The forecast ledger: which versions are on record, and appending one. Rows are only ever added.

What belongs here is the rule that says whether a version is on record, the comparison that finds the series whose
numbers differ, and the statements that append them. What computes a forecast is in ``forecasting``.

The rule. Version V of an origin and model is *on record* for inputs with digest ``d`` if V's digest is ``d``, or
``combine(d, digest of the version directly before V)``, and no later version of that origin and model appended rows.
So a correction and its withdrawal (A, B, A) make three versions, the third with a digest of its own; asking for A once
more finds the third. A version is written even when no series differs: it records that these inputs were asked for and
changed nothing, and the next run finds it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from forecast_platform.crash import crash_point
from forecast_platform.digest import EMPTY, combine
from forecast_platform.io_managers.asking import Asking
from forecast_platform.io_managers.columns import FrameRefused, to_arrow, with_columns
from forecast_platform.io_managers.reads import InputsChanged
from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse
from forecast_platform.tables import forecast_runs, forecast_versions, forecasts, series

LEDGER = forecasts.name
"""The asset whose partitions the ledger is; also the name in ``partition_log``."""

FAILED = "failed"
"""An outcome that begins so belongs to a model that made no forecast."""


@dataclass(frozen=True)
class VersionCandidate:
    """One model's forecasts of one origin, and what made them; whether they are appended, the ledger decides.

    Attributes:
        inputs: a summary of what was read, JSON-able.
        input_digest: digest of everything that decides the numbers, origin and model included; of the series asked
            for, too, so that a run over some series is told from a run over all.
        live: made before its first target day closed.
        kept: the horizons that are kept of each series, of a model that is not kept in full; ``None``: all.
        forecasts: ``mean`` and ``status`` by ``horizon`` 1..H for each series, named by ``series_id`` or by ``sku``
            and ``location``, or what frames them when they are appended; ``None`` where nothing was computed.
        fallbacks: series whose numbers are the fallback's.
        outcome: ``computed``, ``on record``, or ``failed: …`` with the reason.
        requested_by, reason, started_at: for the log of asking.
    """

    origin_date: date
    model: str
    model_spec: str
    code_version: str
    horizon: int
    inputs: Mapping[str, Any]
    input_digest: str
    live: bool
    forecasts: pd.DataFrame | Callable[[], pd.DataFrame] | None
    kept: tuple[int, ...] | None = None
    fallbacks: int = 0
    outcome: str = "computed"
    requested_by: str = "dagster"
    reason: str | None = None
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def failed(self) -> bool:
        return self.outcome.startswith(FAILED)


@dataclass(frozen=True)
class VersionStream:
    """All candidates of each origin, in order of origin: one is committed while the next is made.

    ``asking`` is logged before the first is asked for; ``done`` is called once all of them are on record.
    """

    origins: Iterable[Sequence[VersionCandidate]]
    asking: Asking | None = None
    done: Callable[[], None] | None = None

    def __iter__(self) -> Iterator[Sequence[VersionCandidate]]:
        return iter(self.origins)


class Version(NamedTuple):
    """A row of ``forecast_versions``, as far as the rule needs it; ``rows`` counts the ledger rows it appended."""

    version_id: int
    digest: str
    series: int
    rows: int


class Appended(NamedTuple):
    """What became of a candidate: its version, the series it appended, and the outcome that was logged."""

    version_id: int | None
    series: int
    outcome: str


def on_record(history: Sequence[Version], input_digest: str) -> int | None:
    """The version that stands for inputs with ``input_digest``, by the rule at the top of this module, or ``None``.

    Args:
        history: the versions of one origin and model, oldest first.
    """
    for position in range(len(history) - 1, -1, -1):
        version = history[position]
        digests = {input_digest}
        if position:
            digests.add(combine(input_digest, history[position - 1].digest))
        if version.digest in digests:
            return version.version_id
        if version.series > 0:
            return None
    return None


def next_digest(history: Sequence[Version], input_digest: str) -> str:
    """Digest of the next version for these inputs: theirs, or one led by the newest version's if theirs is taken."""
    if any(version.digest == input_digest for version in history):
        return combine(input_digest, history[-1].digest)
    return input_digest


@dataclass(frozen=True)
class RecordedVersions:
    """The versions of some origins, read once."""

    histories: Mapping[tuple[date, str], Sequence[Version]]

    def version(self, origin: date, model: str, input_digest: str) -> int | None:
        """The version on record for these inputs, or ``None``."""
        return on_record(self.histories.get((origin, model), ()), input_digest)

    def holds(self, origin: date, model: str, input_digest: str) -> bool:
        """Whether nothing need be computed for these inputs."""
        return self.version(origin, model, input_digest) is not None


def recorded_versions(source: Warehouse | Session, first: date, last: date) -> RecordedVersions:
    """The versions on record of the origins ``first`` .. ``last``, in one query."""
    if isinstance(source, Warehouse):
        with source.reading() as session:
            return recorded_versions(session, first, last)
    v = forecast_versions.c
    query = (
        sa.select(v.origin_date, v.model, v.version_id, v.digest, v.series, sa.func.coalesce(v.horizons, v.horizon))
        .where(v.origin_date.between(first, last))
        .order_by(v.version_id)
    )
    histories: dict[tuple[date, str], list[Version]] = {}
    for origin, model, version_id, digest, count, horizon in source.execute(query):
        histories.setdefault((origin, model), []).append(Version(version_id, digest, count, count * horizon))
    return RecordedVersions(histories)


def append_version(session: Session, candidate: VersionCandidate, *, run_id: str) -> Appended:
    """Append what is new in ``candidate``: its version, the series that differ, and the row in the log of asking.

    The caller holds the ledger's lock and commits. A candidate that meanwhile is on record appends nothing.

    Raises:
        FrameRefused: the forecasts are not whole, not finite, or of unknown series.
        InputsChanged: a candidate that was on record, and so came without numbers, no longer is the newest.
    """
    origin, model = candidate.origin_date, candidate.model
    recorded = recorded_versions(session, origin, origin)
    history = recorded.histories.get((origin, model), [])
    version_id = on_record(history, candidate.input_digest)
    if candidate.failed:
        result = Appended(None, 0, candidate.outcome)
    elif version_id is not None:
        result = Appended(version_id, 0, "on record")
    elif candidate.forecasts is None:
        raise InputsChanged(
            f"forecasts: {model} of {origin} came without numbers ({candidate.outcome}), and inputs"
            f" {candidate.input_digest} are no longer the newest on record: another run appended meanwhile."
            " Run the step again"
        )
    else:
        result = _append(session, candidate, history)
    _log_asking(session, candidate, result, run_id)
    return result


def _append(session: Session, candidate: VersionCandidate, history: Sequence[Version]) -> Appended:
    rows = kept_rows(ledger_rows(session, candidate), candidate)
    per_series = candidate.horizon if candidate.kept is None else len(candidate.kept)
    if any(version.series > 0 for version in history):
        session.recall([candidate.origin_date], LEDGER)
        new = differing_series(rows, kept_rows(newest_on_record(session, candidate.origin_date, history), candidate))
    else:
        new = _series_of(rows, per_series)
    digest = next_digest(history, candidate.input_digest)
    _require_free(session, candidate, digest)
    version_id = session.scalar(sa.select(sa.func.coalesce(sa.func.max(forecast_versions.c.version_id), 0))) + 1
    version = pd.DataFrame(
        {
            "version_id": [version_id],
            "digest": [digest],
            "origin_date": [candidate.origin_date],
            "model": [candidate.model],
            "model_spec": [candidate.model_spec],
            "code_version": [candidate.code_version],
            "horizon": [candidate.horizon],
            "inputs": [json.dumps(candidate.inputs, sort_keys=True)],
            "series": [len(new)],
            "live": [candidate.live],
            "horizons": pd.array([None if candidate.kept is None else per_series], dtype="Int16"),
        }
    )
    session.append(forecast_versions, version)
    crash_point("after_version")
    if len(new):
        if len(new) * per_series < rows.num_rows:
            rows = rows.filter(pc.is_in(rows["series_id"], pa.array(new, pa.int32())))
        ids = pa.array(np.full(rows.num_rows, version_id, dtype=np.int32))
        rows = rows.set_column(rows.column_names.index("version_id"), forecasts.c.version_id.name, ids)
        session.insert(forecasts, rows)
    crash_point("after_insert")
    return Appended(version_id, len(new), "appended" if len(new) else "unchanged")


def ledger_rows(session: Session, candidate: VersionCandidate) -> pa.Table:
    """A candidate's forecasts as checked rows, with 0 as ``version_id``, in the ledger's order of horizon and series: a
    day that is scored asks each origin for one horizon, and reads that part of it.

    Raises:
        FrameRefused: see ``append_version``.
    """
    assert candidate.forecasts is not None
    frame = candidate.forecasts() if callable(candidate.forecasts) else candidate.forecasts
    where = f"forecasts: {candidate.model} of {candidate.origin_date}"
    if "series_id" not in frame.columns:
        known = session.frame(sa.select(series.c.series_id, series.c.sku, series.c.location))
        absent = {"sku", "location"}.difference(frame.columns)
        if absent:
            raise FrameRefused(f"{where}: no column series_id, nor {' and '.join(sorted(absent))}, to name the series")
        named = frame.astype({"sku": "object", "location": "object"}).merge(
            known.astype({"sku": "object", "location": "object"}), how="left", on=["sku", "location"]
        )
        frame = named.drop(columns=["sku", "location"])
    rows = to_arrow(with_columns(frame, **_same_for_all(candidate.origin_date, len(frame))), forecasts)
    if not _whole(rows, candidate.horizon):
        rows = rows.sort_by([("horizon", "ascending"), ("series_id", "ascending")])
    if not _whole(rows, candidate.horizon):
        raise FrameRefused(f"{where}: every series must have each horizon of 1 to {candidate.horizon} once")
    known_ids = np.sort(session.arrow(sa.select(series.c.series_id))["series_id"].to_numpy())
    ids = _series_of(rows, candidate.horizon)
    # A look-up in what is sorted: a set of each side took a quarter of the time of all this.
    place = np.minimum(np.searchsorted(known_ids, ids), max(len(known_ids) - 1, 0))
    unknown = ids[known_ids[place] != ids] if len(known_ids) else ids
    if len(unknown):
        raise FrameRefused(f"{where}: series_id {unknown[0]} is not in series ({len(unknown)} such)")
    return rows


def _whole(rows: pa.Table, horizon: int) -> bool:
    """Whether rows are sorted by horizon and series, each series with every horizon of 1 to ``horizon`` once."""
    if rows.num_rows % horizon:
        return False
    ids = rows["series_id"].to_numpy().reshape(horizon, -1)
    steps = rows["horizon"].to_numpy().reshape(horizon, -1) == np.arange(1, horizon + 1)[:, None]
    return bool(steps.all() and (ids == ids[:1]).all() and (np.diff(ids[0]) > 0).all())


def _same_for_all(origin: date, rows: int) -> dict[str, pd.api.extensions.ExtensionArray | np.ndarray]:
    """The columns that are one value over all rows, in the ledger's types: a cast of them took as long as ``mean``."""
    days = pd.array(pa.array(np.full(rows, origin, dtype="datetime64[D]")), dtype=pd.ArrowDtype(pa.date32()))
    return {"origin_date": days, "version_id": np.zeros(rows, dtype=np.int32)}


def kept_rows(rows: pa.Table, candidate: VersionCandidate) -> pa.Table:
    """The horizons that are kept of the candidate's model; of those on record too, before the two are compared: fewer
    than before are no new numbers."""
    if candidate.kept is None:
        return rows
    return rows.filter(pc.is_in(rows["horizon"], pa.array(candidate.kept, rows.schema.field("horizon").type)))


def _series_of(rows: pa.Table, horizons: int) -> np.ndarray:
    """The series of whole forecasts in order: those of the first of their ``horizons``."""
    return rows["series_id"][: rows.num_rows // horizons].to_numpy()


def newest_on_record(session: Session, origin: date, history: Sequence[Version]) -> pa.Table:
    """The newest series_id, horizon, mean and status of each series, over the versions of one origin and model."""
    holding = [version.version_id for version in history if version.series > 0]
    f = forecasts.c
    query = sa.select(f.series_id, f.version_id, f.horizon, f.mean, f.status).where(
        f.origin_date == origin, f.version_id.in_(holding)
    )
    rows = session.arrow(query)
    if len(holding) > 1:
        ids, versions = rows["series_id"].to_numpy(), rows["version_id"].to_numpy()
        newest = np.zeros(int(ids.max()) + 1 if len(ids) else 0, dtype=versions.dtype)
        np.maximum.at(newest, ids, versions)
        rows = rows.filter(pa.array(newest[ids] == versions))
    return rows.drop_columns(["version_id"])


def differing_series(new: pa.Table, old: pa.Table) -> np.ndarray:
    """Ids of the series in ``new`` whose means (to the bit), statuses or horizons are not those in ``old``.

    Both hold series_id, horizon, mean and status, one row for a series and horizon. 30,000 series of 28 days take
    0.2 s.
    """
    key, old_key = _row_key(new), _row_key(old)
    order = np.argsort(old_key)
    place = np.minimum(np.searchsorted(old_key, key, sorter=order), max(len(order) - 1, 0))
    same = np.zeros(len(key), dtype=bool)
    if len(order):
        at = order[place]
        labels = pc.unique(pa.chunked_array([*new["status"].chunks, *old["status"].cast(pa.string()).chunks]))
        status = pc.index_in(new["status"], value_set=labels).to_numpy()
        old_status = pc.index_in(old["status"].cast(pa.string()), value_set=labels).to_numpy()
        bits, old_bits = _bits(new), _bits(old)
        same = (old_key[at] == key) & (old_bits[at] == bits) & (old_status[at] == status)
    ids = new["series_id"].to_numpy()
    changed = np.unique(ids[~same])
    counts = dict(zip(*np.unique(old["series_id"].to_numpy(), return_counts=True), strict=True))
    present, lengths = np.unique(ids, return_counts=True)
    shorter = [each for each, length in zip(present, lengths, strict=True) if counts.get(each, length) != length]
    return np.union1d(changed, np.array(shorter, dtype=changed.dtype))


def _row_key(rows: pa.Table) -> np.ndarray:
    return rows["series_id"].to_numpy().astype(np.int64) * 65_536 + rows["horizon"].to_numpy().astype(np.int64)


def _bits(rows: pa.Table) -> np.ndarray:
    return np.ascontiguousarray(rows["mean"].to_numpy()).view(np.int64)


def origin_state(session: Session, origin: date, *, run_id: str) -> PartitionState:
    """What the log says of an origin: its rows, and a digest over the versions that appended them.

    Version digests are digests of inputs, equal in every warehouse; a version that appended nothing does not show.
    """
    histories = recorded_versions(session, origin, origin).histories
    holding = [
        (model, version)
        for (_, model), history in sorted(histories.items())
        for version in history
        if version.series > 0
    ]
    digest = combine(*(part for model, version in holding for part in (model, version.digest))) if holding else EMPTY
    return PartitionState(sum(version.rows for _, version in holding), digest, run_id)


def log_origin(session: Session, origin: date, *, run_id: str, complete: bool) -> PartitionState | None:
    """Put an origin on record when its last model is done; before that only bring an existing record up to date."""
    if not complete and origin not in session.logged(LEDGER, origin, origin):
        return None
    state = origin_state(session, origin, run_id=run_id)
    session.log_days(LEDGER, {origin: state})
    return state


def _require_free(session: Session, candidate: VersionCandidate, digest: str) -> None:
    v = forecast_versions.c
    taken = session.execute(sa.select(v.origin_date, v.model).where(v.digest == digest))
    if taken:
        raise ValueError(
            f"forecasts: the digest {digest} of {candidate.model} of {candidate.origin_date} is that of"
            f" {taken[0][1]} of {taken[0][0]}: an input digest must hold the origin and the model's name"
        )


def _log_asking(session: Session, candidate: VersionCandidate, result: Appended, run_id: str) -> None:
    """One row for each time a model was asked for; a repeated transaction finds its row and leaves it."""
    columns = [column.name for column in forecast_runs.columns if column.name != "ended_at"]
    session.execute(
        f"insert into forecast_runs ({', '.join(columns)}, ended_at)"
        f" values ({', '.join(':' + name for name in columns)}, current_timestamp) on conflict do nothing",
        {
            "run_id": run_id,
            "origin_date": candidate.origin_date,
            "model": candidate.model,
            "version_id": result.version_id,
            "appended": result.series,
            "fallbacks": candidate.fallbacks,
            "requested_by": candidate.requested_by,
            "reason": candidate.reason,
            "outcome": result.outcome,
            "started_at": candidate.started_at,
        },
    )
