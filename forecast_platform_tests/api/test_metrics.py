"""``/metrics``: what waits, how fresh and how good the tenants are, asked for no more often than it must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from forecast_platform.api import platform_figures
from forecast_platform.changes import ANYHOW, ChangedDays
from forecast_platform.jobs.record import Asked, Jobs
from forecast_platform.jobs.webhooks import Webhooks, queue
from forecast_platform.state import State, alert_messages, incidents
from forecast_platform_tests.api.conftest import LAST_ORIGIN, Served

NOW = datetime(2026, 2, 8, 12, tzinfo=UTC)


def figures(client: TestClient) -> dict[tuple[str, ...], float]:
    """Value by name and labels, in the order of their names."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    families = list(text_string_to_metric_families(answer.text))
    assert len({family.name for family in families}) == len(families)
    samples = [sample for family in families for sample in family.samples]
    return {(each.name, *(value for _, value in sorted(each.labels.items()))): each.value for each in samples}


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(f"sqlite:///{tmp_path / 'state.db'}")


def test_it_tells_what_waits(shop: Served, open_app: Callable, state: State, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(platform_figures, "KEPT_SECONDS", 0.0)
    tenant, client = shop.tenant, open_app(shop.settings, state=state._url.render_as_string())[1]()
    before = figures(client)
    waiting = ("forecast_changed_days_waiting", "forecast_alert_messages_unsent", "forecast_webhook_messages_unsent")
    assert all(before[name, tenant] == 0 for name in waiting)
    assert {each[1] for each in before if each[0] == "forecast_jobs"} >= {"queued", "failed", "completed"}
    asked = Asked("forecast", LAST_ORIGIN, LAST_ORIGIN, "somebody")
    for _ in range(2):
        Jobs(state).add(tenant, asked, {0: [("sku 1", "north")]}, now=NOW)
    ChangedDays(state, tenant).note("raw_sales", {LAST_ORIGIN: ANYHOW}, reason="test", now=NOW)
    ChangedDays(state, "another").note("raw_sales", {LAST_ORIGIN: ANYHOW}, reason="test", now=NOW)
    Webhooks(state).add(tenant, "https://127.0.0.1:9/", ["publication.created"], by="test", now=NOW)
    with state.transaction() as connection:
        queue(connection, tenant, "publication", {}, event_id=1, now=NOW + timedelta(days=36_500))
        row = {"tenant": tenant, "kind": "stale", "subject": "x", "title": "x", "what": "x", "affects": "x"}
        row |= {"details": "{}", "since": NOW, "opened_at": NOW, "last_seen_at": NOW, "told": True}
        number = connection.execute(sa.insert(incidents).values(**row, good_evaluations=0)).inserted_primary_key[0]
        told = {"tenant": tenant, "incident": number, "event": "opened", "channel": "mail", "message": "{}"}
        told |= {"queued_at": NOW, "next_try_at": NOW, "attempts": 0}
        connection.execute(sa.insert(alert_messages).values(told))
    after = figures(client)
    assert all(after[name, tenant] == 1 for name in waiting)
    assert after["forecast_jobs", "queued", tenant] == 2 and ("forecast_changed_days_waiting", "another") not in after


def test_it_tells_how_fresh_and_how_good_a_tenant_is(served: Served, open_app: Callable):
    client, tenant = open_app(served.settings)[1](), served.tenant
    told = figures(client)
    assert told["forecast_tenant_readable", tenant] == 1
    published = served.warehouse.read("select max(published_at) as at from publications")["at"].iloc[0]
    age = (datetime.now(UTC) - published.to_pydatetime()).total_seconds()
    assert told["forecast_publication_age_seconds", tenant] == pytest.approx(age, abs=60)
    assert told["forecast_facts_age_days", tenant] == (served.shop.scope.today() - LAST_ORIGIN).days
    accuracy = served.warehouse.read(
        "select wape from published_accuracy where model = 'published' and horizon_bucket = 'all'"
    )
    assert told["forecast_published_wape", tenant] == pytest.approx(accuracy["wape"].iloc[0])


def test_a_tenant_that_cannot_be_read_says_so_and_hides_no_other_figure(
    shop: Served, open_app: Callable, tmp_path: Path
):
    nowhere = replace(shop.settings, warehouse=f"duckdb:///{tmp_path / 'none'}")
    told = figures(open_app(nowhere)[1]())
    assert told["forecast_tenant_readable", shop.tenant] == 0
    assert ("forecast_published_wape", shop.tenant) not in told and ("forecast_jobs", "queued", shop.tenant) in told


def test_it_looks_once_however_often_it_is_read(shop: Served, open_app: Callable, monkeypatch: pytest.MonkeyPatch):
    app, client_of = open_app(shop.settings)
    client, asked = client_of(), []
    session = app.state.platform.readings.of(shop.tenant).session
    monkeypatch.setattr(app.state.platform.readings.of(shop.tenant), "session", lambda: asked.append(1) or session())
    first = figures(client)
    name = ("forecast_publication_age_seconds", shop.tenant)
    assert [figures(client)[name] for _ in range(5)] == [first[name]] * 5 and len(asked) == 1
