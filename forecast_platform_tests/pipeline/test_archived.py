"""A chain whose origins are archived: audited, verified and run again as if they were not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import pytest

from forecast_platform.assets.checks.ledger import verify_ledger
from forecast_platform.audit import audit
from forecast_platform.io_managers.archive import archive_month, restore_month
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.runs import RunFailed
from forecast_platform.tables import BY_MONTH
from forecast_platform_tests.pipeline.shop import Shop, day, sales_lines

ORIGIN = 34
MONTH = date(2026, 2, 1)
VIEWS = (
    *("forecasts_by_sku", "latest_forecasts", "forecast_intervals_by_sku", "published_forecasts"),
    *("forecast_explanations_by_sku", "published_accuracy", "interval_scores", "forecast_errors"),
)
APPENDED = ["forecasts", "forecast_intervals", "publications", "forecast_explanations"]
SCORED = ["forecast_errors", "error_sums", "interval_scores", "published_sums"]

pytestmark = pytest.mark.slow


def rows(session: Session, names: tuple[str, ...]) -> dict[str, list[str]]:
    return {name: sorted(map(str, session.execute(f"select * from {name}"))) for name in names}


def ledgers(shop: Shop) -> dict[str, list[str]]:
    with shop.scope.warehouse.reading() as session:
        session.recall([day(ORIGIN)])
        return rows(session, tuple(table.name for table in BY_MONTH))


def views(shop: Shop) -> dict[str, list[str]]:
    with shop.scope.warehouse.reading() as session:
        return rows(session, VIEWS)


@pytest.mark.parametrize("backend", ["duckdb", "postgresql"])
def test_an_archived_origin_is_what_it_was(shop: Shop, at: Callable, backend: str):
    shop.put("history.csv", sales_lines(day(0), day(ORIGIN + 2)))
    with at(day(ORIGIN + 3)):
        shop.run(list(shop.chain.facts), day(0), day(ORIGIN + 2))
        shop.run(["forecasts"], day(ORIGIN), day(ORIGIN))
        shop.run(SCORED[:2], day(ORIGIN), day(ORIGIN + 1))
        shop.run([*APPENDED[1:2], "champions", *APPENDED[2:]], day(ORIGIN), day(ORIGIN))
        shop.run(SCORED[2:], day(ORIGIN + 1), day(ORIGIN + 1))
        (sku, location), *_ = shop.scope.warehouse.read("select sku, location from series order by 1, 2").to_numpy()

        def told() -> dict:
            return audit(shop.scope, sku, day(ORIGIN), location=location)

        before, seen, was = ledgers(shop), views(shop), told()
        assert all(before.values()) and all(seen.values())
        for table in BY_MONTH:
            archive_month(shop.scope.warehouse, table, MONTH)
        assert (ledgers(shop), told()) == (before, was)
        assert verify_ledger(shop.scope) == []
        shop.run(APPENDED, day(ORIGIN), day(ORIGIN))
        assert ledgers(shop) == before
        if backend == "duckdb":
            assert views(shop) == seen
            shop.run(SCORED, day(ORIGIN + 1), day(ORIGIN + 1))
        else:
            assert views(shop)["forecasts_by_sku"] == []
            with pytest.raises(RunFailed, match="--restore 2026-02"):
                shop.run(SCORED, day(ORIGIN + 1), day(ORIGIN + 1))
            for table in BY_MONTH:
                restore_month(shop.scope.warehouse, table, MONTH)
            shop.run(SCORED, day(ORIGIN + 1), day(ORIGIN + 1))
        assert views(shop) == seen
