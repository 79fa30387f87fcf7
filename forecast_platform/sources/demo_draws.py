"""Random numbers by key: each draw is a hash of (seed, stream, coordinates), so no draw depends on another.

What a sequence of draws would make depend on the days generated before, a key does not; and unlike numpy's
distributions, whose streams may change between its versions, the hash is fixed here. What is drawn is elsewhere.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = (np.uint64(bits) for bits in (30, 27, 31, 11))


class Draws:
    """Draws of one seed, addressed by a stream's name and whole-numbered coordinates."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def uniform(self, stream: str, *coordinates: ArrayLike) -> NDArray[np.float64]:
        """Uniform draws in [0, 1), one for each element of the broadcast coordinates.

        The mixing step is SplitMix64's finaliser (Steele, Lea, Flood, OOPSLA 2014), once for each coordinate.
        """
        key = blake2b(f"{self._seed}|{stream}".encode(), digest_size=8).digest()
        with np.errstate(over="ignore"):
            state = np.uint64(int.from_bytes(key, "little"))
            for coordinate in coordinates:
                state = _mixed(
                    state + _STEP * (np.asarray(coordinate, dtype=np.int64).astype(np.uint64) + np.uint64(1))
                )
        return np.asarray((state >> _11) * 2.0**-53)

    def between(self, stream: str, low: float, high: float, *coordinates: ArrayLike) -> NDArray[np.float64]:
        """Uniform draws in [``low``, ``high``)."""
        return low + (high - low) * self.uniform(stream, *coordinates)

    def whole(self, stream: str, low: int, high: int, *coordinates: ArrayLike) -> NDArray[np.int64]:
        """Whole numbers from ``low`` to ``high``, both included, equally likely."""
        return low + (self.uniform(stream, *coordinates) * (high - low + 1)).astype(np.int64)


def _mixed(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> _30)) * _FIRST
    state = (state ^ (state >> _27)) * _SECOND
    return state ^ (state >> _31)


def poisson(uniform: NDArray[np.float64], rate: NDArray[np.float64]) -> NDArray[np.int64]:
    """Poisson counts by inversion: the smallest k with P(X <= k) > ``uniform``.

    ``exp`` may differ in its last bit between machines; that moves a count with a probability of about 1e-16 a draw.
    Rates up to 500, beyond which ``exp(-rate)`` loses its digits.
    """
    count = np.zeros(rate.shape, dtype=np.int64)
    chance = np.exp(-rate)
    below = chance.copy()
    for k in range(1, int(rate.max(initial=0.0) * 2 + 60)):
        above = uniform >= below
        if not above.any():
            break
        count += above
        chance = chance * rate / k
        below += chance
    return count
