"""Horizons fall into the buckets that reports show."""

import pytest

from forecast_platform.accuracy import HORIZON_BUCKETS, horizon_bucket


def test_every_edge_falls_where_its_label_says():
    horizons = [1, 2, 7, 8, 14, 15, 28, 29, 365]
    assert horizon_bucket(horizons).tolist() == ["1", "2-7", "2-7", "8-14", "8-14", "15-28", "15-28", "29+", "29+"]
    assert list(dict.fromkeys(horizon_bucket(range(1, 366)))) == list(HORIZON_BUCKETS)


def test_the_origin_itself_is_no_horizon():
    with pytest.raises(ValueError, match="horizon is 0"):
        horizon_bucket([3, 0])
