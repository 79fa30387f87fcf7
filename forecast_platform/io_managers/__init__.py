"""Frames to rows and back: replace a range of days, append to the ledger, in DuckDB or PostgreSQL.

What belongs here: connections, transactions, locks, type casts, the partition log, the checks that hold for every
asset. What a table is, is declared in ``tables``; what an asset computes, in ``assets`` and the pure packages.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import IOManager

    from forecast_platform.io_managers.warehouse import Warehouse


def build_io_managers(warehouse: Warehouse, *, start: date) -> dict[str, IOManager]:
    """A tenant's IO managers: ``replace`` for facts and features, ``ledger`` for forecasts, ``batches`` for the rest.

    Args:
        start: the tenant's first day; an input's look-back before it is no gap.
    """
    from forecast_platform.io_managers.batch_io_manager import BatchIOManager
    from forecast_platform.io_managers.frames import ReplaceIOManager
    from forecast_platform.io_managers.ledger_io_manager import LedgerIOManager

    return {
        "replace": ReplaceIOManager(warehouse, start=start),
        "ledger": LedgerIOManager(warehouse, start=start),
        "batches": BatchIOManager(warehouse, start=start),
    }
