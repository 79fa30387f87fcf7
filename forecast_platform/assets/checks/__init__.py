"""Asset checks: what a person should be told of the data, and what stops wrong data from spreading.

One file for each table that is checked, named after it; ``suite`` turns their functions into Dagster's checks. What dbt
tests of its models (keys, no negative units, no missing day) and what the IO managers refuse at the write is not
checked a second time.
"""

from __future__ import annotations

import dagster as dg

from forecast_platform.assets.checks import (
    accuracy,
    daily_sales,
    features,
    forecast_intervals,
    forecasts,
    freshness,
    ledger,
    raw_sales,
)
from forecast_platform.assets.checks.suite import Check, checks_in_one_step
from forecast_platform.assets.scope import TenantScope


def build_checks(scope: TenantScope) -> list[dg.AssetChecksDefinition]:
    """A tenant's checks, one step for each group: a step costs more than most of the checks in it.

    Checks that block what follows an asset have a step of their own for that asset; the others share the last ones.
    """
    groups: dict[str, list[Check]] = {
        "raw_sales": raw_sales.checks(scope.tenant),
        "daily_sales": daily_sales.checks(scope.tenant),
        "features": features.checks(scope.tenant),
        "forecasts": forecasts.checks(scope.tenant),
        "forecast_intervals": forecast_intervals.checks(scope.tenant),
        "accuracy": accuracy.checks(scope.tenant),
        "ledger": [*ledger.checks(scope.tenant), *freshness.checks(scope.tenant)],
    }
    return [checks_in_one_step(scope, name, checks) for name, checks in groups.items()]
