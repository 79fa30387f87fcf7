"""Running dbt from an asset: the parsed project, its keys as this tenant's assets, and one call for a range of days.

Which models an asset file owns is said there; SQL lives in ``dbt_project``.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings, dbt_assets

from forecast_platform import tables
from forecast_platform.assets import dbt_lineage, lineage
from forecast_platform.assets.catalog import add_figures, queried_figures, table_name
from forecast_platform.assets.scope import TenantScope
from forecast_platform.dbt_child import TRY_AGAIN, placeless
from forecast_platform.dbt_process import PROCESSES, PROJECT
from forecast_platform.io_managers.fence import run_fence
from forecast_platform.io_managers.reads import reads_of
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import WarehouseUnavailable
from forecast_platform.partitions import BACKFILL_POLICY, DayWindow

LINEAGE = "column_lineage.json"
COMPILED = ("--select", "resource_type:model", "--no-introspect", "--no-populate-cache")
TARGETS = {"duckdb": "duckdb", "postgresql": "postgres"}


PARSED_ERRORS = "Errors parsed from dbt logs:"
"""What stands before dbt's own words in dagster-dbt's error, after the command and its log's path."""


class DbtFailed(RuntimeError):
    """dbt ended with an error. The message holds what it said."""


def target(scope: TenantScope) -> str:
    """Name of the dbt target for the tenant's warehouse."""
    return TARGETS[scope.settings.backend]


def environment(scope: TenantScope, *, run_id: str) -> dict[str, str]:
    """What dbt is told of the tenant and the run; the profile and the models read these variables."""
    tenant = scope.tenant
    return scope.warehouse.dbt_environment() | {
        "PIPELINE_TENANT": scope.name,
        "PIPELINE_RUN_ID": run_id,
        "PIPELINE_HORIZON": str(tenant.horizon),
        "PIPELINE_TRAINING_WINDOW": str(tenant.training_window),
        "PIPELINE_INACTIVE_AFTER_DAYS": str(tenant.inactive_after_days),
        "PIPELINE_START": tenant.start.isoformat(),
        "PIPELINE_DUCKDB_KEEP_OPEN": "True",
        "DBT_TARGET": target(scope),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        # They test the models' SQL, which does not change from run to run.
        "DBT_EXCLUDE_RESOURCE_TYPES": "unit_test",
    }


def event_time(first: date, last: date) -> list[str]:
    """The window of ``replace_days``: dbt's event time ends before its last day."""
    return ["--event-time-start", first.isoformat(), "--event-time-end", (last + timedelta(days=1)).isoformat()]


