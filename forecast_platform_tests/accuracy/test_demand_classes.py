"""Series are told apart by gaps, sizes, revenue and steadiness, from the days up to one day."""

from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecast_platform.accuracy.demand_classes import (
    DEMAND_CLASSES,
    READ_FROM,
    REQUIRED,
    abc_classes,
    classify,
    demand_classes,
    xyz_classes,
)

NAN = np.nan
START = date(2026, 1, 1)


def history(*last: float, before: float = 0.0, days: int = 40) -> np.ndarray:
    return np.array([*[before] * (days - len(last)), *last])


def test_interval_and_squared_variation_are_as_worked_by_hand():
    y = np.array([history(2, 0, 0, 4, 0, 6), history(5, 5), history(1, 0, 0, NAN, NAN, 9)])
    demand = classify(y)
    # Six days, three sales of 2, 4, 6: mean 4, population variance 8/3. An empty shelf is no day without demand.
    assert demand.adi.tolist() == [2.0, 1.0, 2.0]
    assert np.allclose(demand.cv2, [8 / 3 / 16, 0.0, 16 / 25])
    assert demand.name.tolist() == ["intermittent", "smooth", "lumpy"]


def test_a_threshold_itself_is_still_on_the_calm_side():
    # Four days with three sales; sizes 1, 1, 1 - and 2 ± √2, whose squared variation is 1/2.
    demand = classify(np.array([history(1, 0, 1, 1), history(1, 0, 0, 1), history(10, 1)]))
    assert demand.adi[0] == pytest.approx(4 / 3, abs=0)
    assert demand.name.tolist() == ["smooth", "intermittent", "erratic"]


def test_a_series_is_new_for_27_days_and_inactive_after_twelve_weeks():
    new, grown = np.full(120, NAN), np.full(120, NAN)
    new[-27:], grown[-28:] = 0.0, 0.0
    new[-27] = grown[-28] = 3.0
    quiet, just = np.zeros(120), np.zeros(120)
    quiet[-85] = just[-84] = 3.0
    demand = classify(np.array([new, grown, quiet, just]))
    assert demand.name.tolist() == ["new", "intermittent", "inactive", "intermittent"]
    assert np.isnan(classify(np.zeros((1, 50))).adi).all()


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float64,
        st.tuples(st.integers(1, 5), st.integers(28, 60)),
        elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, 2.0, 9.0, 0.5]),
    )
)
def test_intervals_and_variation_are_those_of_sktime(y: np.ndarray):
    from sktime.transformations.adi_cv import ADICVTransformer

    demand = classify(y)
    theirs = ADICVTransformer(features=["adi", "cv2", "class"], adi_threshold=4 / 3, cv_threshold=0.5)
    for row, units in enumerate(y):
        if units.any():
            since = pd.DataFrame(units[np.argmax(units > 0) :])
            adi, cv2, name = theirs.fit_transform(since).iloc[0]
            assert demand.adi[row] == pytest.approx(adi)
            assert demand.cv2[row] == pytest.approx(cv2)
            if demand.name[row] in DEMAND_CLASSES[:4] and abs(cv2 - 0.5) > 1e-9:
                assert demand.name[row] == name
        else:
            assert demand.name[row] == "inactive"


def test_the_series_that_bring_four_fifths_of_revenue_are_a():
    assert abc_classes(np.array([5.0, 70.0, 0.0, 10.0, 15.0])).tolist() == ["C", "A", "C", "B", "A"]
    assert abc_classes(np.array([1.0, 1.0, 1.0, 1.0, 1.0])).tolist() == ["A", "A", "A", "A", "B"]
    assert abc_classes(np.zeros(2)).tolist() == ["C", "C"]
    assert abc_classes(np.array([])).tolist() == []


def test_steady_weeks_are_x():
    weekly = np.array(
        [[7.0] * 4, [1.0, 3.0, 1.0, 3.0], [0.0, 0.0, 8.0, 0.0], [4.0, 0.0, 4.0, 0.0], [NAN, NAN, NAN, 4.0]]
    )
    y = np.zeros((5, 4, 7))
    y[:, :, 0] = weekly
    # The third series' first sale is in the third week: weeks of 8 and 0, as variable as the fourth's.
    assert xyz_classes(y.reshape(5, 28)).tolist() == ["X", "X", "Y", "Y", "Z"]


def daily(days: int) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    rows = [
        (
            START + timedelta(days=day),
            number,
            f"sku {9 - number}",
            "all",
            int(units),
            int(units) * (number + 1),
            day % 5 > 0,
        )
        for number in range(8)
        for day in range(4 * number, days)
        for units in [int(draw.poisson(0.3 * number) * draw.integers(1, 5))]
    ]
    frame = pd.DataFrame(rows, columns=["sale_date", "series_id", "sku", "location", "units", "revenue", "in_stock"])
    decimal = pd.ArrowDtype(pa.decimal128(18, 4))
    return frame.assign(
        sale_date=pd.to_datetime(frame["sale_date"]),
        units=pd.array([Decimal(u) for u in frame["units"]], dtype=decimal),
        revenue=pd.array([Decimal(u) for u in frame["revenue"]], dtype=decimal),
    )


def test_a_range_gives_what_single_days_give_and_reads_no_later_day():
    rows = daily(70)
    first, last = START + timedelta(days=45), START + timedelta(days=60)
    together = demand_classes(rows, first=first, last=last, window=40)
    seen = []
    for offset in range(16):
        day = first + timedelta(days=offset)
        known = rows[rows["sale_date"] <= pd.Timestamp(day)]
        seen.append(demand_classes(known.sample(frac=1, random_state=offset), first=day, last=day, window=40))
    pd.testing.assert_frame_equal(together, pd.concat(seen, ignore_index=True), check_exact=True)
    # By name, whatever the ids: sku 9 is series 0.
    assert together["series_id"].tolist()[:8] == [7, 6, 5, 4, 3, 2, 1, 0]


def test_a_day_without_a_series_has_no_row():
    made = demand_classes(daily(10), first=START - timedelta(days=2), last=START, window=28)
    assert made["as_of"].dt.date.unique().tolist() == [START]
    assert made["demand_class"].tolist() == ["new"]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("units", lambda rows: rows["units"].sample(frac=1, random_state=1).to_numpy()),
        ("revenue", lambda rows: rows["revenue"].to_numpy()[::-1]),
        ("in_stock", lambda rows: rows["series_id"] % 2 == 0),
        ("location", lambda rows: ["south"] * len(rows)),
    ],
)
def test_classes_change_with_the_columns_they_are_said_to_be_read_from_and_no_others(column: str, other):
    rows = daily(80)
    day = START + timedelta(days=79)
    before, after = (
        demand_classes(each, first=day, last=day, window=60) for each in (rows, rows.assign(**{column: other(rows)}))
    )
    changed = {name for name in before.columns if not before[name].equals(after[name])}
    assert changed == {name for name, read in READ_FROM.items() if column in read}
    assert {name for read in READ_FROM.values() for name in read} <= set(REQUIRED)
