"""``POST /inventory/calculate``: equal to the plan for equal inputs, whatever they are, and nothing is written."""

from __future__ import annotations

from datetime import date, timedelta
from types import MappingProxyType

import numpy as np
import orjson
import pytest
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast_platform import tables
from forecast_platform.api.reading.what_if import Basis, Changes, reckoned
from forecast_platform.assets.inventory_plan import plan_rows
from forecast_platform.assets.plan_reading import Planned
from forecast_platform.assets.scope import TenantScope
from forecast_platform.assets.served_plan import PlanInputs, made_from
from forecast_platform.inventory.settings import CategoryTerms
from forecast_platform.inventory.stock import Stock
from forecast_platform.inventory.stored_pools import restored
from forecast_platform.inventory.terms import COLUMNS, Resolved, Terms
from forecast_platform.io_managers.columns import to_arrow
from forecast_platform.settings import load
from forecast_platform.tenant import Tenant
from forecast_platform_tests.api.conftest import Served
from forecast_platform_tests.api.paging import without_cursor
from forecast_platform_tests.inventory import shops

CALCULATE, PLAN = "/api/v1/inventory/calculate", "/api/v1/inventory"
TERMS = tuple(CategoryTerms.model_fields)
TOLD_APART = ("stock_known", "defaults")


def test_with_nothing_given_each_row_is_the_plans(client: TestClient):
    rows = without_cursor(client, PLAN)
    assert len(rows) == 10
    for row in rows:
        answer = client.post(CALCULATE, json={"sku": row["sku"], "location": row["location"]}).json()
        assert answer["what_if"] == answer["plan"] == {name: row[name] for name in answer["plan"]}


def test_with_the_plans_own_inputs_given_each_row_is_the_plans(client: TestClient):
    for row in without_cursor(client, PLAN):
        coming = [{"expected_on": "2026-02-09", "quantity": 3}] if row["on_order"] else []
        own = {name: row[name] for name in ("sku", "location", "on_hand", *TERMS)}
        answer = client.post(CALCULATE, json=own | {"deliveries": coming, "demand_factor": 1}).json()
        known = answer["plan"].keys() - set(TOLD_APART)
        assert {name: answer["what_if"][name] for name in known} == {name: row[name] for name in known}
        assert answer["what_if"]["stock_known"] == ("given" if row["on_hand"] is not None else "unknown")
        assert {name for name, whose in answer["what_if"]["defaults"].items() if whose == "given"} == {
            name for name in TERMS if row[name] is not None
        }


def test_what_is_given_moves_the_plan(client: TestClient):
    def asked(**changed) -> dict:
        return client.post(CALCULATE, json={"sku": "sku 1", "location": "north", **changed}).json()["what_if"]

    assert asked(on_hand=0)["status"] == "out of stock" and asked(on_hand=0)["stockout_probability"] == 1
    assert asked(on_hand=100)["order_quantity"] == 0
    assert asked(lead_time_days=20)["reorder_point"] > asked(lead_time_days=2)["reorder_point"]
    assert asked(service_level=0.99)["safety_stock"] > asked(service_level=0.6)["safety_stock"]
    assert asked(moq=77, policy="order_up_to")["order_quantity"] == 77
    assert asked(demand_factor=0)["order_up_to"] == 0
    assert asked(on_order=500)["order_quantity"] == 0 and asked(on_order=500)["on_order"] == 500
    assert asked(deliveries=[{"expected_on": "2026-02-08", "quantity": 50}])["stockout_on"] is None
    assert asked(stocked=False)["action"] == "none"


def test_nothing_is_written(client: TestClient, served: Served):
    def content() -> list:
        with served.warehouse.reading() as session:
            return [session.execute(f"select count(*) from {name}") for name in ("inventory_plan", "plan_inputs")] + [
                session.execute("select asset, day, digest from partition_log order by 1, 2")
            ]

    before = content()
    assert client.post(CALCULATE, json={"sku": "sku 1", "location": "north", "on_hand": 1}).status_code == 200
    assert content() == before


@pytest.mark.parametrize(
    "wrong",
    [
        {"service_level": 1},
        {"service_level": 0},
        {"lead_time_days": -1},
        {"lead_time_days": 4000},
        {"lead_time_std_days": 1e-9},
        {"order_multiple": 1e-9},
        {"holding_rate": 1e-300},
        {"on_hand": 1e13},
        {"unit_cost": 1e13},
        {"on_hand": "many"},
        {"policy": "hope"},
        {"margin": 1},
        {"on_order": 1, "deliveries": []},
        {"deliveries": [{"expected_on": "soon", "quantity": 1}]},
        {"deliveries": [{"expected_on": "2026-02-08", "quantity": -1}]},
        {"sku": ""},
        {"location": "a\0"},
    ],
)
def test_what_cannot_be_reckoned_with_is_refused(client: TestClient, wrong: dict):
    answer = client.post(CALCULATE, json={"sku": "sku 1", "location": "north"} | wrong)
    assert answer.status_code == 422 and answer.json()["errors"]


