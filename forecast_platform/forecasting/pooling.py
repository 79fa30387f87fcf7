"""Ratios that series share, learned where there is evidence and borrowed where there is none.

A series' weekday factors, or its recent growth, are noisy ratios. Each is pulled to the ratio of its
(location, category), that to its location's, that to everybody's, and that to 1: the more, the less it has
seen of its own. What a ratio means is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray


def nested(group: Array, location: Array) -> tuple[Array, ...]:
    """Codes of n series from the widest pool to the narrowest: everybody, location, (location, category)."""
    return np.zeros_like(group), location, group


def pooled_ratios(ratio: Array, precision: Array, pools: Sequence[Array], *, spread: float) -> Array:
    """Ratios of the narrowest pool, each pool pulled to the one that holds it.

    The posterior mean of a normal mean whose prior is the wider pool's, level by level:
    (Σ precision·ratio + wider / spread²) / (Σ precision + 1 / spread²).

    Args:
        ratio: n x m, finite wherever ``precision`` is above 0.
        precision: n x m; one over the variance of each ratio, 0 for none.
        pools: codes of the n series from 0 on, widest first; each pool lies within one of the wider.
            The order of the series fixes the order of the sums.
        spread: standard deviation of a pool's ratio around that of the pool that holds it.

    Returns:
        n x m.
    """
    result = np.ones(ratio.shape)
    weighted = np.where(precision > 0, ratio, 0.0) * precision
    for codes in pools:
        size = int(codes.max(initial=-1)) + 1
        for column in range(ratio.shape[1]):
            seen = np.bincount(codes, weights=precision[:, column], minlength=size)[codes]
            total = np.bincount(codes, weights=weighted[:, column], minlength=size)[codes]
            result[:, column] = pull(total, seen, result[:, column], spread)
    return result


def pull(weighted: Array, precision: Array, prior: Array, spread: float) -> Array:
    """One step of ``pooled_ratios``: what was seen, pulled to ``prior``."""
    held = 1.0 / (spread * spread)
    return (weighted + held * prior) / (precision + held)
