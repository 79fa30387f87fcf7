"""The shop looks like one: the figures stated in the generator's docstring, for several seeds."""

from __future__ import annotations

import numpy as np
import pytest

from forecast_platform.sources.demo_demand import Demand, demand, seasonal_factor
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.demo_shop import CATEGORIES, LUMPY, SMOOTH, Shop, day_of, number, shop_of
from forecast_platform_tests.sources.demo_reading import FIRST, LAST

MONDAY, FRIDAY, SATURDAY, SUNDAY = 0, 4, 5, 6
Played = tuple[Shop, Demand]


@pytest.fixture(scope="module", params=[7, 1, 21, 1234])
def played(request) -> Played:
    shop = shop_of(DemoSource(seed=request.param))
    return shop, demand(shop, number(FIRST), number(LAST))


def weekdays(days: np.ndarray) -> np.ndarray:
    return np.array([day_of(day).weekday() for day in days])


def by_weekday(days: np.ndarray, units: np.ndarray) -> np.ndarray:
    return np.array([units[weekdays(days) == weekday].mean() for weekday in range(7)])


def levelled(shop: Shop, days: Demand) -> np.ndarray:
    """Units relative to the weekday's share."""
    return days.units / shop.weekday_profile.T[weekdays(days.days)]


def test_the_second_location_sells_about_half_as_much(played):
    shop, days = played
    first, second = (days.units[:, shop.series_location == at].sum() for at in (0, 1))
    assert 0.45 <= second / first <= 0.60
    assert days.units.shape[1] == 114


@pytest.mark.parametrize("location, strongest", [(0, SATURDAY), (1, FRIDAY)])
def test_weekdays_differ_by_location(played, location, strongest):
    shop, days = played
    means = by_weekday(days.days, days.units[:, shop.series_location == location].sum(axis=1))
    assert means.argmax() == strongest
    assert means.argmin() == SUNDAY
    assert 2.4 <= means.max() / means.min() <= 4.0


def test_gardens_sell_at_weekends_and_offices_on_workdays(played):
    shop, days = played
    here = shop.series_location == 0
    share = {}
    for code in ("GRD", "OFF"):
        means = by_weekday(days.days, days.units[:, here & of_category(shop, code)].sum(axis=1))
        share[code] = (means[SATURDAY] + means[SUNDAY]) / means.sum()
    assert share["GRD"] > 1.25 * share["OFF"]


def of_category(shop: Shop, code: str) -> np.ndarray:
    return np.array([CATEGORIES[each].code == code for each in shop.category])[shop.series_place]


@pytest.mark.parametrize(
    "code, best, worst, least, most", [("GRD", (5, 6), (12, 1), 2.0, 3.3), ("TOY", (11, 12), (5, 6, 7), 1.9, 3.0)]
)
def test_the_year_has_its_shape(played, code, best, worst, least, most):
    shop, _ = played
    years = demand(shop, number(LAST) - 3 * 365, number(LAST))
    months = np.array([day_of(day).month for day in years.days])
    units = years.units[:, of_category(shop, code)].sum(axis=1)
    means = np.array([units[months == month].mean() for month in range(1, 13)])
    assert means.argmax() + 1 in best
    assert means.argmin() + 1 in worst
    assert least <= means.max() / means.min() <= most


def test_articles_grow_and_shrink_apart_from_their_category(played):
    shop, days = played
    lasting = (~shop.short_lived & (shop.demand_class == SMOOTH))[shop.series_place]
    units = levelled(shop, days)
    growth = np.log(units[-56:].mean(axis=0) / units[:56].mean(axis=0))
    own = np.concatenate(
        [
            growth[lasting & of_category(shop, category.code)]
            - np.median(growth[lasting & of_category(shop, category.code)])
            for category in CATEGORIES
        ]
    )
    low, high = np.percentile(own, [25, 75])
    assert np.exp(high - low) >= 1.15


def test_the_share_of_days_without_a_sale_is_as_stated(played):
    shop, days = played
    kind = shop.demand_class[shop.series_place]
    empty = {each: (days.units[:, kind == each][days.on_sale[:, kind == each]] == 0).mean() for each in (0, 1, 2)}
    assert 0.20 <= (days.units[days.on_sale] == 0).mean() <= 0.32
    assert empty[SMOOTH] < 0.10
    assert min(empty[1], empty[LUMPY]) > 0.55


def test_lumpy_articles_sell_in_lumps_and_intermittent_ones_by_the_piece(played):
    shop, days = played
    kind = shop.demand_class[shop.series_place]
    sizes = [days.units[:, kind == each][days.units[:, kind == each] > 0].mean() for each in (1, LUMPY)]
    assert 1.5 <= sizes[0] <= 2.2
    assert 10 <= sizes[1] <= 15


