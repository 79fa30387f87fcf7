"""Imports that steps would wait for, made in a thread while something else goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib import import_module

FOR_FEATURES = "holidays"
FOR_DBT = "dagster_dbt.core"
FOR_MODELS = "forecast_platform.forecasting.forecasters"
"""sktime alone is 3 s of imports; where every version is on record nobody needs it."""


def import_ahead(modules: Iterable[str]) -> None:
    """Import ``modules`` in a thread. Whoever imports one of them meanwhile waits for it, as ever."""
    names = sorted(modules)
    threading.Thread(target=lambda: [import_module(name) for name in names], name="import-ahead", daemon=True).start()
