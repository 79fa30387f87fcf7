"""Cards of the models for the UI: what each is, how good it has been, and pictures of what it says. Metadata only.

A card is Markdown; its picture is a PNG in a data URI, drawn with colours that read on light and dark.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO

import numpy as np
import pandas as pd

from forecast_platform.assets.published import Published
from forecast_platform.assets.scope import TenantScope
from forecast_platform.forecasting import Panel
from forecast_platform.io_managers.statements import place_of
from forecast_platform.io_managers.warehouse import Session

ACCURACY_DAYS = 28
HISTORY_DAYS = 56
"""Days of history in a picture: twice the usual horizon."""

INK, HISTORY, AHEAD = "#7d8590", "#8b949e", "#2f81f7"
"""Mid-tones: 3.4 to 1 and better on white and on black."""

MOST_BYTES = 60_000
"""Largest PNG that is shown; the event log keeps every one. Three panels take 15 to 25 kB."""

VERSIONS = """
    select v.model, v.model_spec, v.code_version
    from forecast_versions as v
    join (
      select model, max(version_id) as version_id from forecast_versions where origin_date = :origin group by model
    ) as newest on newest.version_id = v.version_id
    order by v.model
"""

SCORES = """
    select {place} as place, series_id, sum(n) as n, sum(sum_error) as error, sum(sum_abs_error) as abs_error,
      sum(sum_actual) as actual, sum(n_scaled) as n_scaled, sum(sum_scaled_sq) as scaled_sq
    from error_sums
    where target_date between :first and :last
    group by 1, 2
"""

FORECASTS = """
    select v.model, f.series_id, f.horizon, f.version_id, f.mean, i.q025, i.q10, i.q90, i.q975, i.calibration_id
    from forecasts as f
    join forecast_versions as v on v.version_id = f.version_id
    left join forecast_intervals as i on i.origin_date = f.origin_date and i.version_id = f.version_id
      and i.series_id = f.series_id and i.horizon = f.horizon
    where f.origin_date = :origin and f.series_id in ({ids})
    order by f.version_id, i.calibration_id
"""


@dataclass(frozen=True)
class Picture:
    """A series to be drawn: why it was chosen, its name, its last days, what is forecast and the quantiles, or None."""

    role: str
    name: str
    history: np.ndarray
    mean: np.ndarray
    quantiles: np.ndarray | None


def model_cards(
    scope: TenantScope, forecasts: Published, panel: Panel, shares: Mapping[str, Mapping[str, float]]
) -> str:
    """Markdown: a card for each model that forecast the origin.

    Args:
        forecasts: what was published from the origin.
        panel: what the origin saw.
        shares: by model, how much each of its parts moves its forecasts (``explanations.term_shares``).
    """
    origin = forecasts.origin
    asked = {"first": origin - timedelta(days=ACCURACY_DAYS - 1), "last": origin}
    with scope.warehouse.reading() as session:
        session.recall([origin], "forecasts", "forecast_intervals")
        versions = session.execute(VERSIONS, {"origin": origin})
        models = [model for model, *_ in versions]
        scores = session.frame(SCORES.format(place=place_of("model", models)), asked)
        of_models = {model: scores[scores["place"] == place] for place, model in enumerate(models)}
        chosen = {model: chosen_series(panel, of_models[model]) for model in models}
        rows = _forecasts(session, origin, sorted({each for roles in chosen.values() for each in roles.values()}))
    cards = [f"Origin {origin}: {len(forecasts.series):,} series published.", ""]
    for model, spec, code_version in versions:
        share = float((forecasts.model == model).mean()) if len(forecasts.model) else 0.0
        cards += [
            f"### {model}",
            "",
            *card_lines(spec, code_version, share, of_models[model], shares.get(model, {})),
            "",
            *_picture_lines(model, pictures(panel, chosen[model], rows[rows["model"] == model], scope.tenant.horizon)),
        ]
    return "\n".join(cards)


def chosen_series(panel: Panel, scores: pd.DataFrame) -> dict[str, int]:
    """The series to draw by role: largest and median in units of the last 28 days, worst by RMSSE where it is known."""
    if not len(panel.series):
        return {}
    recent = np.nan_to_num(panel.y[:, -28:]).sum(axis=1)
    order = np.argsort(-recent, kind="stable")
    sold = order[: max(int((recent > 0).sum()), 1)]
    roles = {"largest": sold[0], "median": sold[len(sold) // 2]}
    roles = {role: int(panel.series.series_id[row]) for role, row in roles.items()}
    known = scores[(scores["n_scaled"] > 0) & scores["series_id"].isin(panel.series.series_id)]
    if len(known):
        rmsse = np.sqrt(known["scaled_sq"].astype(float) / known["n_scaled"].astype(float))
        roles["worst RMSSE"] = int(known["series_id"].to_numpy()[np.argmax(rmsse.to_numpy())])
    return roles


def card_lines(
    spec: str, code_version: str, share: float, scores: pd.DataFrame, parts: Mapping[str, float]
) -> list[str]:
    """What a model is and how good it was, as the rows of a Markdown table."""
    rows = [("spec", f"`{spec}`"), ("code version", f"`{code_version}`"), ("published for", f"{share:.0%} of series")]
    if len(parts) > 1:
        told = sorted(((value, name) for name, value in parts.items() if value >= 0.005), reverse=True)
        rows.append(
            ("weights: share of what moves a forecast", ", ".join(f"{name} {value:.0%}" for value, name in told))
        )
    rows.append((f"last {ACCURACY_DAYS} days", _accuracy(scores)))
    return ["| | |", "|---|---|", *(f"| {name} | {value.replace('|', chr(92) + '|')} |" for name, value in rows)]


def _accuracy(scores: pd.DataFrame) -> str:
    numbers = scores.drop(columns=["place", "series_id"]).astype(float)
    total = numbers.sum()
    if not total["n"]:
        return "not scored yet"
    scaled = numbers[numbers["n_scaled"] > 0]
    figures = [f"{int(total['n']):,} errors"]
    if total["actual"] > 0:
        figures += [f"WAPE {total['abs_error'] / total['actual']:.3f}", f"bias {total['error'] / total['actual']:+.3f}"]
    if len(scaled):
        figures.append(f"mean RMSSE {np.sqrt(scaled['scaled_sq'] / scaled['n_scaled']).mean():.3f}")
    return ", ".join(figures)


def _forecasts(session: Session, origin: date, ids: list[int]) -> pd.DataFrame:
    """Every model's newest forecasts of some series, with their newest quantiles where there are any."""
    rows = session.frame(FORECASTS.format(ids=", ".join(map(str, ids)) or "-1"), {"origin": origin})
    rows = rows.astype({"model": object})
    return rows.drop_duplicates(["model", "series_id", "horizon"], keep="last")


