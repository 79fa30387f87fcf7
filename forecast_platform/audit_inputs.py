"""The sales history that a version of a forecast was made from, made again and compared with the version's digest.

A version keeps the digest of its whole history and figures over all its series; a row for each series, model and origin
would be as much as the ledger itself. So one series' history is read from ``features`` as they are; where sales have
changed since, the changed days are read again from what had landed by then. Nothing is told of a history whose digest
is not the version's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import settings as platform_settings
from forecast_platform import tables
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting import Panel, PanelError, PanelHistory
from forecast_platform.forecasting.versions import figures_of, history_digest
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.facts import facts_of
from forecast_platform.sources.library import LandingError
from forecast_platform.sources.opening import open_source

AS_THEY_ARE = "recomputed from features as they are; the digest is the version's"
AS_OF_THEN = "recomputed from what had landed by then; the digest is the version's"
GONE = "not to be recomputed: facts have changed since, and what had landed by then gives another digest"


@dataclass(frozen=True)
class SeriesHistory:
    """One series as a version saw it: ``units`` of each of ``days``, NaN where there is none; how that is known."""

    days: tuple[date, ...]
    units: np.ndarray
    source: str

    def figures(self) -> dict[str, Any]:
        """What went in; see ``figures_of``."""
        return figures_of(self.units[None, :], pd.DatetimeIndex(self.days))

    def changes_to(self, later: SeriesHistory) -> list[dict[str, Any]]:
        """Days whose units are others in ``later``: the day, and what they were and are (None: no row)."""
        before, after = (dict(zip(each.days, each.units.tolist(), strict=True)) for each in (self, later))
        pairs = [(day, before.get(day, np.nan), after.get(day, np.nan)) for day in sorted(before.keys() | after.keys())]
        return [
            {"day": day, "before": _known(old), "after": _known(new)}
            for day, old, new in pairs
            if not (old == new or (np.isnan(old) and np.isnan(new)))
        ]


class Histories:
    """The histories of one series and origin, as several versions saw them.

    Args:
        session: reads ``features``; kept for as long as histories are asked for.
    """

    def __init__(self, scope: TenantScope, session: Session, series_id: int, origin: date) -> None:
        self._scope, self._session = scope, session
        self._series_id, self._origin = series_id, origin
        self._panels: dict[int, Panel | None] = {}
        self._found: dict[str, SeriesHistory | None] = {}

    def of(self, inputs: Mapping[str, Any], made_at: datetime | None) -> SeriesHistory | None:
        """What a version saw of the series, from its ``inputs`` and the time it was made; None if nobody can tell."""
        wanted = inputs["inputs"]["history"]
        if self._found.get(wanted) is None:
            self._found[wanted] = self._made_again(wanted, int(inputs["window"]), made_at)
        return self._found[wanted]

    def _made_again(self, wanted: str, window: int, made_at: datetime | None) -> SeriesHistory | None:
        panel = self._panel(window)
        if panel is None:
            return None
        if history_digest(panel.y) == wanted:
            return self._cut(panel, panel.y, np.arange(len(panel.series)), AS_THEY_ARE)
        if made_at is None:
            return None
        try:
            then, rows = self._as_of(panel, made_at)
        except (LandingError, OSError, ValueError):
            return None  # the landed bytes are gone, or the source's settings no longer read them
        return self._cut(panel, then, rows, AS_OF_THEN) if history_digest(then) == wanted else None

    def _cut(self, panel: Panel, y: np.ndarray, rows: np.ndarray, source: str) -> SeriesHistory | None:
        place = np.flatnonzero(panel.series.series_id[rows] == self._series_id)
        days = tuple(day.date() for day in panel.dates)
        return SeriesHistory(days, y[place[0]], source) if len(place) else None

    def _panel(self, window: int) -> Panel | None:
        """The origin's panel from features as they are; None where there are none of the origin any more."""
        if window not in self._panels:
            first = self._origin - timedelta(days=window - 1)
            columns = tables.features.c
            query = sa.select(columns.sale_date, columns.series_id, columns.units, columns.in_stock)
            rows = self._session.frame(query.where(columns.sale_date.between(first, self._origin)))
            names = self._session.frame(sa.select(tables.series))
            try:
                history = PanelHistory.from_features(rows, names, origins=(self._origin, self._origin))
                self._panels[window] = history.panel_at(self._origin, window=window)
            except PanelError:
                self._panels[window] = None
        return self._panels[window]

    @cached_property
    def _batches(self) -> pd.DataFrame:
        landed = tables.landed_batches
        return self._session.frame(sa.select(landed).where(landed.c.asset == "raw_sales"))

    def _as_of(self, panel: Panel, made_at: datetime) -> tuple[np.ndarray, np.ndarray]:
        """``panel.y`` as it was when nothing had landed after ``made_at``, and the rows of the panel that are in it."""
        late = self._batches["received_at"] > pd.Timestamp(made_at)
        touched = {date.fromisoformat(day) for days in self._batches.loc[late, "days"] for day in json.loads(days)}
        window = {stamp.date(): column for column, stamp in enumerate(panel.dates)}
        changed = sorted(touched & window.keys())
        tenant = self._scope.tenant
        source = open_source("raw_sales", tenant.source, timezone=tenant.timezone, variables=_variables())
        landing = Landing(self._scope.settings.landing, self._scope.name, tenant.timezone)
        early = self._batches[~late].reset_index(drop=True)
        rows, _ = facts_of(source, changed, early, landing) if changed else (pd.DataFrame(), None)
        return _patched(panel, rows, [window[day] for day in changed], window)


def _patched(
    panel: Panel, sales: pd.DataFrame, columns: list[int], window: Mapping[date, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The panel's history with some days' ``sales`` in place of its own.

    A series whose first row lies in the window has it on its first sale; one without a sale is not in the panel.
    """
    y = panel.y.copy()
    begun_before = ~np.isnan(y[:, 0])
    censored = np.isnan(y) & np.logical_or.accumulate(~np.isnan(y), axis=1)
    place = {pair: row for row, pair in enumerate(zip(panel.series.sku, panel.series.location, strict=True))}
    y[:, columns] = 0.0
    if len(sales):
        sums = sales.assign(quantity=sales["quantity"].astype("float64")).groupby(["sku", "location", "sale_date"])
        for (sku, location, day), units in sums["quantity"].sum().items():
            row = place.get((str(sku), str(location)))
            if row is not None:
                y[row, window[day.date()]] = max(units, 0.0)
    y[censored] = np.nan
    sold = np.where(np.isnan(y), 0.0, y) > 0
    started = np.logical_or.accumulate(sold, axis=1) | begun_before[:, None]
    y = np.where(started, np.where(np.isnan(y) & ~censored, 0.0, y), np.nan)
    rows = np.flatnonzero(started[:, -1])
    return y[rows], rows


def _variables() -> Mapping[str, str]:
    return platform_settings.variables()


def _known(units: float) -> float | None:
    return None if np.isnan(units) else units
