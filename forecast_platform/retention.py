"""How long what is neither fact nor ledger is kept: which tables may be pruned, and which windows still read them.

What belongs here is the rule, as pure functions of a tenant's settings. Taking rows away is in ``pruning``. Facts and
ledgers are never pruned: old months of the ledgers move to the archive.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from forecast_platform.forecasting import model_specs

if TYPE_CHECKING:
    from forecast_platform.tenant import Tenant

Prunable = Literal[
    "demand_classes",
    "error_sums",
    "features",
    "forecast_errors",
    "interval_scores",
    "inventory_plan",
    "inventory_simulation",
    "published_sums",
    "sales_rejects",
    "series_scales",
]
"""Tables that are computed from facts and ledgers, and can be again."""

PRUNABLE: tuple[Prunable, ...] = get_args(Prunable)

REPORT_DAYS = 90
"""The longest window of the daily report and of the accuracy views."""

CHECKED_AHEAD = 28
"""Days beyond ``monitoring.reference_days`` that a check of drift reads."""


class Need(NamedTuple):
    """A window that reads a table: what it is, and how many days before the open day it begins."""

    why: str
    days: int


def needs(tenant: Tenant, table: Prunable) -> Need:
    """The window that reads ``table`` the farthest back. Days of the last ``rerun_days`` are made again every week."""
    again, horizon = tenant.automation.rerun_days, tenant.horizon
    refits = [model.refit_every for model in model_specs(tenant.models) if model.refit_every is not None]
    calibrated = Need("calibration_window", tenant.calibration_window)
    by_origin = Need(f"{calibrated.why} + horizon ({horizon})", calibrated.days + horizon)
    reported = Need("the daily report's longest window", REPORT_DAYS)
    drift = Need(
        f"monitoring.reference_days + the {CHECKED_AHEAD} days compared with them",
        tenant.monitoring.reference_days + CHECKED_AHEAD,
    )
    trained = Need(
        "training_window" + (f" + the longest refit_every ({max(refits)})" if refits else ""),
        tenant.training_window + max(refits, default=0),
    )
    windows: dict[Prunable, list[Need]] = {
        "demand_classes": [by_origin],
        "error_sums": [Need("champion_window", tenant.champion_window), drift, reported],
        "features": [trained, drift],
        "forecast_errors": [calibrated, drift, reported],
        "interval_scores": [reported],
        "inventory_plan": [reported, Need("inventory.simulated_days", tenant.inventory.simulated_days + 1)],
        "inventory_simulation": [reported],
        "published_sums": [reported],
        "sales_rejects": [Need("the daily report", 1)],
        "series_scales": [by_origin, Need(f"{reported.why} + horizon ({horizon})", reported.days + horizon)],
    }
    longest = max(windows[table], key=lambda need: need.days)
    return Need(f"{longest.why} ({longest.days} days) + automation.rerun_days ({again})", longest.days + again)


def too_short(tenant: Tenant) -> list[str]:
    """What is wrong with a tenant's ``retention``, in words: each table that is kept shorter than it is read."""
    return [
        f"retention.{table} is {days} days, and {need.days} are read: {need.why}. Keep it that long, or shorten that"
        " window"
        for table, days in sorted(tenant.retention.items())
        if days < (need := needs(tenant, table)).days
    ]
