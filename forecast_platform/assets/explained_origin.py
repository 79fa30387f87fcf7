"""The explanations of what was published from one origin, and their rows a block of series at a time.

What is stored of a series takes 3 kB, 900 MB of 300,000: rows are made while they are written, and no more than those
of a block are held. The numbers that they are made of are held for all series, as small as they are. What a part is and
how it is told is in ``forecasting.explanations``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np
import pandas as pd
import sqlalchemy as sa

from forecast_platform import tables
from forecast_platform.assets.published import Published
from forecast_platform.forecasting import ModelSpec, Panel, SeriesIndex
from forecast_platform.forecasting.context import PanelContext
from forecast_platform.forecasting.explanations import (
    Explained,
    contributions_json,
    explain,
    level_ahead,
    parts_of,
    tell,
    term_shares,
    what_is_told,
)
from forecast_platform.forecasting.fallback import fallback_forecast
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.text_generator import TextGenerator

Array = np.ndarray
SERIES_AT_ONCE = 20_000
"""Series of a block: 60 MB of text, a few times that while it is made and written."""

Models = Mapping[tuple[str, str], ModelSpec | None]
"""Models by name and spec; ``None``: one that is known here no more."""


@dataclass(frozen=True)
class ExplainedModel:
    """What is told of the k series that one model is published for.

    Attributes:
        rows: k; their places among the n series of the origin.
        explained: k series.
        panel: what ``tell`` reads of the k series.
    """

    name: str
    rows: Array
    explained: Explained
    panel: Panel


@dataclass(frozen=True)
class ExplainedOrigin:
    """The explanations of the n series of an origin.

    Attributes:
        series_id, version_id: n; what was published.
        level: n; mean of the days ahead.
        models: every series is of one of them.
        shares: by model, how much each part moves its forecasts.
        on_record: ``version_id``, ``series_id``, ``content`` and ``summary`` of rows on record: a sentence that says
            what it said keeps its words.
        phrases: other words for a sentence, by place.
    """

    origin: date
    series_id: Array
    version_id: Array
    level: Array
    models: tuple[ExplainedModel, ...]
    shares: Mapping[str, Mapping[str, float]]
    on_record: pd.DataFrame | None = None
    phrases: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, forecasts: Published, panel: Panel, models: Models) -> ExplainedOrigin:
        """Refit the models of what was published on what the origin sees now, and take the forecasts apart."""
        panel = with_unseen(panel, forecasts.series)
        place = {pair: row for row, pair in enumerate(zip(panel.series.sku, panel.series.location, strict=True))}
        pairs = zip(forecasts.series.sku, forecasts.series.location, strict=True)
        at = np.fromiter((place[pair] for pair in pairs), dtype=np.intp, count=len(forecasts.series))
        context = PanelContext.of(panel)
        fallback = fallback_forecast(panel.y, panel.series.group, horizon=forecasts.mean.shape[1])
        held, shares = [], {}
        for (name, spec), model in models.items():
            rows = np.flatnonzero((forecasts.model == name) & (forecasts.spec == spec))
            explained = _explained(forecasts.mean[rows], panel, context, model, at[rows], fallback)
            shares[name] = term_shares(explained.terms)
            held.append(ExplainedModel(name, rows, explained, what_is_told(panel, at[rows])))
        return cls(
            origin=forecasts.origin,
            series_id=forecasts.series.series_id,
            version_id=forecasts.version_id,
            level=level_ahead(forecasts.mean),
            models=tuple(held),
            shares=shares,
        )

    def __len__(self) -> int:
        return len(self.series_id)

    def blocks(self, at_once: int = SERIES_AT_ONCE) -> Iterator[pd.DataFrame]:
        """The rows of all series, so many at a time, in order of ``series_id``."""
        order = np.argsort(self.series_id, kind="stable")
        for begin in range(0, len(order), at_once):
            yield self.rows_of(order[begin : begin + at_once])

    def rows_of(self, places: Array) -> pd.DataFrame:
        """The rows of some series, by their places among the n."""
        summary, contributions = np.empty(len(self), dtype=object), np.empty(len(self), dtype=object)
        wanted = np.zeros(len(self), dtype=bool)
        wanted[places] = True
        for each in self.models:
            among = np.flatnonzero(wanted[each.rows])
            said = tell(each.explained, each.panel, among)
            rows = each.rows[among]
            summary[rows] = [told.sentence for told in said]
            contributions[rows] = contributions_json(each.explained, said, among, origin=self.origin, model=each.name)
        made = pd.DataFrame(
            {
                "origin_date": pd.Timestamp(self.origin),
                "version_id": self.version_id[places],
                "series_id": self.series_id[places],
                "summary": summary[places],
                "contributions": contributions[places],
            }
        )
        if self.on_record is not None:
            made["summary"] = _as_on_record(made, self.on_record)
        for row in np.flatnonzero(np.isin(places, list(self.phrases))) if self.phrases else ():
            made.loc[row, "summary"] = self.phrases[int(places[row])]
        return made

    def phrased(self, generator: TextGenerator, *, most: int) -> tuple[ExplainedOrigin, int]:
        """With the sentences of the largest forecasts phrased by the generator, and how many of those are phrased."""
        largest = np.argsort(-self.level, kind="stable")[:most]
        rows = self.rows_of(largest)
        own = [json.loads(text)["sentence"] for text in rows["contributions"]]
        phrases = {
            int(place): generator.phrase(sentence)
            for place, sentence, said in zip(largest, own, rows["summary"], strict=True)
            if said == sentence
        }
        made = replace(self, phrases=phrases)
        return made, int((made.rows_of(largest)["summary"] != own).sum())


def _explained(
    mean: Array, panel: Panel, context: PanelContext, model: ModelSpec | None, rows: Array, fallback: Array
) -> Explained:
    """The forecasts of some series of the panel by one model, taken apart."""
    parts = None
    if model is not None:
        try:
            parts = parts_of(panel, model, horizon=mean.shape[1], context=context)
        except Exception:  # a model that fails today leaves what it forecast then in one part
            parts = None
    return explain(mean, panel, model, parts, rows=rows, fallback=fallback)


def with_unseen(panel: Panel, series: SeriesIndex) -> Panel:
    """``panel`` with the series that were published but have no history any more: days never observed, at the end."""
    known = set(zip(panel.series.sku, panel.series.location, strict=True))
    lost = [row for row, pair in enumerate(zip(series.sku, series.location, strict=True)) if pair not in known]
    if not lost:
        return panel
    names = {
        name: np.concatenate([getattr(panel.series, name), getattr(series, name)[lost]])
        for name in ("series_id", "sku", "location", "category")
    }
    count = len(lost)
    return replace(
        panel,
        series=SeriesIndex(**names),
        y=np.concatenate([panel.y, np.full((count, panel.window), np.nan)]),
        past=np.concatenate([panel.past, np.zeros((count, *panel.past.shape[1:]))]),
        future=np.concatenate([panel.future, np.zeros((count, *panel.future.shape[1:]))]),
    )


def sentences_on_record(session: Session, origin: date) -> pd.DataFrame:
    """``version_id``, ``series_id``, ``content`` (a digest of the contributions) and ``summary`` of the newest rows."""
    e = tables.forecast_explanations.c
    content = sa.func.md5(e.contributions).label("content")
    held = session.frame(
        sa.select(e.version_id, e.series_id, e.batch_id, e.summary, content).where(e.origin_date == origin)
    )
    held = held.sort_values("batch_id", kind="stable").drop_duplicates(["version_id", "series_id"], keep="last")
    return held.drop(columns="batch_id").astype({"content": object, "summary": object})


def _as_on_record(rows: pd.DataFrame, held: pd.DataFrame) -> Array:
    """The sentences of ``rows``, in the words on record wherever what they say is unchanged."""
    content = [hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() for text in rows["contributions"]]
    keys = ["version_id", "series_id", "content"]
    both = rows[["version_id", "series_id", "summary"]].assign(content=content).merge(held, how="left", on=keys)
    return both["summary_y"].where(both["summary_y"].notna(), both["summary_x"]).to_numpy()
