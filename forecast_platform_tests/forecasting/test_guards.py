"""Nothing but finite, not negative and plausible numbers may be kept, and the mark says what happened."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecast_platform.forecasting.guards import CAP, CAPPED, COLD_START, FALLBACK, MODEL, STATUSES, guard

Y = np.array([[1.0, 4.0, 2.0], [np.nan, np.nan, 3.0], [0.0, 0.0, 0.0]])
BACK = np.full((3, 3), 0.5)


def test_each_case_is_marked():
    mean = np.array([[np.nan, 1e6, -2.0], [9.0, 9.0, 9.0], [0.0, 1.0, np.inf]])
    kept, status = guard(mean, Y, BACK, min_history=2)
    assert kept.tolist() == [[0.5, 4.0 * CAP, 0.0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]
    assert status.tolist() == [[FALLBACK, CAPPED, MODEL], [COLD_START] * 3, [MODEL, CAPPED, FALLBACK]]


def test_a_forecast_within_bounds_is_left_to_the_bit():
    mean = np.array([[0.1 + 0.2, 1.0, 7.999]])
    kept, status = guard(mean, Y[:1], BACK[:1], min_history=1)
    assert np.array_equal(kept, mean)
    assert (status == MODEL).all()


def test_negative_zero_does_not_survive():
    kept, _ = guard(np.array([[-0.0, -1e-9, 0.0]]), Y[:1], BACK[:1], min_history=1)
    assert not np.signbit(kept).any()


@settings(deadline=None)
@given(
    arrays.arrays(float, (3, 3), elements=st.floats(allow_nan=True, allow_infinity=True)),
    arrays.arrays(float, (3, 3), elements=st.floats(0, 1e12) | st.just(np.nan)),
    st.integers(0, 4),
)
def test_whatever_a_model_gives_what_is_kept_is_plausible(mean, y, min_history):
    kept, status = guard(mean, y, BACK, min_history=min_history)
    assert np.isfinite(kept).all()
    assert (kept >= 0).all()
    assert status.max() < len(STATUSES)
    cap = CAP * np.where(np.isnan(y), 0.0, y).max(axis=1, keepdims=True)
    assert ((kept <= cap) | (status == COLD_START)).all()
