"""The category of an item is the one known on the day."""

from datetime import date

import numpy as np
import pandas as pd

from forecast_platform.forecasting.categories import category_of


def items(*rows):
    frame = pd.DataFrame(rows, columns=["valid_from", "sku", "location", "category"])
    return frame.assign(valid_from=pd.to_datetime(frame["valid_from"]))


ITEMS = items(
    ("2026-03-01", "a", "all", "toys"),
    ("2026-01-01", "a", "all", "gifts"),
    ("2026-02-01", "a", "north", "seasonal"),
    ("2026-02-15", "b", "all", None),
    ("2026-01-15", "b", "all", "food"),
)


def categories(day, *series):
    sku, location = (np.array(names, dtype=object) for names in zip(*series, strict=True))
    return category_of(sku, location, ITEMS, as_of=day).tolist()


def test_the_newest_row_known_on_the_day_counts_and_a_later_one_is_not_seen():
    assert categories(date(2026, 2, 28), ("a", "all")) == ["gifts"]
    assert categories(date(2026, 3, 1), ("a", "all")) == ["toys"]


def test_a_locations_own_row_comes_before_the_one_for_everywhere():
    assert categories(date(2026, 3, 1), ("a", "north"), ("a", "south")) == ["seasonal", "toys"]


def test_no_row_and_no_category_are_no_category():
    assert categories(date(2025, 12, 31), ("a", "all"), ("c", "all")) == ["", ""]
    assert categories(date(2026, 3, 1), ("b", "all")) == ["food"]
