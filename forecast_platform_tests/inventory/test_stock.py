"""Stock: counted, carried on from a count, or unknown; what is on its way, by the day on which it is expected."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from forecast_platform.inventory.stock import COUNTED, ESTIMATED, UNKNOWN, deliveries, expected_on, on_hand

DAY = date(2026, 5, 10)


def test_a_count_of_the_day_is_taken_as_it_is_and_an_older_one_carried_on():
    counts = pd.DataFrame(
        {
            "counted_on": pd.to_datetime(["2026-05-10", "2026-05-07", "2026-05-07", None]),
            "on_hand": [12.0, 12.0, 2.0, None],
        }
    )
    # 12 - 5 sold + 20 delivered; 2 - 5 is owed.
    units, how = on_hand(counts, np.array([5.0, 5.0, 5.0, 0.0]), np.array([20.0, 20.0, 0.0, 0.0]), DAY)
    assert units[:3].tolist() == [12.0, 27.0, -3.0] and np.isnan(units[3])
    assert how.tolist() == [COUNTED, ESTIMATED, ESTIMATED, UNKNOWN]


def test_a_line_without_a_day_is_expected_a_lead_time_after_its_order():
    lines = pd.DataFrame(
        {
            "ordered_on": pd.to_datetime(["2026-05-01", "2026-05-01", None]),
            "expected_on": pd.to_datetime(["2026-05-20", None, None]),
            "known_from": pd.to_datetime(["2026-05-02"] * 3),
        }
    )
    found = expected_on(lines, np.array([3.0, 3.5, 3.0]))
    assert found.astype(str).tolist() == ["2026-05-20", "2026-05-05", "2026-05-05"]


def test_what_is_overdue_comes_tomorrow_and_what_is_far_comes_later():
    expected = np.array(["2026-05-01", "2026-05-11", "2026-05-13", "2026-05-14", "2026-05-13"], dtype="datetime64[D]")
    row = np.array([0, 0, 1, 1, 1])
    due, later = deliveries(row, expected, np.array([1.0, 2.0, 4.0, 8.0, 16.0]), n=2, day=DAY, horizon=3)
    assert due.tolist() == [[3.0, 0.0, 0.0], [0.0, 0.0, 20.0]]
    assert later.tolist() == [0.0, 8.0]
