"""What Dagster knows of the runs that an audit tells of: how they ended, the event they came from, who asked.

Without an instance nothing is known of them, and nothing is made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from forecast_platform.assets.scope import TenantScope
from forecast_platform.logs import correlation_of

if TYPE_CHECKING:
    from dagster import DagsterInstance

Row = dict[str, Any]


def with_dagster(runs: Sequence[Row], instance: DagsterInstance | None) -> list[Row]:
    """``forecast_runs`` with Dagster's word on each run: its status, and the event it came from."""
    known = {each: None if instance is None else instance.get_run_by_id(each) for each in {r["run_id"] for r in runs}}
    return [
        each
        | {"status": None if known[each["run_id"]] is None else known[each["run_id"]].status.value}
        | {"correlation_id": _correlation_id(known[each["run_id"]])}
        for each in runs
    ]


def _correlation_id(run: Any) -> str | None:
    return None if run is None else correlation_of(run.tags, run.run_id)


def with_runs(
    scope: TenantScope,
    publications: Sequence[Row],
    versions: Sequence[Row],
    origin: date,
    instance: DagsterInstance | None,
) -> list[Row]:
    """Publications with model and run: the first that told Dagster of the partition after the publication's time."""
    models = {each["version_id"]: each["model"] for each in versions}
    told: list[tuple[float, str]] = []
    if instance is not None:
        from dagster import AssetRecordsFilter

        wanted = AssetRecordsFilter(asset_key=scope.key("publications"), asset_partitions=[origin.isoformat()])
        records = instance.fetch_materializations(wanted, limit=1000, ascending=True).records
        told = [(record.timestamp, record.event_log_entry.run_id) for record in records]
    out = []
    for each in publications:
        at = each["published_at"].timestamp()
        run_id = next((run_id for timestamp, run_id in told if timestamp >= at), None)
        run = instance.get_run_by_id(run_id) if instance is not None and run_id is not None else None
        out.append(
            each
            | {"model": models.get(each["version_id"]), "run_id": run_id, "correlation_id": _correlation_id(run)}
            | {"requested_by": None if run is None else _asked(run.tags)}
        )
    return out


def _asked(tags: Mapping[str, str]) -> str:
    from forecast_platform.assets.scope import asked_by

    return asked_by(tags)
