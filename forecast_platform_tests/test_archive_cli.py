"""``forecast-platform archive``: what may move, what it says, and that the same command goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import Result

from forecast_platform.archive import newest_limit
from forecast_platform.assets.scope import TenantScope
from forecast_platform.days import next_month
from forecast_platform.pipeline import load_tenant
from forecast_platform.settings import load
from forecast_platform_tests.io_managers.test_ledger import A, append, candidate, know_series
from forecast_platform_tests.test_cli import command  # noqa: F401

OLD = [date(2026, 1, 30), date(2026, 2, 1)]


@pytest.fixture
def scope(command: Callable[..., Result]) -> TenantScope:  # noqa: F811
    """The tenant of ``command``, with forecasts of two old origins and of yesterday on record."""
    found = load_tenant("corner", load())
    know_series(found.warehouse)
    for origin in (*OLD, found.today() - timedelta(days=1)):
        append(found.warehouse, replace(candidate(A, str(origin)), origin_date=origin))
    return found


def rows(scope: TenantScope) -> list[tuple]:
    with scope.warehouse.reading() as session:
        return sorted(session.execute("select * from forecasts"))


def test_old_months_move_and_come_back(command: Callable[..., Result], scope: TenantScope):  # noqa: F811
    before = rows(scope)
    asked = ("archive", "--tenant", "corner")
    assert command(*asked).output == "corner: nothing is archived\n"
    limit = f"{min(newest_limit(scope), date(2026, 3, 1)):%Y-%m}"
    told = command(*asked, "--before", limit, "--dry-run").output
    assert told == "forecasts 2026-01: 12 rows would move\nforecasts 2026-02: 12 rows would move\n"
    moved = command(*asked, "--before", limit).output.splitlines()
    assert moved[0] == "forecasts 2026-01-30: 12 rows"
    assert moved[-1] == "corner: 2 months moved, 24 rows"
    assert command(*asked, "--before", limit).output == "corner: 0 months moved, 0 rows\n"
    assert rows(scope) == before
    folder = Path(scope.settings.archive_url.removeprefix("file://")) / "corner" / "forecasts"
    listed = command(*asked).output.splitlines()
    assert [line.rpartition(" in ")[2] for line in listed] == [str(path) for path in sorted(folder.iterdir())]
    assert command(*asked, "--restore", "2026-01").output.endswith("12 rows of 2026-01 are in the warehouse again\n")
    assert rows(scope) == before
    result = command(*asked, "--restore", "2026-01")
    assert (result.exit_code, result.output) == (
        2, "Error: corner: 2026-01 is not in the archive; archived months are 2026-02\n"
    )  # fmt: skip


def test_months_that_are_still_read_stay(command: Callable[..., Result], scope: TenantScope):  # noqa: F811
    limit = newest_limit(scope)
    result = command("archive", "--tenant", "corner", "--before", f"{next_month(limit):%Y-%m}")
    assert result.exit_code == 2
    oldest = scope.today() - timedelta(days=90 + 28 + 14)
    assert f"origins from {oldest} on are still read, 132 days back for the daily report's longest window (90)" in (
        result.output
    )
    assert f"Ask for --before {limit:%Y-%m} or earlier" in result.output
    longer = scope.tenant.model_copy(update={"champion_window": 365})
    assert newest_limit(TenantScope("corner", longer, scope.settings)) < limit - timedelta(days=200)


def test_one_thing_is_asked_at_a_time(command: Callable[..., Result]):  # noqa: F811
    result = command("archive", "--tenant", "corner", "--before", "2026-01", "--restore", "2026-01")
    assert (result.exit_code, "give one of them" in result.output) == (2, True)
