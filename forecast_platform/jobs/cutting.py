"""What a job is cut into: runs of consecutive days, each by blocks of series. Pure.

Blocks are those of the tenant's ``forecasts`` (``forecasting.parts``): a series belongs to one by its number alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from forecast_platform.days import days_between
from forecast_platform.forecasting.parts import block_of

DAYS_A_RUN = 31
"""Days that one run makes. A run holds the union of what its days read; the next begins when it has ended, as what it
reads of errors and champions is what the one before has made."""

Name = tuple[str, str]
"""A series: SKU and location."""


@dataclass(frozen=True)
class Batch:
    """Some days of one block of series."""

    run: int
    block: int
    first: date
    last: date
    series: int


def blocks_of(series: Iterable[tuple[int, str, str]], blocks: int) -> dict[int, list[Name]]:
    """The names of each block's series, in the order given; blocks without any are left out.

    Args:
        series: id, SKU and location of each.
        blocks: how many blocks the tenant's forecasts have.
    """
    names: dict[int, list[Name]] = {}
    for series_id, sku, location in series:
        names.setdefault(int(block_of(series_id, blocks)), []).append((sku, location))
    return dict(sorted(names.items()))


def cut(first: date, last: date, blocks: dict[int, list[Name]], *, days_a_run: int = DAYS_A_RUN) -> list[Batch]:
    """The batches of a job, in the order in which they are run.

    Raises:
        ValueError: there is no day, or no series.
    """
    days = days_between(first, last)
    if not days or not blocks:
        raise ValueError(f"{len(days)} days of {len(blocks)} blocks of series are no job")
    runs = [days[at : at + days_a_run] for at in range(0, len(days), days_a_run)]
    return [
        Batch(number, block, run[0], run[-1], len(names))
        for number, run in enumerate(runs)
        for block, names in blocks.items()
    ]
