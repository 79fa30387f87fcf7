"""``ForecastPipeline``: a tenant's settings in; its assets, checks, jobs, schedules and sensors out.

The component is the one way a tenant's definitions are made: the UI, the command line and the tests all call
``build_tenant``.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import dagster as dg
from dagster.components.core.component_tree import ComponentTree, ComponentTreeException
from pydantic import ValidationError
from yaml import YAMLError

from forecast_platform import settings as platform_settings
from forecast_platform.assets.champions import build_champions_asset
from forecast_platform.assets.checks import build_checks
from forecast_platform.assets.daily_report import build_daily_report_asset
from forecast_platform.assets.daily_sales import build_daily_sales_asset
from forecast_platform.assets.dbt import TenantTranslator, view_specs
from forecast_platform.assets.demand_classes import build_demand_classes_asset
from forecast_platform.assets.facts import build_fact_assets
from forecast_platform.assets.features import build_features_asset
from forecast_platform.assets.forecast_errors import build_forecast_errors_asset
from forecast_platform.assets.forecast_explanations import build_forecast_explanations_asset
from forecast_platform.assets.forecast_intervals import build_forecast_intervals_asset
from forecast_platform.assets.forecasts import build_forecasts_asset
from forecast_platform.assets.hierarchy_forecasts import build_hierarchy_forecasts_asset
from forecast_platform.assets.interval_scores import build_interval_scores_asset
from forecast_platform.assets.inventory_plan import build_inventory_plan_asset
from forecast_platform.assets.inventory_simulation import build_inventory_simulation_asset
from forecast_platform.assets.model_artifacts import build_model_artifacts_asset
from forecast_platform.assets.publications import build_publications_asset
from forecast_platform.assets.raw_sales import build_raw_sales_asset
from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.serving import build_serving_asset
from forecast_platform.assets.weekly_forecasts import build_weekly_forecasts_asset
from forecast_platform.automation import build_automation
from forecast_platform.io_managers import build_io_managers
from forecast_platform.settings import Settings, SettingsError
from forecast_platform.tenant import Tenant

PROJECT = Path(__file__).resolve().parent.parent
TENANT_NAME = re.compile(r"^[a-z][a-z0-9_]{0,40}$")


class UnknownTenant(SettingsError):
    """No folder of that name holds a tenant."""


class TenantRefused(SettingsError):
    """A tenant's ``defs.yaml`` cannot be read, or holds what no tenant may have. The message names the field."""


class ForecastPipeline(dg.Component):
    """A tenant: sales in, scored forecasts out, by day.

    The folder that holds the ``defs.yaml`` names the tenant; ``attributes`` are the fields of ``Tenant``.
    """

    def __init__(self, name: str, tenant: Tenant):
        if not TENANT_NAME.match(name):
            raise SettingsError(
                f"tenant {name!r} is named by its folder, which must match {TENANT_NAME.pattern}: rename the folder"
            )
        self.name = name
        self.tenant = tenant

    @classmethod
    def get_model_cls(cls) -> type[Tenant]:
        return Tenant

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(
            description=cls.__doc__, produces=["asset", "asset_check", "job", "schedule", "sensor"]
        )

    @classmethod
    def load(cls, attributes: Tenant | None, context: dg.ComponentLoadContext) -> ForecastPipeline:
        given = {} if attributes is None else attributes.model_dump(exclude_unset=True)
        resolved = context.resolution_context.at_path("attributes").resolve_value(given)
        return cls(context.path.name, Tenant.model_validate(resolved))

    def build_defs(self, context: dg.ComponentLoadContext | None = None) -> dg.Definitions:
        return build_tenant(TenantScope(self.name, self.tenant, platform_settings.load()))


def build_tenant(scope: TenantScope) -> dg.Definitions:
    """A tenant's assets, checks and IO managers, and the jobs, schedules and sensors by which it runs."""
    assets = build_assets(scope)
    return dg.Definitions.merge(assets, build_automation(scope, assets, build_assets))


def build_assets(scope: TenantScope) -> dg.Definitions:
    """A tenant's assets, checks and IO managers."""
    assets = [
        *build_fact_assets(scope),
        build_raw_sales_asset(scope),
        build_daily_sales_asset(scope),
        build_features_asset(scope),
        build_demand_classes_asset(scope),
        *filter(None, [build_model_artifacts_asset(scope)]),
        build_forecasts_asset(scope),
        build_forecast_errors_asset(scope),
        build_forecast_intervals_asset(scope),
        build_interval_scores_asset(scope),
        build_champions_asset(scope),
        build_publications_asset(scope),
        build_weekly_forecasts_asset(scope),
        build_hierarchy_forecasts_asset(scope),
        build_forecast_explanations_asset(scope),
        *([build_inventory_plan_asset(scope), build_inventory_simulation_asset(scope)] if scope.plans_stock else []),
        build_daily_report_asset(scope),
        build_serving_asset(scope),
        *view_specs(scope, TenantTranslator(scope, windows={})),
    ]
    managers = build_io_managers(scope.warehouse, start=scope.tenant.start)
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(scope),
        resources={
            scope.replace_key: managers["replace"],
            scope.ledger_key: managers["ledger"],
            scope.batches_key: managers["batches"],
        },
    )


def tenants_tree(settings: Settings) -> ComponentTree:
    """Every tenant's folder, as Dagster's component tree; nothing is loaded yet."""
    if settings.tenants is None:
        return ComponentTree.for_project(PROJECT)
    folder = Path(settings.tenants).resolve()
    if not folder.is_dir():
        raise SettingsError(f"FORECAST_TENANTS is {settings.tenants!r}, which is no folder")
    return _tree(folder, "forecast_platform_tenants")


def _tree(folder: Path, name: str) -> ComponentTree:
    """The component tree of a folder that need not be a package, known to Python as module ``name``."""
    spec = importlib.util.spec_from_loader(name, loader=None, is_package=True)
    module = importlib.util.module_from_spec(spec)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return ComponentTree.from_module(module, project_root=folder)


def tenant_names(settings: Settings) -> list[str]:
    """Names of the tenants that have a folder, in order."""
    return sorted(path.parent.name for path in tenants_tree(settings).defs_module_path.glob("*/defs.yaml"))


def load_tenant(name: str, settings: Settings) -> TenantScope:
    """One tenant, whatever the state of the others' files.

    Raises:
        UnknownTenant: no folder of that name.
        TenantRefused: its YAML is wrong; the message, of one line, names the field.
    """
    names = tenant_names(settings)
    if name not in names:
        raise UnknownTenant(f"tenant {name!r} is unknown; there are {', '.join(names) or 'none'}")
    try:
        # A tree of its own: the tree of all tenants reads every YAML, and fails if another tenant's cannot be read.
        tree = _tree(tenants_tree(settings).defs_module_path / name, f"forecast_platform_tenant_{name}")
        component = tree.load_component(".", expected_type=ForecastPipeline)
    except (ComponentTreeException, YAMLError) as error:
        raise TenantRefused(f"{name}/defs.yaml: {_in_one_line(error)}") from error
    return TenantScope(component.name, component.tenant, settings)


def _in_one_line(error: BaseException) -> str:
    """What is wrong with a YAML file, with the fields it is wrong in."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ValidationError):
        cause = cause.__cause__
    if isinstance(cause, ValidationError):
        wrong = [(".".join(map(str, each["loc"])).strip("`"), each["msg"]) for each in cause.errors()]
        return "; ".join(f"{field.partition(' at ')[0]}: {reason}" for field, reason in wrong)
    return " ".join(str(error.__cause__ or error).split())
