"""Textbook formulas against published worked values, an independent library and their own definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stockpyl.eoq import economic_order_quantity as their_eoq
from stockpyl.loss_functions import normal_loss
from stockpyl.newsvendor import newsvendor_normal as their_newsvendor

from forecast_platform.inventory.formulas import (
    InventoryError,
    critical_ratio,
    cycle_service,
    days_of_inventory,
    economic_order_quantity,
    expected_shortage,
    fill_rate,
    lead_time_deviation,
    newsvendor_normal,
    order_quantity,
    safety_stock,
    service_factor,
)

SHARES = st.floats(0.001, 0.999)


def test_phones_of_chopra_and_meindl():
    # Supply Chain Management, examples 12-1 and 12-2: weekly demand N(2500, 500), two weeks, 10,000 ordered at 6,000.
    mean, deviation = 2 * 2500.0, float(lead_time_deviation(2500, 500, 2))
    assert 6000 - mean == 1000
    assert float(cycle_service(6000, mean, deviation)) == pytest.approx(0.9214, abs=5e-5)
    assert float(fill_rate(6000, mean, deviation, 10_000)) == pytest.approx(0.99749, abs=5e-6)
    assert float(safety_stock(cycle_service(6000, mean, deviation), 2500, 500, 2)) == pytest.approx(1000)


def test_printers_of_chopra_and_meindl():
    # Exercise 11-4: weekly demand N(250, 150), two weeks, 1,000 ordered at 600.
    deviation = lead_time_deviation(250, 150, 2)
    assert float(cycle_service(600, 500, deviation)) == pytest.approx(0.6813, abs=5e-5)
    assert float(expected_shortage(600, 500, deviation)) == pytest.approx(43.86, abs=5e-3)
    assert float(fill_rate(600, 500, deviation, 1000)) == pytest.approx(0.9561, abs=5e-5)


def test_order_quantity_and_newsvendor_of_snyder_and_shen():
    # Fundamentals of Supply Chain Theory, examples 3.1 and 4.3.
    assert float(economic_order_quantity(1300, 8, 0.225)) == pytest.approx(304.0467800264, abs=1e-9)
    assert float(newsvendor_normal(50, 8, 0.70, 0.18)) == pytest.approx(56.6039559274, abs=1e-9)


@given(st.floats(0.1, 1e5), st.floats(0.1, 1e4), st.floats(-3, 4), st.floats(0.01, 100), st.floats(0.01, 100), SHARES)
def test_normal_formulas_are_those_of_another_library(mean, deviation, z, underage, overage, share):
    point = mean + z * deviation
    short, _ = normal_loss(point, mean, deviation)
    assert float(expected_shortage(point, mean, deviation)) == pytest.approx(short, rel=1e-6, abs=1e-9 * deviation)
    level, _ = their_newsvendor(overage, underage, mean, deviation)
    assert float(newsvendor_normal(mean, deviation, underage, overage)) == pytest.approx(level, rel=1e-9)
    quantity, _ = their_eoq(underage, overage, mean)
    assert float(economic_order_quantity(mean, underage, overage)) == pytest.approx(quantity, rel=1e-9)
    covered = mean + float(service_factor(share)) * deviation
    assert float(cycle_service(covered, mean, deviation)) == pytest.approx(share, abs=1e-9)


def test_a_lead_time_that_varies_adds_what_is_sold_in_its_days():
    assert float(lead_time_deviation(10, 3, 4, 0)) == 6.0
    assert float(lead_time_deviation(10, 0, 4, 2)) == 20.0
    assert float(lead_time_deviation(10, 3, 4, 2)) == pytest.approx(np.hypot(6, 20))
    assert float(lead_time_deviation(10, 3, 0, 0)) == 0.0


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_service_level_that_no_stock_gives_is_refused(level: float):
    with pytest.raises(InventoryError, match="is not between 0 and 1"):
        safety_stock(np.array([0.95, level]), 1.0, 1.0, 1.0)


@pytest.mark.parametrize(("under", "over", "name"), [(0, 1, "underage"), (1, -1, "overage")])
def test_a_newsvendor_without_costs_is_refused(under: float, over: float, name: str):
    with pytest.raises(InventoryError, match=name):
        critical_ratio(under, over)


def test_a_level_under_one_half_asks_for_no_negative_stock():
    assert safety_stock(np.array([0.3, 0.5]), 5.0, 2.0, 9.0).tolist() == [0.0, 0.0]


def test_without_variation_service_is_whether_the_mean_is_covered():
    assert cycle_service(np.array([4.0, 5.0, 6.0]), 5.0, 0.0).tolist() == [0.0, 1.0, 1.0]
    assert expected_shortage(np.array([4.0, 5.0, 6.0]), 5.0, 0.0).tolist() == [1.0, 0.0, 0.0]
    assert np.isnan(fill_rate(5.0, 5.0, 1.0, 0.0))


@pytest.mark.parametrize(
    ("level", "position", "moq", "multiple", "ordered"),
    [
        (10, 4, 0, 0, 6),
        (10, 10, 0, 0, 0),
        (10, 12, 50, 6, 0),
        (10, 4, 20, 0, 20),
        (10, 4, 20, 6, 24),
        (10, 4, 0, 6, 6),
        (10, -3, 0, 6, 18),
        (10, 4, np.nan, np.nan, 6),
        (10, 10_000, 0, 0, 0),
        (0.3, 0.1, 0, 0.1, 0.2),
    ],
)
def test_what_is_ordered(level, position, moq, multiple, ordered):
    assert float(order_quantity(level, position, moq, multiple)) == pytest.approx(ordered)


@given(st.floats(-100, 1e4), st.floats(-100, 1e4), st.floats(0, 500), st.integers(0, 48))
def test_an_order_reaches_the_level_in_whole_multiples_of_at_least_the_moq(level, position, moq, multiple):
    ordered = float(order_quantity(level, position, moq, multiple))
    if level - position <= 1e-9:
        assert ordered == 0
        return
    assert ordered >= moq - 1e-6 and position + ordered >= level - 1e-4
    if multiple:
        assert ordered % multiple == pytest.approx(0, abs=1e-9)
        assert ordered - multiple < max(level - position, moq) + 1e-3


@pytest.mark.parametrize(
    ("on_hand", "forecast", "days"),
    [
        (0, [1, 1], 0.0),
        (-5, [1, 1], 0.0),
        (3, [2, 2, 2], 1.5),
        (2, [2, 2, 2], 1.0),
        (6, [2, 2, 2], 3.0),
        (7, [2, 2, 2], np.nan),
        (1, [0, 0, 4], 2.25),
        (5, [0, 0, 0], np.nan),
        (0, [0, 0, 0], 0.0),
    ],
)
def test_how_long_the_stock_lasts(on_hand, forecast, days):
    found = days_of_inventory(np.array([on_hand], dtype=float), np.array([forecast], dtype=float))
    assert found[0] == pytest.approx(days, nan_ok=True)
