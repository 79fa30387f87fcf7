"""Why a model is the champion, in a sentence with the figures that decided. Nothing is chosen here."""

from __future__ import annotations

import numpy as np

from forecast_platform.accuracy.champions import FLOOR, ChampionRules, Champions

Array = np.ndarray


def reasons(champions: Champions, segments: Array, rules: ChampionRules) -> Array:
    """One sentence a series; the numbers are rounded for reading.

    Args:
        champions: of n series, as ``choose`` gave them under ``rules``.
        segments: n; the names of their segments.
    """
    at = np.arange(len(segments))
    columns = (
        champions.model,
        champions.followed,
        champions.days_held,
        champions.lead,
        champions.own,
        champions.n[champions.model, at],
        champions.rmsse[champions.model, at],
        champions.rmsse[rules.floor],
        segments,
    )
    sentences = [_sentence(*row, rules) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return np.array(sentences, dtype=object)


def _sentence(
    model: int,
    followed: int,
    held: int,
    lead: float,
    own: bool,
    n: int,
    rmsse: float,
    floor: float,
    segment: str,
    rules: ChampionRules,
) -> str:
    name = rules.models[model]
    if lead != lead:
        return f"{name} is the default; there are no errors to compare it by"
    judged = f"RMSSE {rmsse:.3f}, {FLOOR} {floor:.3f}" if rmsse == rmsse and floor == floor else "RMSSE unknown"
    source = f"{n} own errors and those of {segment} series" if own else f"errors of {segment} series, {n} of its own"
    if held == 0:
        return (
            f"{name} is the default and no other beat it by {rules.margin:.1%} on {rules.for_days} days in a row"
            f" ({judged}; {source})"
        )
    than = f"{abs(lead):.1%} {'below' if lead >= 0 else 'above'} it"
    return (
        f"{name} followed {rules.models[followed]} {_days_ago(held)} after {rules.for_days} days ahead, and is {than}"
        f" now ({judged}; {source})"
    )


def _days_ago(held: int) -> str:
    return {1: "today", 2: "a day ago"}.get(held, f"{held - 1} days ago")
