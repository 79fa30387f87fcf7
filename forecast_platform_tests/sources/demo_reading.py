"""Reads what the demo generator sends as a receiver would, without any of this project's readers."""

from __future__ import annotations

import io
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pandas as pd

from forecast_platform.sources.demo import open_demo
from forecast_platform.sources.demo_settings import DemoSource

BERLIN = "Europe/Berlin"
LAST = date(2026, 11, 19)
FIRST = LAST - timedelta(days=199)


def closing(day: date, timezone: str = BERLIN) -> datetime:
    """The first moment after ``day`` has closed."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(timezone))


def batches(
    asset: str, settings: DemoSource, first: date, last: date, *, now: datetime | None = None, timezone: str = BERLIN
) -> dict[str, bytes]:
    """Name and bytes of what arrives for ``first`` .. ``last``, by default as soon as ``last`` has closed."""
    source = open_demo(asset, settings, timezone=timezone)
    arrivals = source.discover(now=now or closing(last, timezone), first=first, last=last)
    return {arrival.name: arrival.open().read() for arrival in arrivals}


def rows(asset: str, settings: DemoSource, first: date, last: date) -> pd.DataFrame:
    """Rows of all that arrives, as text, with the day of the batch in ``arrived``."""
    frames = [
        pd.read_csv(io.BytesIO(content), dtype=str, keep_default_na=False).assign(arrived=name[-14:-4])
        for name, content in batches(asset, settings, first, last).items()
    ]
    return pd.concat(frames, ignore_index=True)


def is_bad(sales: pd.DataFrame) -> pd.Series:
    """Whether a row is no sale: a quantity that is no whole number, or no SKU."""
    return ~sales["quantity"].str.fullmatch(r"-?[0-9]+") | (sales["sku"] == "")


def newest_states(sales: pd.DataFrame) -> pd.DataFrame:
    """The events, each in its newest state, with ``day`` and whole-numbered ``units``."""
    good = sales[~is_bad(sales)].sort_values(["updated_at", "arrived"], kind="stable")
    newest = good.drop_duplicates("event_id", keep="last")
    return newest.assign(day=newest["sold_at"].str[:10], units=newest["quantity"].astype(int))
