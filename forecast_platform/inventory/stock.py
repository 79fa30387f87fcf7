"""What there is at the end of a day: counted, or counted before and carried on; and what is on its way, by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

Array = np.ndarray

COUNTED, ESTIMATED, UNKNOWN = "counted", "estimated", "unknown"
"""On the day itself; before it, with what was sold and delivered since; not at all."""


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What there is of n series at the end of the day.

    Attributes:
        on_hand: n units; below 0 is owed to customers.
        deliveries: n x H units of open orders, by the day ahead on which they are expected; overdue ones on the first.
        later: n units on order that are expected beyond H days.
        days_unsold: n days since the last sale.
    """

    on_hand: Array
    deliveries: Array
    later: Array
    days_unsold: Array

    @property
    def on_order(self) -> Array:
        """n units."""
        return self.deliveries.sum(axis=1) + self.later

    @property
    def available(self) -> Array:
        """n x H units that are there or will have been delivered by the end of each day ahead."""
        return self.on_hand[:, None] + np.cumsum(self.deliveries, axis=1)


def on_hand(counts: pd.DataFrame, sold: Array, received: Array, day: date) -> tuple[Array, Array]:
    """Units at the end of ``day``, and how they are known: last count - net sales since + what was delivered since.

    Args:
        counts: n rows ``counted_on``, ``on_hand``; null where there never was a count.
        sold, received: n units after the day of the count.

    Returns:
        n units, NaN where unknown, below 0 where more was sold than there was; n of ``COUNTED``, ``ESTIMATED``,
        ``UNKNOWN``.
    """
    counted_on = counts["counted_on"].to_numpy(dtype="datetime64[D]")
    held = counts["on_hand"].to_numpy(dtype=np.float64, na_value=np.nan)
    known, today = ~np.isnat(counted_on), counted_on == np.datetime64(day, "D")
    now = np.where(today, held, held - sold + received)
    how = np.select([today, known], [COUNTED, ESTIMATED], UNKNOWN).astype(object)
    return np.where(known, now, np.nan), how


def expected_on(lines: pd.DataFrame, lead_time: Array) -> Array:
    """Days on which n lines are expected: as told, else a lead time after the order, or after it became known.

    Args:
        lines: ``ordered_on``, ``expected_on``, ``known_from``.
        lead_time: n days.
    """
    ordered = lines["ordered_on"].fillna(lines["known_from"]).to_numpy(dtype="datetime64[D]")
    told = lines["expected_on"].to_numpy(dtype="datetime64[D]")
    return np.where(np.isnat(told), ordered + np.ceil(lead_time).astype("timedelta64[D]"), told)


def deliveries(row: Array, expected: Array, quantity: Array, *, n: int, day: date, horizon: int) -> tuple[Array, Array]:
    """Units of open lines by the day ahead on which they are expected.

    Args:
        row: which of n series each line is of.
        expected: when it is expected; what is overdue is expected on the first day ahead.
        quantity: its units.

    Returns:
        n x horizon units, and n units expected later.
    """
    ahead = np.maximum((expected - np.datetime64(day, "D")).astype(np.int64), 1)
    due, later = np.zeros((n, horizon)), np.zeros(n)
    soon = ahead <= horizon
    np.add.at(due, (row[soon], ahead[soon] - 1), quantity[soon])
    np.add.at(later, row[~soon], quantity[~soon])
    return due, later