@pytest.fixture(scope="module")
def two_years(played) -> Played:
    shop, _ = played
    return shop, demand(shop, number(LAST) - 729, number(LAST))


def open_smooth(shop: Shop, days: Demand) -> np.ndarray:
    return days.on_sale & days.in_stock & (shop.demand_class == SMOOTH)[shop.series_place]


def test_promotions_are_as_frequent_as_stated(played):
    _, days = played
    assert 0.05 <= days.on_promotion[days.on_sale].mean() <= 0.09


def test_promotions_lift_demand_by_the_stated_factor(two_years):
    shop, days = two_years
    shelf = open_smooth(shop, days)
    units = days.units / seasonal_factor(shop, days.days)
    measured, stated = [], []
    for series in range(units.shape[1]):
        on, off = shelf[:, series] & days.on_promotion[:, series], shelf[:, series] & ~days.on_promotion[:, series]
        if on.sum() >= 28:
            measured.append(units[on, series].mean() / units[off, series].mean())
            stated.append(shop.lift[shop.series_place[series]])
    measured, stated = np.array(measured), np.array(stated)
    assert len(measured) >= 60
    assert stated.min() >= 1.6 and stated.max() <= 2.4
    assert np.median(measured / stated) == pytest.approx(1, abs=0.05)
    assert np.mean(np.abs(measured / stated - 1) < 0.15) > 0.85
    assert np.corrcoef(measured, stated)[0, 1] > 0.75


def test_demand_follows_regular_prices(two_years):
    shop, days = two_years
    shelf = open_smooth(shop, days) & ~days.on_promotion & ~shop.short_lived[shop.series_place]
    units = days.units / seasonal_factor(shop, days.days)
    change, effect = [], []
    for series in np.flatnonzero(shelf.any(axis=0)):
        counted = shelf[:, series]
        price, sold = days.price[counted, series], units[counted, series]
        means = np.array([(np.log(each), np.log(sold[price == each].mean())) for each in np.unique(price)])
        change.extend(means[:, 0] - means[:, 0].mean())
        effect.extend(means[:, 1] - means[:, 1].mean())
    slope = np.dot(change, effect) / np.dot(change, change)
    assert -1.8 <= slope <= -0.6


def test_promotions_change_as_often_as_stated(played):
    shop, _ = played
    promotions = shop.promotions(number(FIRST) - 365, number(LAST))
    assert 0.05 <= (promotions.kept < promotions.planned).mean() <= 0.20
    assert (promotions.kept == 0).any()
    assert ((promotions.kept > 0) & (promotions.kept < promotions.planned)).any()
    assert set(promotions.planned) == {4, 7, 10}


def test_shelves_are_empty_as_often_as_stated_and_sell_nothing(played):
    _, days = played
    assert 0.01 <= (~days.in_stock[days.on_sale]).mean() <= 0.04
    assert days.units[~days.in_stock].sum() == 0
    assert days.units[~days.on_sale].sum() == 0


def test_a_stock_out_lasts_two_to_five_days(played):
    _, days = played
    edges = np.diff(np.pad(~days.in_stock, ((1, 1), (0, 0))).astype(int), axis=0)
    starts, ends = np.argwhere(edges.T == 1), np.argwhere(edges.T == -1)
    inside = (starts[:, 1] > 0) & (ends[:, 1] < len(days.days))
    assert set((ends - starts)[inside, 1]) == {2, 3, 4, 5}


def test_one_place_in_five_changes_its_article_and_new_articles_start_small():
    shop = shop_of(DemoSource(seed=7))
    days = demand(shop, number(LAST) - 1500, number(LAST))
    changes = np.count_nonzero(np.diff(days.generation, axis=0), axis=0)
    short = shop.short_lived[shop.series_place]
    assert shop.short_lived.mean() == 0.2
    assert (changes[short] >= 2).all()
    assert (changes[~short] == 0).all()
    lives = [np.diff(np.flatnonzero(np.diff(days.generation[:, each]))) for each in np.flatnonzero(short)]
    assert all(240 <= life <= 540 for each in lives for life in each)
    _, age = shop.generation(days.days[:, None])
    age = age[:, shop.series_place]
    units = np.where(days.in_stock & ~days.on_promotion & short, levelled(shop, days), np.nan)
    young, grown = np.nanmean(units[age < 14]), np.nanmean(units[(age >= 28) & (age < 120)])
    assert 0.45 <= young / grown <= 0.75


def test_demand_of_a_day_is_that_of_any_range_which_holds_it():
    shop = shop_of(DemoSource(seed=7))
    whole = demand(shop, number(FIRST), number(LAST))
    alone = demand(shop, number(FIRST) + 77, number(FIRST) + 77)
    for name in ("generation", "on_sale", "in_stock", "on_promotion", "price", "units"):
        assert np.array_equal(getattr(whole, name)[77], getattr(alone, name)[0]), name
