"""What is on record of one forecast: what went in and came out, what sold, what a late sale changed, and who asked."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from forecast_platform.assets.scope import CORRELATION_TAG, REQUESTED_BY_TAG
from forecast_platform.audit import NothingToAudit, audit
from forecast_platform.audit_inputs import AS_OF_THEN, AS_THEY_ARE
from forecast_platform.audit_report import audit_text
from forecast_platform.days import days_between
from forecast_platform.runs import RunFailed, Step, run_step
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

LAST = 34
LATE = 30
"""The late sale falls on this day; it is in the last week of the history that origin ``LAST`` sees."""

EVENT = "0123456789abcdef"


def units(number: int) -> list[int]:
    """Units of the audited SKU by day: 0, 1, 2, 3, and again."""
    return [each % 4 for each in range(number)]


def plain_lines(days: int) -> list[str]:
    return [f"a{n},{day(n)},plain,north,{sold},2.00,o{n}" for n, sold in enumerate(units(days)) if sold]


def run(shop: Shop, assets: list[str], first: int, last: int, **tags: str) -> None:
    step = Step(tuple(assets), day(first), day(last))
    run_step(shop.definitions, shop.scope, step, instance=shop.instance, reason="test", tags=tags)


@pytest.mark.parametrize("backend", ["duckdb", pytest.param("postgresql", marks=pytest.mark.slow)])
def test_an_audit_tells_a_forecast_from_the_sales_it_was_made_of_to_the_error_it_had(shop: Shop, at: Callable):
    sold_later = [f"n{n},{day(LAST + n)},plain,north,{n},2.00,n{n}" for n in (1, 2)]
    shop.put("history.csv", [*sales_lines(day(0), day(LAST)), *plain_lines(LAST + 1), *sold_later])
    facts = list(shop.chain.facts)
    with at(day(LAST + 3)):
        with pytest.raises(RunFailed):
            run(shop, ["forecasts"], LAST, LAST, **{REQUESTED_BY_TAG: "user bob"})  # before there are features
        shop.run(facts, day(0), day(LAST + 2))
    with at(day(LAST + 4)):
        run(shop, ["forecasts"], LAST, LAST, **{REQUESTED_BY_TAG: "user ann"})
        shop.run(["forecast_errors", "error_sums"], day(LAST), day(LAST + 1))
        shop.run(["forecast_intervals", "champions", "publications", "forecast_explanations"], day(LAST), day(LAST))

    with at(day(LAST + 5)):
        # A sale of ten units arrives late; the origin is forecast and published again, and not scored again yet.
        shop.put("late.csv", [f"late,{day(LATE)},plain,north,10,2.00,l1"])
        shop.run(facts, day(LATE), day(LAST + 2))
        again = ["forecasts", "forecast_intervals", "publications", "forecast_explanations"]
        run(shop, again, LAST, LAST, **{REQUESTED_BY_TAG: "sensor arrivals", CORRELATION_TAG: EVENT})
        shown = shop.scope, "plain", day(LAST)
        found = audit(*shown, model="moving_average_7", instance=shop.instance)

    first, second = found["versions"]
    # What went in, by hand: the last 28 days of 0, 1, 2, 3, and so on; then with ten units more on one of them.
    before = np.array(units(LAST + 1)[-28:], dtype=float)
    after = before.copy()
    after[LATE - LAST - 1] += 10
    for version, history, source in ((first, before, AS_OF_THEN), (second, after, AS_THEY_ARE)):
        assert version["went_in_source"] == source
        assert version["went_in"] == {
            "rows": 28,
            "first_day": day(LAST - 27).isoformat(),
            "last_day": day(LAST).isoformat(),
            "mean": pytest.approx(history.mean()),
            "sd": pytest.approx(history.std(ddof=1)),
            "zeros": int((history == 0).sum()),
            "missing": 0,
        }
        assert version["went_in_all_series"]["series"] == 9
        assert version["forecasts"][0]["mean"] == pytest.approx(history[-7:].mean())
    # What came out, what sold, and the error; days to come have neither.
    assert [each["target_date"] for each in second["forecasts"]] == [
        each.isoformat() for each in days_between(day(LAST + 1), day(LAST + 7))
    ]
    assert [each["sold"] for each in second["forecasts"]] == [1.0, 2.0, *[None] * 5]
    assert first["forecasts"][0]["error"] == pytest.approx(before[-7:].mean() - 1)
    assert first["forecasts"][1]["error"] is None
    assert second["forecasts"][0]["error"] is None
    # Who asked.
    assert [each["requested_by"] for each in found["versions"]] == ["user ann", "sensor arrivals"]
    assert second["correlation_id"] == EVENT and first["correlation_id"] == first["run_id"]
    assert found["runs"][0]["requested_by"] == "user bob" and found["runs"][0]["status"] == "FAILURE"
    assert found["runs"][0]["outcome"].startswith("failed: WindowIncomplete: forecasts looks back on")
    # What the later version changed, and why.
    (change,) = found["changes"]
    assert change["why"] == ["sales history"] and (change["from"], change["to"]) == (
        first["version_id"],
        second["version_id"],
    )
    assert [each["change"] for each in change["days"]] == [pytest.approx(10 / 7)] * 7
    was = units(LATE + 1)[-1]
    assert change["history"] == [{"day": day(LATE).isoformat(), "before": was, "after": was + 10}]
    # From the event to the forecast.
    assert {each["name"] for each in found["landed"]} >= {"history.csv", "late.csv"}
    assert found["publications"][-1]["correlation_id"] == EVENT
    assert found["publications"][-1]["requested_by"] == "sensor arrivals"
    assert found["champion"]["model"] == found["publications"][-1]["model"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found

    whole = audit(shop.scope, "plain", day(LAST), instance=shop.instance)
    published = [each for each in whole["versions"] if each["published"]]
    assert [each["version_id"] for each in published] == [found["publications"][-1]["version_id"]]
    assert all(each["q025"] <= each["q50"] <= each["q975"] for each in published[0]["forecasts"])
    text = audit_text(whole)
    for told in ("What went in", "What is published", "sensor arrivals", EVENT[:8], "its sales history changed on"):
        assert told in text

    for asked, line in (
        ({"sku": "plian"}, "'plian': .* has never sold it; near it are 'plain'"),
        ({"sku": "sku 1"}, r"SKU 'sku 1' is sold at 'north', 'south': say which with --location"),
        ({"sku": "plain", "location": "west"}, "has not sold SKU 'plain' there, but at 'north'"),
        ({"sku": "plain", "origin": day(3)}, f"no forecast of it from {day(3)}; there are from {day(LAST)}"),
        ({"sku": "plain", "model": "oracle"}, "--model oracle: no version of it from .*; there are ensemble, linear"),
    ):
        with pytest.raises(NothingToAudit, match=line):
            audit(shop.scope, **{"origin": day(LAST)} | asked)
