"""A panel holds what its origin knew of holidays, promotions, prices and the tenant's own covariates, and no more."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecast_platform.features import HolidayCalendar
from forecast_platform.forecasting import Panel, PanelHistory
from forecast_platform.forecasting.covariates import FROM_FEATURES, KNOWN_AHEAD, Covariates, KnownFacts
from forecast_platform_tests.forecasting.demand import ORIGIN, feature_rows
from forecast_platform_tests.forecasting.demo_panels import PRICE, TEXT, no_own_covariates

NAMES = [("ape", "north"), ("ape", "south"), ("bee", "north"), ("cat ü", "south")]
WINDOW, HORIZON, RANGE = 40, 7, 5
A_SOUTH, BEE = 1, 2


def on(offset: int) -> date:
    """The day ``offset`` days after the origin."""
    return ORIGIN + timedelta(days=offset)


def plan_of(*rows: tuple) -> pd.DataFrame:
    """Plan rows: known, target (days from the origin), sku, location, promoted, price."""
    known, target, sku, location, promoted, price = zip(*rows, strict=True) if rows else [[]] * 6
    return pd.DataFrame(
        {
            "known_from": pd.to_datetime([on(day) for day in known]),
            "target_date": pd.to_datetime([on(day) for day in target]),
            "sku": pd.array(list(sku), dtype=TEXT),
            "location": pd.array(list(location), dtype=TEXT),
            "on_promotion": pd.array(list(promoted), dtype="boolean").astype("bool[pyarrow]"),
            "price": pd.array(list(price), dtype=TEXT).astype(PRICE),
        }
    )


def own_of(*rows: tuple) -> pd.DataFrame:
    """Rows of ``covariates``: known, target, name, sku, location, category, value."""
    if not rows:
        return no_own_covariates()
    known, target, name, sku, location, category, value = zip(*rows, strict=True)
    texts = {"name": name, "sku": sku, "location": location, "category": category}
    return pd.DataFrame(
        {
            "known_from": pd.to_datetime([on(day) for day in known]),
            "target_date": pd.to_datetime([on(day) for day in target]),
            **{column: pd.array(list(values), dtype=TEXT) for column, values in texts.items()},
            "value": np.array(value, dtype=float),
        }
    )


def prices_of(*rows: tuple) -> pd.DataFrame:
    """Prices paid: day, series, price."""
    days, series, price = zip(*rows, strict=True) if rows else [[]] * 3
    return pd.DataFrame(
        {
            "sale_date": pd.to_datetime([on(day) for day in days]),
            "series_id": np.array(series, dtype=np.int32),
            "avg_price": np.array(price, dtype=float),
        }
    )


def shelf() -> pd.DataFrame:
    """Features of four series; the stock-outs of ``feature_rows``, and a holiday every 30th day."""
    features, series = feature_rows(np.ones((4, 90)), NAMES, last=on(RANGE))
    return features.assign(is_holiday=features["sale_date"].dt.day == 1), series


def panels(
    plan: pd.DataFrame | None = None,
    own: pd.DataFrame | None = None,
    prices: pd.DataFrame | None = None,
    *,
    first: int = 0,
    last: int = 0,
    items: pd.DataFrame | None = None,
    calendar_on=lambda day: HolidayCalendar(),
    defaults: dict | None = None,
    change=lambda features: features,
) -> dict[int, Panel]:
    """Panels of the origins ``first`` .. ``last`` days after the origin, in one range."""
    features, series = shelf()
    features = change(features)
    seen = features["sale_date"].between(pd.Timestamp(on(first - WINDOW + 1)), pd.Timestamp(on(last)))
    origins = on(first), on(last)
    history = PanelHistory.from_features(features[seen], series, origins=origins, covariates=FROM_FEATURES)
    facts = KnownFacts(
        calendar_on,
        plan_of() if plan is None else plan,
        prices_of() if prices is None else prices,
        own_of() if own is None else own,
        defaults or {},
    )
    made = Covariates(history, facts, origins=origins, window=WINDOW, horizon=HORIZON)
    return {
        offset: made.complete(history.panel_at(on(offset), window=WINDOW, items=items))
        for offset in range(first, last + 1)
    }


def ahead(panel: Panel, name: str) -> np.ndarray:
    return panel.future[:, panel.covariates.index(name)]


def past(panel: Panel, name: str) -> np.ndarray:
    return panel.past[:, panel.covariates.index(name)]


def same(one: Panel, other: Panel) -> bool:
    arrays = all(np.array_equal(getattr(one, n), getattr(other, n), equal_nan=True) for n in ("y", "past", "future"))
    return arrays and one.covariates == other.covariates


def test_without_a_plan_nothing_is_known_of_promotions_and_prices():
    """What was paid and promoted is known of days that sold only: a model would learn from it what sold."""
    panel = panels()[0]
    assert panel.covariates == ("is_holiday",)
    assert (panel.past.shape, panel.future.shape) == ((4, 1, WINDOW), (4, 1, HORIZON))


def test_the_newest_plan_known_on_the_origin_counts_and_that_of_a_location_before_that_of_all():
    plan = plan_of(
        (-9, 1, "ape", "all", True, None),
        (-5, 1, "ape", "south", False, None),
        (-9, 2, "bee", "north", True, None),
        (-2, 2, "bee", "north", False, None),
        (0, 3, "bee", "north", True, None),
        (1, 4, "bee", "north", True, None),
        (-9, 5, "bee", "north", None, "2.5"),
    )
    promoted = ahead(panels(plan)[0], "on_promotion")
    assert promoted[0].tolist() == [1, 0, 0, 0, 0, 0, 0]
    assert promoted[A_SOUTH].tolist() == [0] * 7
    assert promoted[BEE].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert ahead(panels(plan, last=1)[1], "on_promotion")[BEE].tolist() == [0, 1, 1, 0, 0, 0, 0]


def test_a_planned_price_is_set_against_the_mean_of_the_known_prices_of_28_days():
    prices = prices_of((0, 2, 4.0), (-27, 2, 6.0), (-28, 2, 900.0), (1, 2, 900.0), (-3, 0, 900.0))
    plan = plan_of(
        (-1, 2, "bee", "north", True, "4.5"), (-1, 2, "cat ü", "south", True, "4.5"), (-9, 0, "bee", "north", True, "9")
    )
    ratio = ahead(panels(plan, prices=prices)[0], "price_ratio")
    assert ratio[BEE].tolist() == [1, 4.5 / 5.0, 1, 1, 1, 1, 1]
    assert (np.delete(ratio, BEE, axis=0) == 1).all()


def test_days_without_a_sale_take_promotion_and_price_from_the_plan_as_known_on_the_origin():
    day = 17
    plan = plan_of((-30, day - WINDOW + 1, "bee", "north", True, "3.0"), (1, -5, "bee", "north", True, "3.0"))
    prices = prices_of((day - WINDOW - 6, 2, 4.0), (day - WINDOW - 1, 2, 2.0))

    def quiet(features: pd.DataFrame) -> pd.DataFrame:
        bee = features["series_id"] == BEE
        return features.assign(
            on_promotion=features["on_promotion"] & ~bee, price_ratio=features["price_ratio"].where(~bee, 1.0)
        )

    panel = panels(plan, prices=prices, change=quiet)[0]
    assert np.flatnonzero(past(panel, "on_promotion")[BEE]).tolist() == [day]
    assert "price_ratio" not in panel.covariates, "3 against a mean of 4 and 2 is the usual price"
    cheaper = panels(plan, prices=prices_of((day - WINDOW - 6, 2, 4.0), (0, 2, 4.0)), change=quiet)[0]
    assert past(cheaper, "price_ratio")[BEE, day] == 0.75


def test_a_price_that_was_paid_is_never_a_covariate():
    target = -7
    plan = plan_of((-30, target, "bee", "north", True, "2.0"))
    ratios = [
        past(panels(plan, prices=prices_of((target - 3, 2, 4.0), (target, 2, price)))[0], "price_ratio")
        for price in (3.9, 0.1)
    ]
    assert ratios[0][BEE, WINDOW - 1 + target] == ratios[1][BEE, WINDOW - 1 + target] == 0.5
    others = np.delete(ratios[0], BEE, axis=0)
    assert (others == 1).all()


def test_holidays_ahead_are_those_of_the_countries_known_on_the_origin():
    days = pd.date_range(pd.Timestamp(on(1)), periods=HORIZON)
    locations = pd.DataFrame(
        {
            "valid_from": pd.to_datetime([on(-9), on(1), on(-9)]),
            "location": pd.array(["south", "south", "north"], dtype=TEXT),
            "country": pd.array(["DE-BY", "JP", None], dtype=TEXT),
        }
    )
    panel = panels(calendar_on=lambda day: HolidayCalendar.known_on(day, locations, country="GB"))[0]
    calendar = HolidayCalendar("GB", {"south": "DE-BY"})
    expected = calendar.is_holiday([location for _, location in NAMES], days)
    assert expected[A_SOUTH].any()
    assert not expected[0].any()
    assert np.array_equal(ahead(panel, "is_holiday"), expected)


def test_a_tenants_covariate_comes_from_the_most_particular_row_and_its_past_is_what_was_known_too():
    items = pd.DataFrame(
        {
            "valid_from": pd.to_datetime([on(-90)]),
            "sku": ["bee"],
            "location": ["all"],
            "category": ["insects"],
        }
    )
    own = own_of(
        (-20, 1, "mail", "all", "all", "all", 1.0),
        (-20, 1, "mail", "all", "south", "all", 2.0),
        (-20, 1, "mail", "all", "all", "insects", 3.0),
        (-20, 1, "mail", "cat ü", "all", "all", 4.0),
        (-20, -3, "mail", "all", "all", "all", 5.0),
        (-1, -3, "mail", "all", "all", "all", 6.0),
        (1, -3, "mail", "all", "all", "all", 7.0),
        (1, -4, "mail", "all", "all", "all", 8.0),
    )
    panel = panels(own=own, items=items)[0]
    assert panel.covariates == ("is_holiday", "mail")
    assert ahead(panel, "mail")[:, 0].tolist() == [1, 2, 3, 4]
    assert (past(panel, "mail")[:, -4] == 6).all()
    assert (np.delete(past(panel, "mail"), -4 + WINDOW, axis=1) == 0).all()
    assert (past(panels(own=own, items=items, last=1)[1], "mail")[:, [-5, -6]] == [7, 8]).all()


def test_days_nobody_has_told_count_nothing_unless_the_covariate_is_measured_daily():
    measured = [(-90, day, "warmth", "ape", "all", "all", 10.0 + day % 2) for day in range(-27, 4) if day != -9]
    rare = [(-90, day, "warmth", "bee", "all", "all", 20.0) for day in range(-19, 4)]
    own = own_of(*measured, *rare)
    panel = panels(own=own)[0]
    mean = np.mean([10.0 + day % 2 for day in range(-27, 1) if day != -9])
    known = [10.0 + day % 2 for day in (1, 2, 3)]
    assert ahead(panel, "warmth")[0] == pytest.approx([*known, *[mean] * 4], abs=1e-12)
    assert past(panel, "warmth")[0, [0, WINDOW - 1 - 9]] == pytest.approx([mean, mean], abs=1e-12)
    assert ahead(panel, "warmth")[BEE].tolist() == [20.0] * 3 + [0.0] * 4
    told = panels(own=own, defaults={"warmth": 12.5})[0]
    assert ahead(told, "warmth")[0, 3:].tolist() == [12.5] * 4
    assert (past(told, "warmth")[3] == 12.5).all()


def test_a_column_of_one_value_is_left_out_whatever_is_planned():
    def calm(features: pd.DataFrame) -> pd.DataFrame:
        return features.assign(on_promotion=False, price_ratio=1.0, is_holiday=True)

    plan = plan_of((-1, 2, "bee", "north", True, None))
    own = own_of(
        *((-90, day, "flat", "all", "all", "all", 3.0) for day in range(-WINDOW, HORIZON + 1)),
        (-90, 2, "new", "all", "all", "all", 1.0),
    )
    assert panels(plan, own, change=calm)[0].covariates == ()
    varied = plan_of((-90, -2, "bee", "north", True, "2.0"))
    prices = prices_of((-5, 2, 4.0))
    told = panels(varied, own, prices, change=lambda f: f.assign(is_holiday=False))[0]
    assert told.covariates == KNOWN_AHEAD[1:]


def test_a_column_that_varies_only_while_the_shelves_were_empty_is_left_out():
    empty = {row: np.flatnonzero(np.isnan(panels()[0].y[row])) for row in range(4)}
    assert all(len(days) for days in empty.values())
    own = own_of(
        *(
            (-90, int(days[0]) - WINDOW + 1, "sign", sku, location, "all", 1.0)
            for (sku, location), days in zip(NAMES, empty.values(), strict=True)
        )
    )
    assert "sign" not in panels(own=own)[0].covariates


def test_what_is_planned_lies_no_farther_outside_the_window_than_its_range_is_wide():
    seen = [(-90, day, "spend", "ape", "all", "all", float(day % 3)) for day in range(-WINDOW, 1)]
    wild = [(-1, 1, "spend", "ape", "all", "all", 1e8), (-1, 2, "spend", "ape", "all", "all", -1e8)]
    kept = (-1, 3, "spend", "ape", "all", "all", 3.5)
    panel = panels(own=own_of(*seen, *wild, kept))[0]
    assert ahead(panel, "spend")[0, :3].tolist() == [4.0, -2.0, 3.5]


def test_nothing_that_became_known_after_an_origin_changes_its_panel():
    draw = np.random.default_rng(3)

    def rows(count: int, known: tuple[int, int]) -> list[tuple]:
        days = draw.integers(*known, count), draw.integers(-WINDOW, HORIZON + RANGE, count)
        return [(int(k), int(t), *NAMES[n]) for k, t, n in zip(*days, draw.integers(0, 4, count), strict=True)]

    before, after = rows(60, (-20, 1)), rows(200, (1, RANGE + 1))
    plans = [
        plan_of(*{r[:4]: (*r, r[1] % 2 == 0, f"{2 + r[0] % 5}.25") for r in each}.values())
        for each in (before, before + after)
    ]
    owns = [
        own_of(*{r[:4]: (*r[:2], "mail", *r[2:], "all", float(r[0] + r[1])) for r in each}.values())
        for each in (before, before + after)
    ]
    prices = prices_of(*((day, n, 2.0 + (day + n) % 7) for day in range(-75, 1) for n in range(4)))
    dearer = pd.concat([prices, prices_of(*((day, n, 99.0) for day in range(1, RANGE + 1) for n in range(4)))])

    def nonsense(features: pd.DataFrame) -> pd.DataFrame:
        late = features["sale_date"] > pd.Timestamp(ORIGIN)
        return features.assign(
            units=features["units"].where(~late, 1e6),
            on_promotion=features["on_promotion"] | late,
            price_ratio=features["price_ratio"].where(~late, 9.0),
            is_holiday=features["is_holiday"] | late,
        )

    honest = panels(plans[0], owns[0], prices)[0]
    told = panels(plans[1], owns[1], dearer, last=RANGE, change=nonsense)[0]
    assert same(honest, told)
    assert not same(honest, panels(plans[1], owns[1], dearer, last=RANGE)[RANGE])


def test_a_panel_of_a_range_is_that_of_a_single_run_to_the_bit():
    draw = np.random.default_rng(4)
    plan = plan_of(
        *(
            (int(known), int(target), *NAMES[n], bool(known % 2), f"{1 + target % 4}.5")
            for known, target, n in {tuple(draw.integers([-30, -WINDOW, 0], [4, 12, 4])) for _ in range(300)}
        )
    )
    own = own_of(*((day - 3, day, "warmth", "all", "all", "all", 0.1 * day) for day in range(-WINDOW, 9)))
    prices = prices_of(*((day, n, 2.0 + 0.1 * ((7 * day + n) % 11)) for day in range(-75, 5) for n in range(4)))
    ranged = panels(plan, own, prices, first=-3, last=RANGE)
    for offset in (-3, 0, RANGE):
        assert same(ranged[offset], panels(plan, own, prices, first=offset, last=offset)[offset])
        shuffled = [frame.sample(frac=1, random_state=1) for frame in (plan, own, prices)]
        assert same(ranged[offset], panels(*shuffled, first=-3, last=RANGE)[offset])


def test_an_origin_without_a_series_has_no_covariates():
    panel = panels(change=lambda features: features[features["sale_date"] < pd.Timestamp(ORIGIN)])[0]
    assert panel.y.shape == (0, WINDOW)
    assert panel.covariates == ()
