"""Sums of errors by model and series, of a day and rolling. What is concluded from them is not decided here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from forecast_platform.threads import on_all_cores

Array = np.ndarray


@dataclass(frozen=True)
class ErrorSums:
    """Sums of errors by m models and n series, of a day or of some days; each array is m x n.

    Attributes:
        n: errors; ``n_scaled``: those with a scale.
        scaled_sq: Σ error² / scale_sq; ``error``: Σ forecast - actual; ``actual``: Σ actual.
        days: days with a scaled error.
    """

    n: Array
    n_scaled: Array
    scaled_sq: Array
    error: Array
    actual: Array
    days: Array

    @classmethod
    def of_day(cls, n: Array, n_scaled: Array, scaled_sq: Array, error: Array, actual: Array) -> ErrorSums:
        """The sums of one day."""
        return cls(n, n_scaled, scaled_sq, error, actual, (n_scaled > 0).astype(np.int32))

    @classmethod
    def nothing(cls, models: int, series: int) -> ErrorSums:
        """The sums of a day without an error."""
        counts = [np.zeros((models, series), dtype=np.int32) for _ in range(3)]
        sums = [np.zeros((models, series)) for _ in range(3)]
        return cls(counts[0], counts[1], *sums, counts[2])

    def part(self, series: Array) -> ErrorSums:
        """The sums of some series."""
        return ErrorSums(*(values[:, series] for values in self._arrays))

    def compact(self) -> ErrorSums:
        """The same in less memory: what is alike for all models, as counts and actuals mostly are, is held once."""
        return ErrorSums(*(_once(values) for values in self._arrays))

    @property
    def any(self) -> bool:
        """Whether there is an error."""
        return bool(self.n.any())

    @property
    def _arrays(self) -> tuple[Array, ...]:
        return self.n, self.n_scaled, self.scaled_sq, self.error, self.actual, self.days


def rolling(days: Iterable[ErrorSums], length: int) -> Iterator[ErrorSums]:
    """Sums over the ``length`` days that end with each day, from the ``length``-th on.

    Each adds its own days, oldest first: where the range began does not change a bit.
    """
    held: deque[ErrorSums] = deque(maxlen=length)
    for day in days:
        held.append(day.compact())
        if len(held) == length:
            yield _total([each for each in held if each.any] or [held[0]])


def _once(values: Array) -> Array:
    alike = len(values) > 1 and np.array_equal(values[1:], np.broadcast_to(values[:1], values[1:].shape))
    return np.broadcast_to(values[0].copy(), values.shape) if alike else values


def _total(days: Sequence[ErrorSums]) -> ErrorSums:
    def added(arrays: Sequence[Array]) -> Array:
        total = arrays[0].copy()
        for values in arrays[1:]:
            total += values
        return total

    return ErrorSums(*on_all_cores(added, list(zip(*(day._arrays for day in days), strict=True))))