def pictures(panel: Panel, roles: Mapping[str, int], rows: pd.DataFrame, horizon: int) -> list[Picture]:
    """What is to be drawn of one model; a series that it did not forecast is left out."""
    found = []
    for role, series_id in roles.items():
        own = rows[rows["series_id"] == series_id].sort_values("horizon")
        if len(own) != horizon:
            continue
        row = int(np.flatnonzero(panel.series.series_id == series_id)[0])
        quantiles = own[["q025", "q10", "q90", "q975"]].astype(float).to_numpy()
        location = panel.series.location[row]
        found.append(
            Picture(
                role=role,
                name=str(panel.series.sku[row]) + ("" if location == "all" else f" @ {location}"),
                history=panel.y[row, -HISTORY_DAYS:],
                mean=own["mean"].to_numpy(dtype=float),
                quantiles=None if np.isnan(quantiles).any() else quantiles,
            )
        )
    return found


def _picture_lines(model: str, drawn: list[Picture]) -> list[str]:
    if not drawn:
        return []
    image = drawing(drawn)
    if image is None or len(image) > MOST_BYTES:
        return []
    what = json.dumps(f"{model}: history, forecast, 80 and 95 % interval", ensure_ascii=True)[1:-1]
    return [f"![{what}](data:image/png;base64,{base64.b64encode(image).decode()})", ""]


def drawing(drawn: list[Picture]) -> bytes | None:
    """A PNG of the pictures side by side; ``None`` where matplotlib is not installed."""
    import warnings

    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(3.4 * len(drawn), 2.3), dpi=80)
    figure.subplots_adjust(left=0.12 / len(drawn), right=0.99, bottom=0.2, top=0.86, wspace=0.2)
    canvas = FigureCanvasAgg(figure)
    figure.patch.set_alpha(0.0)
    for axes, picture in zip(figure.subplots(1, len(drawn), squeeze=False)[0], drawn, strict=True):
        _draw(axes, picture)
    out = BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes, and warned of once for each letter.
        warnings.simplefilter("ignore", UserWarning)
        canvas.print_png(out)
    return out.getvalue()


def _draw(axes, picture: Picture) -> None:
    """One series: days up to the origin are 0 and below, days ahead above."""
    past = np.arange(-len(picture.history) + 1, 1)
    ahead = np.arange(1, len(picture.mean) + 1)
    axes.plot(past, picture.history, color=HISTORY, linewidth=0.9)
    if picture.quantiles is not None:
        low, lower, upper, high = picture.quantiles.T
        axes.fill_between(ahead, low, high, color=AHEAD, alpha=0.18, linewidth=0, step="mid")
        axes.fill_between(ahead, lower, upper, color=AHEAD, alpha=0.3, linewidth=0, step="mid")
    axes.plot(ahead, picture.mean, color=AHEAD, linewidth=1.5)
    axes.axvline(0.5, color=INK, linewidth=0.6, linestyle=":")
    name = picture.name if len(picture.name) <= 34 else picture.name[:33] + "…"
    axes.set_title(f"{picture.role}: {name}", fontsize=8, color=INK, parse_math=False)
    axes.set_xlabel("days from the origin", fontsize=7, color=INK)
    axes.set_ylim(bottom=0)
    axes.patch.set_alpha(0.0)
    axes.locator_params(nbins=5)
    axes.tick_params(colors=INK, labelsize=7)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
