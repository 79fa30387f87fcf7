"""A tenant's own choices of a model: which of them holds for a series on a day. They are stored and set elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

ALL = "all"
"""Stands for every SKU, or every location, in a pin."""


@dataclass(frozen=True)
class Pin:
    """A choice of a model from a day on, for a SKU and location or all of them; ``model`` None lets go again."""

    pin_id: int
    valid_from: date
    sku: str
    location: str
    model: str | None
    reason: str | None
    set_by: str

    def in_words(self) -> str:
        """Who pinned what, since when and why."""
        scope = "every series" if (self.sku, self.location) == (ALL, ALL) else f"sku {self.sku} at {self.location}"
        return f"pinned by {self.set_by} for {scope} from {self.valid_from}" + (
            f": {self.reason}" if self.reason else ""
        )


class PinsOfDay:
    """The pins that hold on one day.

    Of each scope the newest pin that is valid on the day counts; one without a model takes its scope away, so that a
    wider one counts again. For a series the most particular scope counts: its SKU and location, its SKU, its
    location, all.
    """

    def __init__(self, pins: Sequence[Pin], day: date) -> None:
        newest: dict[tuple[str, str], Pin] = {}
        for pin in sorted(pins, key=lambda each: each.pin_id):
            if pin.valid_from <= day:
                newest[pin.sku, pin.location] = pin
        self._held = {scope: pin for scope, pin in newest.items() if pin.model is not None}

    def __bool__(self) -> bool:
        return bool(self._held)

    def of(self, sku: str, location: str) -> Pin | None:
        """The pin of a series, or ``None``."""
        for scope in ((sku, location), (sku, ALL), (ALL, location), (ALL, ALL)):
            if scope in self._held:
                return self._held[scope]
        return None

    def all(self) -> list[Pin]:
        """Every pin that holds, by SKU and location."""
        return [self._held[scope] for scope in sorted(self._held)]
