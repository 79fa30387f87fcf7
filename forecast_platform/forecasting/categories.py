"""Which category an item belonged to on a day, from dated master data. No pooling belongs here."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

EVERYWHERE = "all"
"""Location of an item row that holds in every location."""


def category_of(sku: np.ndarray, location: np.ndarray, items: pd.DataFrame, *, as_of: date) -> np.ndarray:
    """Category of each series as known on a day.

    The newest row valid on or before ``as_of`` counts: the location's own, else the one for everywhere.

    Args:
        sku, location: names of n series.
        items: ``valid_from``, ``sku``, ``location``, ``category`` (may be null), in any order.
        as_of: rows valid from a later day are not read.

    Returns:
        n texts; "" where no category is known.
    """
    known = items[["valid_from", "sku", "location", "category"]]
    known = known[(known["valid_from"] <= pd.Timestamp(as_of)) & known["category"].notna()]
    known = known.sort_values("valid_from", kind="stable").drop_duplicates(["sku", "location"], keep="last")
    table = dict(zip(zip(known["sku"], known["location"], strict=True), known["category"], strict=True))
    categories = [table.get((s, w)) or table.get((s, EVERYWHERE)) or "" for s, w in zip(sku, location, strict=True)]
    return np.array(categories, dtype=object)
