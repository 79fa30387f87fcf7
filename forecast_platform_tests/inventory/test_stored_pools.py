"""Pools of paths as text: the same to the bit when they come back."""

from __future__ import annotations

import numpy as np

from forecast_platform.inventory.stored_pools import restored, stored
from forecast_platform_tests.inventory.shops import HISTORY, KINDS, MODEL, Shop


def test_pools_come_back_as_they_were():
    pools = Shop(series=90, days=0, seed=3).pools(HISTORY)
    for kind in (*KINDS, "never seen"):
        text = stored(pools, MODEL, kind)
        assert text is not None
        back = restored(text, MODEL, kind)
        assert back.keys() == pools.keys()
        for span, each in pools.items():
            before, after = each.of(MODEL, kind), back[span].of(MODEL, kind)
            assert before is not None and after is not None and len(before.bands) == len(after.bands)
            np.testing.assert_array_equal(before.edges, after.edges)
            for left, right in zip(before.bands, after.bands, strict=True):
                np.testing.assert_array_equal(left, right)


def test_pools_that_are_not_there_are_none():
    assert stored({}, MODEL, KINDS[0]) is None
    assert stored(Shop(series=90, days=0, seed=3).pools(HISTORY), "another", KINDS[0]) is None