@pytest.mark.parametrize("body", [b'{"sku":"sku 1","location":"north","unit_cost":NaN}', b'{"sku":', b"[]"])
def test_what_is_no_number_or_no_json_is_refused(client: TestClient, body: bytes):
    answer = client.post(CALCULATE, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422


def test_a_series_without_a_row_is_not_found(client: TestClient):
    answer = client.post(CALCULATE, json={"sku": "sku 1", "location": "nowhere"})
    assert answer.status_code == 404 and answer.json()["type"].endswith("unknown-sku")


SHOP = shops.Shop(series=6, days=1, seed=11)
LEDGER = shops.Shop(series=90, days=0, seed=3)
DAY = date(2026, 3, 1)
N = SHOP.series
SOURCE = {"kind": "events"}
TENANT = Tenant.model_validate({"start": "2026-01-01", "source": SOURCE})
SCOPE = TenantScope("shop", TENANT, load({"FORECAST_HOME": "/nowhere"}))


def planned(changes: Changes, pools) -> Planned:
    """A day's plan of all series, under changes of all: what one row is compared with."""
    told = TENANT.inventory.defaults.model_dump() | dict(changes.terms)
    values = {}
    for name, column in COLUMNS.items():
        kind = object if name in ("policy", "metric") else bool if name == "stocked" else float
        values[name] = np.full(N, np.nan if told[column] is None else told[column], dtype=kind)
    on_hand = np.full(N, 7.0 if changes.on_hand is None else changes.on_hand)
    due = np.zeros((N, shops.HORIZON))
    due[::2, 2] = 5.0
    stock = Stock(on_hand=on_hand, deliveries=due, later=np.zeros(N), days_unsold=np.zeros(N))
    names = np.array([f"sku {n:02}" for n in range(N)], dtype=object)
    texts = np.full(N, "", dtype=object)
    return Planned(
        **{"day": DAY, "origin": DAY, "sku": names, "location": np.full(N, "all", dtype=object)},
        ahead=SHOP.ahead(shops.HISTORY),
        pools=pools,
        stock=stock,
        stock_known=np.full(N, "counted", dtype=object),
        counted_on=np.full(N, DAY, dtype="datetime64[D]"),
        resolved=Resolved(Terms(**values), texts, texts, np.full(N, "{}", dtype=object)),
        deviation=np.full(N, np.nan),
    )


def rows_of(plan: Planned) -> list[dict]:
    return to_arrow(plan_rows(plan, SCOPE), tables.inventory_plan).to_pylist()


def bases(plan: Planned) -> list[Basis]:
    """What the API knows of each row of a plan: as it is kept in tables."""
    kept: PlanInputs = made_from(plan, "digest")
    paths = {(row["model"], row["demand_class"]): row["paths"] for row in kept.paths.to_dict("records")}
    inputs = to_arrow(kept.series, tables.plan_inputs).to_pylist()
    found = []
    for each, row in zip(inputs, rows_of(plan), strict=True):
        cell = each["model"], each["demand_class"]
        found.append(Basis(each, row, restored(paths[cell], *cell) if cell in paths else {}))
    return found


POOLS = MappingProxyType({"measured": LEDGER.pools(shops.HISTORY), "young": {}})
DAYS = st.sampled_from([0, 0.5, 1, 3, 7, 13.5, 40])


@pytest.mark.parametrize("ledger", POOLS)
@settings(max_examples=4, deadline=None)
@given(
    terms=st.fixed_dictionaries(
        {},
        optional={
            "lead_time_days": DAYS,
            "lead_time_std_days": st.sampled_from([0, 0.5, 3]),
            "review_period_days": st.sampled_from([0, 1, 7, 30]),
            "policy": st.sampled_from(["order_up_to", "fixed_quantity", "newsvendor"]),
            "service_metric": st.sampled_from(["cycle", "fill"]),
            "service_level": st.floats(0.05, 0.995),
            "moq": st.sampled_from([0, 12, 500]),
            "order_multiple": st.sampled_from([0, 6, 0.5]),
            "unit_cost": st.sampled_from([0, 2.5]),
            "order_cost": st.sampled_from([0, 30]),
            "underage_cost": st.sampled_from([0, 1.5]),
            "least_cover_days": DAYS,
            "most_cover_days": DAYS,
            "stocked": st.booleans(),
        },
    ),
    on_hand=st.none() | st.sampled_from([-3, 0, 12.5, 4000]),
)
def test_a_row_on_other_terms_is_what_the_plan_says_on_them(ledger: str, terms: dict, on_hand: float | None):
    changes = Changes(on_hand=on_hand, terms=terms)
    known = bases(planned(Changes(), POOLS[ledger]))
    expected = rows_of(planned(changes, POOLS[ledger]))
    assert {row["method"] for row in expected} == {"paths" if ledger == "measured" else "normal"}
    for basis, row in zip(known, expected, strict=True):
        assert reckoned(basis, Changes(), SCOPE) == basis.row
        found = reckoned(basis, changes, SCOPE)
        assert {name: found[name] for name in found.keys() - set(TOLD_APART)} == {
            name: row[name] for name in row.keys() - set(TOLD_APART)
        }
        assert orjson.loads(found["defaults"]) == dict.fromkeys(terms, "given")


def test_deliveries_are_of_their_days():
    basis = bases(planned(Changes(), {}))[0]
    soon, late, overdue = (DAY + timedelta(days=days) for days in (1, 400, -5))
    assert basis.row["on_order"] == 5
    for day in (soon, late, overdue):
        assert reckoned(basis, Changes(deliveries=[(day, 90.0)]), SCOPE)["on_order"] == 90
    risk = {
        day: reckoned(basis, Changes(on_hand=0.0, deliveries=[(day, 9_000.0)]), SCOPE)["days_of_inventory"]
        for day in (soon, late)
    }
    assert risk == {soon: 0.0, late: 0.0}
    wanted = [reckoned(basis, Changes(on_hand=1.0, deliveries=[(day, 9_000.0)]), SCOPE) for day in (soon, late)]
    assert [row["stockout_on"] for row in wanted] == [None, soon]
