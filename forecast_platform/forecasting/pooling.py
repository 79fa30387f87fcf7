"""Ratios that series share: learned where there is evidence, borrowed where there is none.

A series' weekday factors are noisy ratios, and so is what a promotion does to it. Each is pulled to that of its
(location, category), that to its location's, that to everybody's: the more, the less it has seen of its own. What
a ratio means is the caller's business.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Array = np.ndarray
SPREADS = (1.0, 0.3, 0.3)
"""Standard deviation of everybody's ratio around 1, of a location's around everybody's, of a (location, category)'s
around its location's. With hundreds of series none of them shows; they decide what a pool of a few is told."""


def nested(group: Array, location: Array) -> tuple[Array, ...]:
    """Codes of n series from the widest pool to the narrowest: everybody, location, (location, category)."""
    return np.zeros_like(group), location, group


def pooled_ratios(ratio: Array, precision: Array, pools: Sequence[Array], *, start: float = 1.0) -> Array:
    """Ratios of the narrowest pool, each pool pulled to the one that holds it.

    The posterior mean of a normal mean whose prior is the wider pool's, level by level: ``pull``.

    Args:
        ratio: n x m, finite wherever ``precision`` is above 0.
        precision: n x m; one over the variance of each ratio, 0 for none.
        pools: codes of the n series from 0 on, widest first, at most three; each pool lies within one of the wider.
            The order of the series fixes the order of the sums.
        start: what the widest pool is pulled to.

    Returns:
        n x m.
    """
    result = np.full(ratio.shape, start)
    weighted = np.where(precision > 0, ratio, 0.0) * precision
    for codes, spread in zip(pools, SPREADS, strict=False):
        size = int(codes.max(initial=-1)) + 1
        for column in range(ratio.shape[1]):
            seen = np.bincount(codes, weights=precision[:, column], minlength=size)[codes]
            total = np.bincount(codes, weights=weighted[:, column], minlength=size)[codes]
            result[:, column] = pull(total, seen, result[:, column], spread)
    return result


def pull(weighted: Array, precision: Array, prior: Array, spread: float) -> Array:
    """Posterior mean of ratios seen with some precision, whose prior has a mean and a standard deviation.

    (Σ precision·ratio + prior / spread²) / (Σ precision + 1 / spread²).
    """
    held = 1.0 / (spread * spread)
    return (weighted + held * prior) / (precision + held)
