"""Small frames of the platform's tables, for tests that write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pandas as pd

DAY = date(2026, 1, 5)


def days(count: int, first: date = DAY) -> list[date]:
    """``count`` days from ``first`` on."""
    return [first + timedelta(days=offset) for offset in range(count)]


def sales(on: Sequence[date] | date = DAY, *, rows: int = 3, quantity: str = "1.5", tag: str = "e") -> pd.DataFrame:
    """``rows`` sales a day of as many SKUs, as ``raw_sales`` holds them."""
    dates = [on] if isinstance(on, date) else list(on)
    records = [
        {
            "sale_date": pd.Timestamp(day),
            "event_id": f"{tag}-{day}-{number}",
            "sold_at": pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=number % 24),
            "sku": f"sku {number:04d}",
            "location": "all",
            "quantity": Decimal(quantity),
            "unit_price": Decimal("2.25"),
            "on_promotion": number % 2 == 0,
            "order_id": None,
            "source": "test",
        }
        for day in dates
        for number in range(rows)
    ]
    columns = ["sale_date", "event_id", "sold_at", "sku", "location", "quantity"]
    columns += ["unit_price", "on_promotion", "order_id", "source"]
    return pd.DataFrame(records, columns=columns)
