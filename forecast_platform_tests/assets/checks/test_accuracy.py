"""Checks of how good the forecasts are: quiet on good ones, told with figures where they have become worse."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from forecast_platform.assets.checks.accuracy import coverage, one_sided, population, risen, shifted
from forecast_platform.days import days_between
from forecast_platform_tests.assets.checks.conftest import DAY, CheckedShop
from forecast_platform_tests.assets.checks.test_facts import FEATURES

SERIES = 30
RULES = {"reference_days": 42, "least_days": 28}


@pytest.fixture
def scored(checked: CheckedShop) -> CheckedShop:
    """70 days of 30 series at 20 units a day, forecast exactly but for chance."""
    checked.settings = {"monitoring": RULES}
    draws = np.random.default_rng(4)
    days = days_between(DAY - timedelta(days=69), DAY)
    checked.insert(
        "series",
        series_id=list(range(SERIES)),
        sku=[f"sku {number}" for number in range(SERIES)],
        location="x",
        first_seen=days[0],
    )
    made = {"digest": "d", "origin_date": days[0], "model": "ensemble", "horizon": 7, "model_spec": "m()"}
    checked.insert("forecast_versions", **made, version_id=1, code_version="1", inputs="{}", series=2, live=True)
    keys = [(day, number) for day in days for number in range(SERIES)]
    sold = draws.poisson(20.0, len(keys)).astype(float).tolist()
    cells = {"target_date": [day for day, _ in keys], "series_id": [number for _, number in keys]}
    checked.insert("error_sums", **cells, model="ensemble", horizon_bucket="1", n=1, sum_actual=sold)
    checked.execute("update error_sums set sum_error = 20 - sum_actual, sum_abs_error = abs(20 - sum_actual)")
    checked.execute(
        "insert into forecast_errors select target_date, 1, series_id, target_date - h, h, 20, sum_actual, true"
        " from error_sums cross join (values (1), (4), (5), (6), (7)) as ahead(h)"
    )
    scores = {"n": 100, "n_below_q025": 2, "n_upto_q025": 3, "n_below_q10": 9, "n_upto_q10": 11}
    scores |= {"n_below_q90": 89, "n_upto_q90": 91, "n_below_q975": 97, "n_upto_q975": 98}
    checked.insert("interval_scores", target_date=days, model="ensemble", **scores)
    names = ", ".join(name for name in FEATURES if name != "units")
    values = ", ".join(str(value) for name, value in FEATURES.items() if name != "units")
    checked.execute(
        f"insert into features (sale_date, series_id, units, {names})"
        f" select target_date, series_id, sum_actual, {values} from error_sums"
    )
    return checked


def test_good_forecasts_pass_and_what_turns_bad_is_told(scored: CheckedShop):
    for check in (shifted, one_sided, risen, coverage, population):
        found = scored.look(check)
        assert found.passed and found.figures, (check.__name__, found.description)
    young = DAY - timedelta(days=65)
    for check in (shifted, one_sided, risen, coverage, population):
        assert "not enough errors yet: " in str(scored.look(check, young, young).description), check.__name__

    week = DAY - timedelta(days=6)
    scored.execute(f"update forecast_errors set actual = 2 * actual where series_id < 9 and target_date >= '{week}'")
    found = scored.look(shifted)
    assert (found.passed, found.severity.value) == (False, "WARN")
    assert f"{DAY}: sales of the week have shifted up, evidence " in str(found.description)
    assert " sold " in str(found.description) and "down" not in str(found.description)
    assert not scored.look(shifted, DAY + timedelta(days=1), DAY + timedelta(days=1)).passed, "told for a week"

    of_week = f"where series_id < 9 and sale_date >= '{week}'"
    scored.execute(f"update features set on_promotion = true {of_week}")
    assert scored.look(shifted).passed, "what a promotion lifts is no shift"
    scored.execute(f"update features set on_promotion = false {of_week}")
    scored.execute(f"update forecast_errors set actual = 0 where series_id < 9 and target_date >= '{week}'")
    assert scored.look(shifted).passed, "articles that end have not halved"

    scored.execute(f"update error_sums set sum_abs_error = 3 * sum_abs_error where target_date >= '{week}'")
    assert f"{DAY}: WAPE of 7 days is" in str(scored.look(risen).description)

    scored.execute("update error_sums set sum_error = sum_abs_error + 4")
    assert "all series together are over-forecast by" in str(scored.look(one_sided).description)
    assert "errors of 30 of 30 series are one-sided (sku " in str(scored.look(one_sided).description)

    scored.execute(f"update interval_scores set n_below_q10 = 30, n_upto_q10 = 31 where target_date >= '{week}'")
    scored.execute("update interval_scores set n_upto_q025 = 0, n_below_q975 = 100, n_below_q025 = 0")
    scored.execute("update interval_scores set n_below_q10 = 30, n_upto_q10 = 31, n_upto_q975 = 100")
    assert scored.look(coverage).description == f"{DAY}: the 80% intervals of 28 days held 61.0% (too narrow)"

    scored.execute(f"update features set units = units + 9 where sale_date > '{DAY - timedelta(days=28)}'")
    assert f"{DAY}: units has drifted: stability index" in str(scored.look(population).description)
