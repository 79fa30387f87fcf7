"""The ``Definitions`` of the code location: every tenant, and the executor. Nothing else belongs here.

``defs`` holds all tenants; ``tenant_<name>`` holds one, for a code location of its own (see ``workspace.yaml``).
"""

from __future__ import annotations

import warnings

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning, PreviewWarning

from forecast_platform import logs
from forecast_platform import settings as platform_settings
from forecast_platform.executors import executor_of
from forecast_platform.pipeline import build_tenant, load_tenant, tenants_tree

# What this project uses of Dagster's beta is pinned and tested; 60 warnings at every load hide what else is said.
for category in (BetaWarning, PreviewWarning):
    warnings.filterwarnings("ignore", category=category)


@dg.definitions
def defs() -> dg.Definitions:
    settings = platform_settings.load()
    logs.configure(settings)
    return dg.Definitions.merge(tenants_tree(settings).build_defs(), _execution(settings))


def _execution(settings: platform_settings.Settings) -> dg.Definitions:
    return dg.Definitions(executor=executor_of(settings, platform_settings.instance_file()))


def __getattr__(name: str) -> dg.Definitions:
    if not name.startswith("tenant_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    settings = platform_settings.load()
    logs.configure(settings)
    scope = load_tenant(name.removeprefix("tenant_"), settings)
    return dg.Definitions.merge(build_tenant(scope), _execution(settings))
