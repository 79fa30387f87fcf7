"""The rows of an origin are the same in blocks of any size, and as if every model explained the whole panel."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast_platform.assets.explained_origin import ExplainedOrigin
from forecast_platform.assets.published import Published
from forecast_platform.forecasting import Panel, SeriesIndex, forecast_origin, model_specs
from forecast_platform.forecasting.explanations import contributions_json, explain, parts_of, tell, term_shares
from forecast_platform_tests.forecasting.demand import awkward, ordinary, panel_of

HORIZON = 28
MODELS = {(model.name, model.spec): model for model in model_specs() if model.name in ("ensemble", "linear", "naive")}


@pytest.fixture(scope="module")
def panel() -> Panel:
    """Ids in another order than names, and a covariate."""
    bare = panel_of(np.concatenate([ordinary(60), np.stack(list(awkward().values()))]))
    ids = np.random.default_rng(3).permutation(len(bare.series)).astype(np.int32)
    promoted = np.arange(len(ids))[:, None] % 3 == np.arange(bare.window + HORIZON)[None, :] % 11
    known = {"on_promotion": promoted * 1.0}
    past, future = ({name: each[:, days] for name, each in known.items()} for days in (np.s_[:120], np.s_[120:]))
    return replace(bare, series=replace(bare.series, series_id=ids)).with_covariates(past, future)


@pytest.fixture(scope="module")
def published(panel: Panel) -> Published:
    """A model for each series in turn; the last series of the panel is not published."""
    made = {(each.model, each.spec): each for each in forecast_origin(panel, list(MODELS.values()), horizon=HORIZON)}
    rows = np.arange(len(panel.series) - 1)
    keys = [list(MODELS)[row % len(MODELS)] for row in rows]
    index = panel.series
    return Published(
        origin=panel.origin,
        series=SeriesIndex(*(getattr(index, each)[rows] for each in ("series_id", "sku", "location", "category"))),
        model=np.array([name for name, _ in keys], dtype=object),
        spec=np.array([spec for _, spec in keys], dtype=object),
        version_id=rows.astype(np.int32) % 3 + 1,
        mean=np.stack([made[key].mean[row] for row, key in zip(rows, keys, strict=True)]),
    )


def test_blocks_of_any_size_hold_the_rows_that_all_at_once_hold(panel: Panel, published: Published):
    explained = ExplainedOrigin.of(published, panel, MODELS)
    (whole,) = explained.blocks(len(explained))
    assert len(whole) == len(explained) == len(published.series) and whole["series_id"].is_monotonic_increasing
    for size in (1, 7, 50):
        blocks = list(explained.blocks(size))
        assert max(map(len, blocks)) <= size
        pd.testing.assert_frame_equal(pd.concat(blocks, ignore_index=True), whole)


def test_a_series_is_told_as_by_its_model_explaining_the_whole_panel(panel: Panel, published: Published):
    explained = ExplainedOrigin.of(published, panel, MODELS)
    rows = pd.concat(explained.blocks(20)).set_index("series_id")
    for (name, spec), model in MODELS.items():
        at = np.flatnonzero((published.model == name) & (published.spec == spec))
        mean = np.zeros((len(panel.series), HORIZON))
        mean[at] = published.mean[at]
        whole = explain(mean, panel, model, parts_of(panel, model, horizon=HORIZON))
        said = tell(whole, panel, at)
        own = rows.loc[published.series.series_id[at]]
        assert own["summary"].tolist() == [each.sentence for each in said]
        texts = contributions_json(whole, said, at, origin=panel.origin, model=name)
        assert own["contributions"].tolist() == texts
        assert explained.shares[name] == term_shares({term: values[at] for term, values in whole.terms.items()})


def test_words_are_for_the_largest_and_stay_while_what_they_say_does(panel: Panel, published: Published):
    class Generator:
        def phrase(self, sentence: str) -> str:
            return f"In short: {sentence}"

    explained, count = ExplainedOrigin.of(published, panel, MODELS).phrased(Generator(), most=4)
    rows = pd.concat(explained.blocks(20), ignore_index=True)
    told = rows[rows["summary"].str.startswith("In short: ")]
    largest = np.argsort(-published.mean.sum(axis=1), kind="stable")[:4]
    assert count == len(told) == 4 and set(told["series_id"]) == set(published.series.series_id[largest])
    assert explained.phrased(Generator(), most=0)[1] == 0