@cache
def _project_digest() -> str:
    """Digest of every file that dbt parses, and of the code that reads the lineage in them."""
    digest = hashlib.sha256()
    for code in (dbt_lineage, lineage, tables):
        digest.update(Path(code.__file__).read_bytes())
    for path in sorted(PROJECT.rglob("*")):
        if path.suffix in {".sql", ".yml", ".yaml"} and "target" not in path.relative_to(PROJECT).parts:
            digest.update(str(path.relative_to(PROJECT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def parsed_project(scope: TenantScope) -> Path:
    """Folder with ``manifest.json`` and dbt's parse cache for this tenant, made when missing or out of date.

    ``DbtProject.prepare_if_dev`` does nothing under the webserver, and several processes load definitions at
    once: the parse goes to a folder of its own and is moved into place. The models are compiled with it (without a
    connection, at the CPU time of a parse alone), and the column lineage in their SQL is kept beside the manifest.
    """
    folder = Path(scope.settings.home) / "dbt" / f"{scope.name}-{target(scope)}-{_project_digest()}"
    if not (folder / "manifest.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(dir=folder.parent, prefix="parsing-"))
        # Webservers and code servers parse too, and will not call dbt again.
        told = placeless(environment(scope, run_id="parse")) | _paths(making)
        with PROCESSES.start(["compile", *COMPILED], told, keep=False) as parsing:
            said = parsing.stdout.read()
            failed = parsing.wait()
        if failed:
            shutil.rmtree(making, ignore_errors=True)
            raise DbtFailed(f"dbt could not parse {PROJECT}:\n{said.decode(errors='replace')[-6000:]}")
        origins = dbt_lineage.models_origins(json.loads((making / "manifest.json").read_text()))
        (making / LINEAGE).write_text(json.dumps(origins))
        try:
            making.rename(folder)
        except OSError:  # another process was first
            shutil.rmtree(making, ignore_errors=True)
    return folder


@cache
def _manifest(parsed: Path) -> dict[str, Any]:
    """The manifest in a folder of ``parsed_project``, read once: nobody changes it."""
    return json.loads((parsed / "manifest.json").read_text())


@cache
def _columns_origins(parsed: Path) -> dict[str, lineage.Origins]:
    """By model, what its columns are made from (``dbt_lineage.models_origins``)."""
    return json.loads((parsed / LINEAGE).read_text())


def made_ready(scope: TenantScope) -> None:
    """Have a process import dbt and parse the tenant's project while this one does something else."""
    PROCESSES.ready(_for_models(scope))


def _for_models(scope: TenantScope) -> dict[str, str]:
    """The environment of every call that runs models, but for what belongs to one call."""
    return environment(scope, run_id="") | {
        "DBT_PROJECT_DIR": os.fspath(PROJECT),
        "DBT_PROFILES_DIR": os.fspath(PROJECT),
        "DBT_PARTIAL_PARSE_FILE_PATH": os.fspath(parsed_project(scope) / "partial_parse.msgpack"),
        "DBT_LOG_FORMAT": "json",
        "DAGSTER_DBT_CLI": "true",
        # Nobody reads them, and they are a quarter of a call: manifest, results and a log of every thought of dbt's.
        "DBT_WRITE_JSON": "false",
        "DBT_LOG_LEVEL_FILE": "none",
    }


def _paths(target_path: Path) -> dict[str, str]:
    return {
        "DBT_TARGET_PATH": os.fspath(target_path),
        "DBT_LOG_PATH": os.fspath(target_path),
        "DBT_PROJECT_DIR": os.fspath(PROJECT),
        "DBT_PROFILES_DIR": os.fspath(PROJECT),
    }


class TenantTranslator(DagsterDbtTranslator):
    """dbt's models and sources as assets of one tenant.

    ``windows`` says which days of an upstream asset the models of one op read; others are read for the same day.
    (Dagster allows one partition mapping for each upstream of an op.)
    """

    def __init__(self, scope: TenantScope, windows: Mapping[str, tuple[int, int]]):
        super().__init__(DagsterDbtTranslatorSettings(enable_asset_checks=True, enable_code_references=False))
        self._scope = scope
        self._windows = windows

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        return self._scope.key(dbt_resource_props["name"])

    def get_asset_spec(self, manifest: Mapping[str, Any], unique_id: str, project: Any) -> dg.AssetSpec:
        """The asset of a model. A staging view is read through: its sources are the model's own.

        Sources that are tables and no assets of this tenant (``series``, facts that nothing feeds) are left out.
        """
        spec = super().get_asset_spec(manifest, unique_id, project)
        fed = self._scope.source_assets()
        deps = {}
        for parent in _read_through_staging(manifest, unique_id):
            props = manifest["sources"].get(parent) or manifest["nodes"][parent]
            if props["resource_type"] == "model" or props["name"] in fed:
                mapping = DayWindow(*self._windows.get(props["name"], (0, 0)))
                deps[props["name"]] = dg.AssetDep(self.get_asset_key(props), partition_mapping=mapping)
        return spec.replace_attributes(deps=[deps[name] for name in sorted(deps)])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        return dbt_resource_props["description"]

    def get_group_name(self, dbt_resource_props: Mapping[str, Any]) -> str | None:
        return self._scope.name

    def get_owners(self, dbt_resource_props: Mapping[str, Any]) -> Sequence[str] | None:
        return self._scope.tenant.owners

    def get_tags(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, str]:
        return {}

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        partition = dbt_resource_props["config"]["meta"].get("partition") if "config" in dbt_resource_props else None
        name = dbt_resource_props["name"]
        given = dict(super().get_metadata(dbt_resource_props))
        shown = {"dagster/table_name": table_name(self._scope, name)}
        origins = _columns_origins(parsed_project(self._scope)).get(name)
        if origins is not None:
            shown |= lineage.lineage_metadata(self._scope, given["dagster/column_schema"], origins)
        return given | shown | ({"partition_expr": partition} if partition else {})


def _read_through_staging(manifest: Mapping[str, Any], unique_id: str) -> Iterator[str]:
    for parent in manifest["parent_map"][unique_id]:
        if parent in manifest["nodes"] and "staging" in manifest["nodes"][parent]["tags"]:
            yield from _read_through_staging(manifest, parent)
        else:
            yield parent


def dbt_models(scope: TenantScope, translator: TenantTranslator, *, name: str, select: str):
    """Decorate the function that makes the dbt models of ``select``: one op for a range of days."""
    return dbt_assets(
        manifest=parsed_project(scope) / "manifest.json",
        select=select,
        name=f"{scope.name}__{name}",
        partitions_def=scope.partitions,
        backfill_policy=BACKFILL_POLICY,
        dagster_dbt_translator=translator,
        io_manager_key=scope.replace_key,
        pool=scope.pool,
    )


def view_specs(scope: TenantScope, translator: TenantTranslator) -> list[dg.AssetSpec]:
    """dbt's views as assets that nothing materializes: they are computed when read.

    As partitioned assets each would cost an event a day and view in Dagster's own storage: 8 of 13 in a backfill.
    """
    manifest = _manifest(parsed_project(scope))
    specs = [
        translator.get_asset_spec(manifest, unique_id, None)
        for unique_id, node in sorted(manifest["nodes"].items())
        if node["resource_type"] == "model" and "view" in node["tags"]
        if scope.plans_stock or node["config"].get("group") != "inventory"
    ]
    return [spec.replace_attributes(kinds={"dbt", "view"}).merge_attributes(metadata={"view": True}) for spec in specs]


def run_models(
    context: dg.AssetExecutionContext,
    scope: TenantScope,
    translator: TenantTranslator,
    *,
    tag: str,
    figures: Mapping[str, str],
    first: date,
    last: date,
    views: Sequence[str] = (),
) -> Iterator[Any]:
    """Build the selected models for ``first`` .. ``last`` in one dbt call; yields Dagster events as dbt reports them.

    With them the views that they, and other models of ``tag``, read or are, and ``views``: one may not be there yet.
    A view of a table that nothing has made so far waits for it.

    ``figures`` has, by model, the query of what the UI shows of each of its days (see ``catalog.queried_figures``).

    ``DbtCliResource.cli`` would ask dbt for its version and load an adapter in this process first: 4 s a call.

    Raises:
        DbtFailed: the message holds dbt's errors.
        RetryRequested: what went wrong in the database can pass.
    """
    models = sorted(key.path[-1] for key in context.selected_asset_keys)
    selected = [*models, f"+tag:{tag},config.materialized:view", *views]
    arguments = [
        *("build", "--select", *selected, *_exclude(_too_early(scope, models))),
        *("--indirect-selection", "cautious", *event_time(first, last)),
    ]
    events, failure = _events(context, scope, translator, arguments)
    wanted = context.selected_output_names
    for event in events:
        if isinstance(event, dg.Output):
            if event.output_name not in wanted:
                continue
            key = context.asset_key_for_output(event.output_name)
            add_partition_figures(context, scope, key, figures.get(key.path[-1]), first, last)
        yield event
    if failure is not None:
        raise failure


def _exclude(names: Sequence[str]) -> list[str]:
    return ["--exclude", *names] if names else []


def _too_early(scope: TenantScope, models: Sequence[str]) -> list[str]:
    """The views over a table of dbt's that is not in the warehouse, and that a run of ``models`` does not make."""
    manifest = _manifest(parsed_project(scope))
    with scope.warehouse.reading() as session:
        there = session.relations() | set(models)

    def waits(unique_id: str) -> bool:
        node = manifest["nodes"].get(unique_id)
        if node is None:
            return False
        if node["config"]["materialized"] != "view":
            return node["name"] not in there
        return any(map(waits, manifest["parent_map"][unique_id]))

    nodes = manifest["nodes"].items()
    return sorted(node["name"] for name, node in nodes if node["config"]["materialized"] == "view" and waits(name))


@retrying()
def _events(
    context: dg.AssetExecutionContext, scope: TenantScope, translator: TenantTranslator, arguments: Sequence[str]
) -> tuple[list[Any], DbtFailed | None]:
    """What one call of dbt reports, as Dagster events, once it has ended: DuckDB lets nobody else in before.

    With them the error that it ended with, if any: a test that failed is to be seen as a check.
    """
    from importlib.metadata import version as installed

    from dagster_dbt.core.dbt_cli_invocation import DbtCliInvocation
    from dagster_dbt.errors import DagsterDbtCliRuntimeError
    from packaging.version import Version

    parsed = parsed_project(scope)
    manifest = _manifest(parsed)
    with tempfile.TemporaryDirectory(dir=parsed.parent, prefix=f"run-{context.run_id[:8]}-") as folder:
        working = Path(folder)
        told = _for_models(scope) | _paths(working) | {"PIPELINE_RUN_ID": context.run_id}
        with PROCESSES.start(arguments, told, fence=run_fence(context.instance, context.run_id)) as call:
            invocation = DbtCliInvocation(
                process=call,
                manifest=manifest,
                dagster_dbt_translator=translator,
                project_dir=PROJECT,
                target_path=working,
                raise_on_error=True,
                context=context,
                cli_version=Version(installed("dbt-core")),
            )
            events = []
            try:
                for event in invocation.stream():
                    events.append(event)
            except DagsterDbtCliRuntimeError as error:
                said = " ".join(str(error).partition(PARSED_ERRORS)[2].split()) or str(error)
                if call.returncode == TRY_AGAIN:
                    raise WarehouseUnavailable(said) from error
                return events, DbtFailed(said)
            return events, None


def add_partition_figures(
    context: dg.AssetExecutionContext, scope: TenantScope, key: dg.AssetKey, query: str | None, first: date, last: date
) -> None:
    """Put each partition's own rows on it, and the figures that ``query`` gives."""
    seconds = reads_of(context).seconds((last - first).days + 1)
    shown: dict[date, dict[str, Any]] = {
        day: {"dagster/partition_row_count": state.rows, **seconds}
        for day, state in scope.warehouse.logged(key.path[-1], first, last).items()
    }
    for day, values in queried_figures(scope, query, first, last).items() if query else ():
        shown.setdefault(day, {}).update(values)
    add_figures(context, key, shown)
