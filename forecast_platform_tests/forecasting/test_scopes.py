"""Of several rows about a series and day, the most particular one counts, and of those the newest known."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform.forecasting.scopes import ScopedRows

FIRST = date(2026, 3, 1)
SCOPE = ("sku", "category", "location")
SERIES = {
    "sku": np.array(["a", "a", "b", "ü 1"], dtype=object),
    "category": np.array(["tea", "tea", "", "tea"], dtype=object),
    "location": np.array(["north", "south", "north", "all"], dtype=object),
}
DAYS = 4

row = st.fixed_dictionaries(
    {
        "known_from": st.integers(-3, 3),
        "target_date": st.integers(-1, DAYS),
        "sku": st.sampled_from(["a", "b", "ü 1", "gone", "all"]),
        "category": st.sampled_from(["tea", "oil", "all"]),
        "location": st.sampled_from(["north", "south", "all"]),
    }
)
tables = st.lists(row, max_size=25, unique_by=lambda each: tuple(each.values()))


def frame_of(rows: list[dict]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["known_from", "target_date", *SCOPE])
    start = pd.Timestamp(FIRST)
    for name in ("known_from", "target_date"):
        frame[name] = start + pd.to_timedelta(frame[name].astype("int64"), unit="D")
    return frame


def by_hand(rows: pd.DataFrame, series: int, day: pd.Timestamp, origin: date) -> tuple | None:
    """Compare row by row, in words: named SKU before named category before named location, then newest."""
    best = None
    for each in rows.itertuples(index=False):
        if each.target_date != day or each.known_from > pd.Timestamp(origin):
            continue
        names = [getattr(each, column) for column in SCOPE]
        if any(name not in ("all", SERIES[column][series]) for name, column in zip(names, SCOPE, strict=True)):
            continue
        rank = (*(name != "all" for name in names), each.known_from)
        if best is None or rank > best[0]:
            best = rank, tuple(each)
    return best and best[1]


@settings(deadline=None)
@given(tables, st.integers(-3, 3), st.randoms(use_true_random=False))
def test_the_row_that_counts_is_that_of_a_search_by_hand(rows: list[dict], origin: int, shuffler):
    shuffler.shuffle(rows)
    frame, known = frame_of(rows), FIRST + timedelta(days=origin)
    scoped = ScopedRows(frame, scope=SCOPE)
    chosen = scoped.newest(SERIES, origin=known, first=FIRST, days=DAYS)
    assert chosen.shape == (4, DAYS)
    for series in range(4):
        for day in range(DAYS):
            found = chosen[series, day]
            expected = by_hand(frame, series, pd.Timestamp(FIRST + timedelta(days=day)), known)
            assert (None if found < 0 else tuple(scoped.frame.iloc[found])) == expected


def test_no_rows_say_nothing():
    chosen = ScopedRows(frame_of([]), scope=SCOPE).newest(SERIES, origin=FIRST, first=FIRST, days=DAYS)
    assert (chosen == -1).all()


def test_a_location_is_named_before_nothing_and_a_later_word_about_everything_does_not_undo_it():
    rows = [
        {"known_from": -2, "target_date": 0, "sku": "a", "category": "all", "location": "north"},
        {"known_from": 0, "target_date": 0, "sku": "all", "category": "all", "location": "all"},
    ]
    scoped = ScopedRows(frame_of(rows), scope=SCOPE)
    chosen = scoped.newest(SERIES, origin=FIRST, first=FIRST, days=1)
    assert scoped.frame["sku"].to_numpy()[chosen[:, 0]].tolist() == ["a", "all", "all", "all"]
