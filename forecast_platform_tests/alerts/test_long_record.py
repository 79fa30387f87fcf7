"""What a look of the alerts costs is a matter of what is new and of what is wrong, not of what is on record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import dagster as dg
import sqlalchemy as sa

from forecast_platform.alerts import evaluations
from forecast_platform_tests.alerts.servers import Webhook
from forecast_platform_tests.alerts.test_sensor import WatchedTill, till  # noqa: F401


@contextmanager
def counted() -> Iterator[Counter]:
    """Statements of all databases, and the steps of SQLite's machine in hundreds: rows it goes through, not time."""
    seen: Counter = Counter()

    def connected(connection, _record) -> None:
        connection.set_progress_handler(lambda: seen.update(steps=1), 100)

    def stated(*_arguments) -> None:
        seen["statements"] += 1

    engines = ((sa.Engine, "connect", connected), (sa.Engine, "before_cursor_execute", stated))
    for listener in engines:
        sa.event.listen(*listener)
    try:
        yield seen
    finally:
        for listener in engines:
            sa.event.remove(*listener)


def lengthen(instance: dg.DagsterInstance, times: int) -> None:
    """Put successes, the days they made and evaluations of checks on record, as if they had been there before."""

    def repeat(connection: sa.Connection, table: str, where: str, **changed: str) -> None:
        names = [row.name for row in connection.execute(sa.text(f"select name from pragma_table_info('{table}')"))]
        chosen = ", ".join({"id": f"-(id + {10**6} * n)", **changed}.get(name, f'"{name}"') for name in names)
        quoted = ", ".join(f'"{name}"' for name in names)
        numbers = f"with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < {times})"
        select = f"{numbers} select {chosen} from {table}, numbers where {where}"
        connection.execute(sa.text(f"insert into {table} ({quoted}) {select}"))

    again = {"run_id": "run_id || '-' || n"}
    with instance.run_storage.connect() as connection:
        repeat(connection, "runs", "status = 'SUCCESS'", **again)
    with instance.event_log_storage.index_connection() as connection:
        earlier = {"partition": "date(\"partition\", -10 * n || ' days')"}
        repeat(connection, "event_logs", "asset_key is not null", **again, **earlier)
        repeat(connection, "asset_check_executions", "execution_status <> 'PLANNED'", **again)


@dg.asset(key=["till", "latest"])
def latest() -> None:
    raise RuntimeError("the ERP is away")


def abandon(shop: WatchedTill) -> None:
    """Runs that fail and that nobody asks for again: a job, and assets without days."""

    @dg.op
    def fails() -> None:
        raise RuntimeError("the ERP is away")

    @dg.job(name="till__once")
    def once() -> None:
        fails()

    asset = shop.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection={latest.key})
    with shop.clock():
        for job in (once, asset):
            job.execute_in_process(instance=shop.instance, raise_on_error=False)


def test_a_tick_does_the_same_work_however_much_is_on_record(till, webhook: Webhook, monkeypatch):  # noqa: F811
    monkeypatch.setattr(evaluations, "OVERLAP", 10)
    shop = till(extra=[latest])
    abandon(shop)
    for last in range(3):
        shop.sell(0, last)
    with shop.source_away():
        shop.sell(0, 3)  # its checks stay planned
    for _ in range(3):
        shop.tick(minutes=60)
    titles = [
        f"Run failed: {what}" for what in ("latest, raw_sales, sales_rejects", "raw_sales, sales_rejects", "till__once")
    ]
    assert sorted(webhook.titles) == [f"🔴 [till] {title}" for title in titles]

    def work_of_a_tick() -> Counter:
        with counted() as seen:
            shop.tick(minutes=1)
        return seen

    before = work_of_a_tick()
    lengthen(shop.instance, 500)
    assert len(shop.instance.get_runs(dg.RunsFilter(updated_after=shop.now - timedelta(days=1)))) > 1500
    after = work_of_a_tick()
    assert after["statements"] == before["statements"]
    assert after["steps"] <= 1.5 * before["steps"]
    assert len(webhook.posted) == 3
