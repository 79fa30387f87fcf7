"""A panel holds what its origin may see, whatever frame it was cut from."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast_platform.forecasting import PanelError, PanelHistory
from forecast_platform_tests.forecasting.demand import ORIGIN, WINDOW, feature_rows, ordinary

NAMES = [("b", "south"), ("b", "north"), ("é 1", "all"), ("B", "all"), ("a", "all"), ("10", "all"), ("9", "all")]


def demand():
    y = ordinary(7, days=150)
    y[:, -10:] = np.nan_to_num(y[:, -10:])
    y[3, :100] = np.nan
    y[4, -8:] = np.nan
    y[5, 60:70] = np.nan
    y[6] = np.nan
    y[6, -1] = 2.0
    return y


def history(**options):
    features, series = feature_rows(demand(), NAMES)
    return PanelHistory.from_features(features, series, **options)


def rows_of(panel):
    return dict(zip(zip(panel.series.sku, panel.series.location, strict=True), panel.y, strict=True))


def test_the_series_are_those_with_a_row_on_the_origin_sorted_by_codepoint():
    panel = history().panel_at(ORIGIN, window=WINDOW)
    pairs = list(zip(panel.series.sku, panel.series.location, strict=True))
    assert pairs == [("10", "all"), ("9", "all"), ("B", "all"), ("b", "north"), ("b", "south"), ("é 1", "all")]
    assert [NAMES[n] for n in panel.series.series_id] == pairs
    assert panel.y.shape == (6, WINDOW)
    assert panel.dates[-1] == pd.Timestamp(ORIGIN)


def test_days_are_nan_before_the_first_row_and_zero_where_a_later_row_is_missing():
    rows = rows_of(history().panel_at(ORIGIN, window=WINDOW))
    gap = rows["10", "all"][30:40]
    assert (np.nan_to_num(gap) == 0).all()
    assert not np.isnan(gap).any()
    assert np.isnan(rows["B", "all"][:70]).all()
    assert np.isnan(rows["9", "all"][:-1]).all()
    assert rows["9", "all"][-1] == 2.0


def test_a_stock_out_is_not_observed():
    y = np.ones((23, 30))
    features, series = feature_rows(y, [(f"{n:02d}", "all") for n in range(23)])
    panel = PanelHistory.from_features(features, series).panel_at(ORIGIN, window=30)
    expected = (np.arange(23)[:, None] * 7 + np.arange(30)) % 23 != 0
    assert np.array_equal(panel.observed, expected)


def test_a_window_longer_than_the_history_starts_with_unknown_days():
    panel = history().panel_at(ORIGIN, window=400)
    assert panel.y.shape == (6, 400)
    assert np.isnan(panel.y[:, :250]).all()


def test_a_panel_of_a_range_is_the_panel_of_a_single_run_to_the_bit():
    features, series = feature_rows(demand(), NAMES)
    ranged = PanelHistory.from_features(features, series)
    for back in range(30):
        origin = ORIGIN - timedelta(days=back)
        inside = (features["sale_date"] > pd.Timestamp(origin) - pd.Timedelta(days=WINDOW)) & (
            features["sale_date"] <= pd.Timestamp(origin)
        )
        single = PanelHistory.from_features(features[inside], series).panel_at(origin, window=WINDOW)
        panel = ranged.panel_at(origin, window=WINDOW)
        assert np.array_equal(panel.y, single.y, equal_nan=True)
        assert panel.series.sku.tolist() == single.series.sku.tolist()


def test_row_order_and_ids_do_not_matter():
    features, series = feature_rows(demand(), NAMES)
    ids = np.array([70, 3, 500, 41, 2, 999, 12], dtype=np.int32)
    features = features.assign(series_id=ids[features["series_id"]]).sample(frac=1, random_state=3)
    series = series.assign(series_id=ids[series["series_id"]]).sample(frac=1, random_state=4)
    panel = PanelHistory.from_features(features, series).panel_at(ORIGIN, window=WINDOW)
    expected = history().panel_at(ORIGIN, window=WINDOW)
    assert np.array_equal(panel.y, expected.y, equal_nan=True)
    assert panel.series.sku.tolist() == expected.series.sku.tolist()
    assert panel.series.series_id.tolist() == ids[expected.series.series_id].tolist()


def test_categories_are_those_known_on_the_origin_and_make_the_groups():
    items = pd.DataFrame(
        {
            "valid_from": pd.to_datetime([ORIGIN, ORIGIN - timedelta(days=3), ORIGIN - timedelta(days=9)]),
            "sku": ["b", "b", "B"],
            "location": ["all"] * 3,
            "category": ["new", "old", "old"],
        }
    )
    before = history().panel_at(ORIGIN - timedelta(days=1), window=WINDOW, items=items).series
    after = history().panel_at(ORIGIN, window=WINDOW, items=items).series
    category = dict(zip(zip(before.sku, before.location, strict=True), before.category, strict=True))
    assert category["b", "north"] == "old"
    assert dict(zip(after.sku, after.category, strict=True))["b"] == "new"
    group = dict(zip(zip(after.sku, after.location, strict=True), after.group, strict=True))
    assert group["b", "north"] != group["b", "south"]
    assert group["10", "all"] == group["9", "all"] == group["é 1", "all"] != group["B", "all"]


def test_covariates_are_carried_with_neutral_days_and_what_is_planned():
    cut = history(covariates=("on_promotion", "price_ratio"))
    bare = cut.panel_at(ORIGIN, window=WINDOW)
    assert bare.covariates == ()
    assert bare.past.size == bare.future.size == 0
    future = {name: np.arange(6 * 5, dtype=float).reshape(6, 5) for name in ("on_promotion", "price_ratio")}
    past = cut.covariates_at(ORIGIN, window=WINDOW)
    panel = bare.with_covariates(past, future)
    assert panel.covariates == ("on_promotion", "price_ratio")
    assert panel.past.shape == (6, 2, WINDOW)
    assert panel.future.shape == (6, 2, 5)
    young = panel.series.sku.tolist().index("9")
    assert (panel.past[young, 0, :-1] == 0).all()
    assert (panel.past[young, 1, :-1] == 1).all()
    assert panel.future[young, 0].tolist() == future["on_promotion"][young].tolist()
    assert cut.names.sku[cut.rows_at(ORIGIN)].tolist() == panel.series.sku.tolist()
    with pytest.raises(PanelError, match="price_ratio"):
        bare.with_covariates(past, {"on_promotion": future["on_promotion"]})
    with pytest.raises(PanelError, match=r"on_promotion.*not finite"):
        bare.with_covariates(past, future | {"on_promotion": np.full((6, 5), np.nan)})


@pytest.mark.parametrize("origin", [ORIGIN + timedelta(days=1), date(2020, 1, 1)])
def test_an_origin_outside_the_history_is_refused(origin):
    with pytest.raises(PanelError, match=str(origin)):
        history().panel_at(origin, window=WINDOW)


def test_second_rows_unnamed_series_and_infinite_units_are_refused():
    features, series = feature_rows(demand(), NAMES)
    with pytest.raises(PanelError, match="1 second rows"):
        PanelHistory.from_features(pd.concat([features, features.iloc[[5]]]), series)
    with pytest.raises(PanelError, match="first series_id 2"):
        PanelHistory.from_features(features, series[series["series_id"] != 2])
    with pytest.raises(PanelError, match="not finite"):
        PanelHistory.from_features(features.assign(units=np.inf), series)


def test_a_day_without_a_series_is_an_empty_panel():
    features, series = feature_rows(demand()[:2], NAMES[:2])
    gone = features[features["sale_date"] != pd.Timestamp(ORIGIN - timedelta(days=1))]
    panel = PanelHistory.from_features(gone, series).panel_at(ORIGIN - timedelta(days=1), window=WINDOW)
    assert len(panel.series) == 0
    assert panel.y.shape == (0, WINDOW)


@pytest.mark.parametrize("kept", [slice(0, 0), slice(20, 30)])
def test_origins_before_the_first_row_and_after_the_last_are_empty_panels(kept: slice):
    features, series = feature_rows(demand()[:1], NAMES[:1])
    some = features.sort_values("sale_date").iloc[kept]
    outer = ORIGIN - timedelta(days=WINDOW + 500), ORIGIN + timedelta(days=3)
    history = PanelHistory.from_features(some, series, origins=outer)
    for origin in outer:
        assert history.panel_at(origin, window=WINDOW).y.shape == (0, WINDOW)
    if len(some):
        last = some["sale_date"].max().date()
        alone = PanelHistory.from_features(some, series).panel_at(last, window=WINDOW)
        np.testing.assert_array_equal(history.panel_at(last, window=WINDOW).y, alone.y)
