"""Terms: the item's own, under them its supplier's, its category's and the tenant's, each told whose it is."""

from __future__ import annotations

import json
from datetime import date
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from forecast_platform import simulate_cli, tables
from forecast_platform.inventory.settings import CategoryTerms, Inventory, Metric, Policy, TenantTerms
from forecast_platform.inventory.terms import COLUMNS, METRICS, POLICIES, Resolved, resolve

DAY = date(2026, 5, 10)


def rows(table: str, *given: dict) -> pd.DataFrame:
    columns = tables.metadata.tables[table].columns.keys()
    frame = pd.DataFrame([dict.fromkeys(columns) | each for each in given], columns=columns).astype(object)
    return frame.assign(valid_from=pd.to_datetime(frame["valid_from"]))


def item(sku: str = "a", location: str = "all", valid_from: str = "2026-05-01", **given: object) -> dict:
    return {"sku": sku, "location": location, "valid_from": valid_from} | given


def resolved(
    items: pd.DataFrame, suppliers: pd.DataFrame | None = None, *, sku: str = "a", inventory: Inventory | None = None
) -> tuple[Resolved, dict[str, str]]:
    settings = inventory or Inventory()
    found = resolve(
        np.array([sku], dtype=object),
        np.array(["north"], dtype=object),
        items,
        rows("suppliers") if suppliers is None else suppliers,
        tenant=settings.defaults.model_dump(),
        categories=settings.terms_of_categories(),
        day=DAY,
    )
    found.terms.check()
    return found, json.loads(found.defaults[0])


def test_an_unknown_item_is_bought_by_the_tenants_terms_and_says_so():
    found, whose = resolved(rows("items"), sku="nobody told of it")
    assert found.terms.lead_time[0] == 7 and found.terms.service[0] == 0.95 and found.terms.stocked[0]
    assert np.isnan(found.terms.unit_cost[0])
    assert set(whose.values()) == {"tenant"}
    # What nobody knows is nobody's.
    assert set(COLUMNS.values()) - set(whose) == {
        *("unit_cost", "order_cost", "underage_cost", "least_cover_days", "most_cover_days"),
    }


def test_a_location_goes_before_everywhere_field_by_field_and_a_deliberate_0_is_a_0():
    items = rows(
        "items",
        item(lead_time_days=9.0, moq=24, supplier="s", review_period_days=7.0, lead_time_std_days=3.0),
        item(location="north", lead_time_days=0.0, moq=0),
        item(location="south", lead_time_days=99.0),
    )
    found, whose = resolved(items, rows("suppliers", {"supplier": "s", "valid_from": "2026-01-01", "moq": 96}))
    assert (found.terms.lead_time[0], found.terms.moq[0], found.terms.review[0]) == (0.0, 0.0, 7.0)
    assert not {"lead_time_days", "moq", "review_period_days"} & set(whose)
    assert found.supplier[0] == "s"


def test_what_the_item_does_not_say_its_supplier_says_then_its_category_then_the_tenant():
    items = rows("items", item(supplier="s", category="toys"))
    suppliers = rows("suppliers", {"supplier": "s", "valid_from": "2026-01-01", "lead_time_days": 12.0, "moq": 6})
    toys = CategoryTerms(lead_time_days=30, service_level=0.8, policy="newsvendor")
    inventory = Inventory(categories={"toys": toys}, defaults=TenantTerms(holding_rate=0.1))
    found, whose = resolved(items, suppliers, inventory=inventory)
    assert (found.terms.lead_time[0], found.terms.moq[0]) == (12.0, 6.0)
    assert (found.terms.service[0], found.terms.policy[0], found.terms.holding_rate[0]) == (0.8, "newsvendor", 0.1)
    assert (whose["lead_time_days"], whose["moq"]) == ("supplier", "supplier")
    assert (whose["service_level"], whose["policy"], whose["holding_rate"]) == ("category", "category", "tenant")


def test_stages_add_up_with_their_variances_and_go_before_the_lead_time_told_as_one():
    stages = {"order_days": 4.0, "order_std_days": 2.0, "transit_days": 19.0, "transit_std_days": 4.0}
    stages |= {"customs_days": 5.0, "customs_std_days": 4.0, "lead_time_days": 3.0, "lead_time_std_days": 0.5}
    supplier = {"supplier": "s", "valid_from": "2026-01-01"} | stages
    found, _ = resolved(rows("items", item(supplier="s")), rows("suppliers", supplier))
    assert (found.terms.lead_time[0], found.terms.lead_time_deviation[0]) == (28.0, 6.0)


def test_a_deviation_is_told_with_its_lead_time_and_not_taken_from_anothers():
    supplier = {"supplier": "s", "valid_from": "2026-01-01", "lead_time_days": 28.0, "lead_time_std_days": 6.0}
    own, _ = resolved(rows("items", item(supplier="s", lead_time_days=5.0)), rows("suppliers", supplier))
    assert (own.terms.lead_time[0], own.terms.lead_time_deviation[0]) == (5.0, 0.0)
    wider, _ = resolved(rows("items", item(supplier="s", lead_time_std_days=9.0)), rows("suppliers", supplier))
    assert (wider.terms.lead_time[0], wider.terms.lead_time_deviation[0]) == (28.0, 9.0)


def test_the_newest_row_of_the_day_counts_and_none_of_a_later_one():
    items = rows(
        "items",
        item(moq=1, valid_from="2026-04-01"),
        item(moq=2, valid_from="2026-05-10"),
        item(moq=3, valid_from="2026-05-11"),
    )
    assert resolved(items)[0].terms.moq[0] == 2.0
    # A newer row replaces the older one whole: what it leaves out is not told any more.
    assert resolved(rows("items", item(moq=5, valid_from="2026-04-01"), item()))[0].terms.moq[0] == 0.0


def test_what_is_not_active_any_more_is_not_stocked():
    assert not resolved(rows("items", item(active=False, stocked=True)))[0].terms.stocked[0]
    assert not resolved(rows("items", item(active=True, stocked=False)))[0].terms.stocked[0]
    assert resolved(rows("items", item(active=True)))[0].terms.stocked[0]


@pytest.mark.parametrize("level", [0, 1, 1.5, -0.1])
def test_a_service_level_that_no_stock_reaches_is_refused(level: float):
    with pytest.raises(ValidationError, match="at 1 no stock is enough"):
        Inventory.model_validate({"defaults": {"service_level": level}})
    with pytest.raises(ValidationError, match="at 1 no stock is enough"):
        Inventory.model_validate({"categories": {"toys": {"service_level": level}}})


def test_settings_and_the_command_line_know_the_policies_and_metrics_there_are():
    assert get_args(Policy) == POLICIES == simulate_cli.POLICIES
    assert get_args(Metric) == METRICS
