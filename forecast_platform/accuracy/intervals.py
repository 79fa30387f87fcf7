"""How good intervals were: pure functions of quantiles and the actuals they met.

The same definitions that ``interval_scores`` has in the warehouse. What makes the quantiles is in
``forecasting.calibration``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = np.ndarray

QUANTILE_LEVELS: Mapping[str, float] = {"q025": 0.025, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q975": 0.975}
"""The columns of ``forecast_intervals`` and their levels."""


def pinball_loss(actual: npt.ArrayLike, quantile: npt.ArrayLike, level: float) -> Array:
    """level · (y - q) where y >= q, else (1 - level) · (q - y): the loss that the quantile of ``level`` minimises.

    (Koenker and Bassett, 1978; as in the M5 uncertainty competition, unscaled.) In the unit of the actuals.

    Raises:
        ValueError: ``level`` is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; a quantile's level lies between 0 and 1")
    missed = np.asarray(actual, dtype=float) - np.asarray(quantile, dtype=float)
    return np.where(missed >= 0, level * missed, (level - 1) * missed)


def quantile_scores(
    met: pd.DataFrame, *, by: Sequence[str] = (), levels: Mapping[str, float] = QUANTILE_LEVELS
) -> pd.DataFrame:
    """Coverage, pinball loss and width, for the whole frame or by group.

    A quantile q of a level holds where P(y < q) <= level <= P(y <= q). For counts neither share alone equals the level:
    an honest 80 % interval of a Poisson(1) covers 92 %.

    Args:
        met: ``actual``, the columns of ``levels`` and of ``by``; one row a forecast that met its actual.
        by: columns to report by; none for one row over everything.
        levels: quantile columns and their levels.

    Returns:
        One row a group, sorted by ``by``: its columns, ``n``, for each quantile ``below_*`` (share of y < q) and
        ``upto_*`` (share of y <= q), ``pinball`` (mean over rows and levels), ``width_80`` and ``width_95`` where those
        quantiles are given.

    Raises:
        ValueError: an actual or a quantile is null.
    """
    values = {name: met[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in ("actual", *levels)}
    for name, column in values.items():
        if np.isnan(column).any():
            raise ValueError(f"{int(np.isnan(column).sum())} rows have no {name}; leave out what met no actual")
    actual = values["actual"]
    terms = {"n": np.ones(len(met))}
    for name, level in levels.items():
        terms[f"below_{name}"] = (actual < values[name]).astype(float)
        terms[f"upto_{name}"] = (actual <= values[name]).astype(float)
        terms[f"pinball_{name}"] = pinball_loss(actual, values[name], level)
    for name, low, high in (("width_80", "q10", "q90"), ("width_95", "q025", "q975")):
        if {low, high} <= set(levels):
            terms[name] = values[high] - values[low]
    columns = pd.DataFrame(terms, index=met.index)
    keys = [met[name] for name in by]
    sums = columns.groupby(keys, sort=True, observed=True).sum().reset_index() if by else columns.sum().to_frame().T
    result = sums[list(by)].assign(n=sums["n"].astype(np.int64))
    rows = sums["n"].where(sums["n"] != 0)
    for name in columns.columns.drop("n"):
        result[name] = sums[name] / rows
    result["pinball"] = result[[f"pinball_{name}" for name in levels]].mean(axis=1)
    return result.drop(columns=[f"pinball_{name}" for name in levels])


def misses(scores: pd.DataFrame, *, levels: Mapping[str, float] = QUANTILE_LEVELS) -> pd.DataFrame:
    """How far each quantile is from holding: 0 where P(y < q) <= level <= P(y <= q).

    Args:
        scores: of ``quantile_scores``.

    Returns:
        A column a quantile: positive where it lies too high by that share of rows, negative where too low.
    """
    return pd.DataFrame(
        {
            name: np.maximum(scores[f"below_{name}"] - level, 0.0) - np.maximum(level - scores[f"upto_{name}"], 0.0)
            for name, level in levels.items()
        },
        index=scores.index,
    )


def randomised_pit(before: npt.ArrayLike, upto: npt.ArrayLike, draws: npt.ArrayLike) -> Array:
    """P(Y < y) + draw · P(Y = y): uniform on [0, 1] if the distribution is the actuals' own, for counts too.

    (Smith, 1985; Czado, Gneiting and Held, 2009.)

    Args:
        before, upto: P(Y < y) and P(Y <= y) of each actual; equal where the distribution is continuous.
        draws: uniform on [0, 1), one each, drawn by the caller.
    """
    before, upto = np.asarray(before, dtype=float), np.asarray(upto, dtype=float)
    return before + np.asarray(draws, dtype=float) * (upto - before)


def distance_from_uniform(pit: npt.ArrayLike) -> float:
    """Kolmogorov and Smirnov's distance: the largest gap between the shares of PITs and the uniform distribution."""
    ordered = np.sort(np.asarray(pit, dtype=float))
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max((steps[1:] - ordered).max(), (ordered - steps[:-1]).max()))
