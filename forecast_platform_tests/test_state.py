"""The platform's state: what several processes write at once is written as if one after the other."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from forecast_platform.state import State, changed_days

ROW = {
    **{"tenant": "shop", "asset": "raw_sales", "day": date(2026, 1, 1), "noted_at": datetime(2026, 1, 2, tzinfo=UTC)},
    **{"reason": "test", "before": "", "moved": "[]"},
}


def test_counts_of_several_threads_add_up(state_url: str):
    """Each has an engine of its own and opens it at once, as several processes on a fresh platform would."""

    def count() -> None:
        state = State(state_url)
        for _ in range(5):
            with state.transaction() as connection:
                held = connection.execute(sa.select(changed_days.c.generation)).scalar()
                if held is None:
                    connection.execute(sa.insert(changed_days).values(ROW | {"generation": 1}))
                else:
                    connection.execute(sa.update(changed_days).values(generation=held + 1))

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with State(state_url).transaction() as connection:
        assert connection.execute(sa.select(changed_days.c.generation)).scalar() == 20


def test_only_its_owner_reads_a_file_of_credentials(tmp_path: Path):
    files = tmp_path / "new.db", tmp_path / "shared.db"
    files[1].touch()
    files[1].chmod(0o660)
    for file in files:
        with State(f"sqlite:///{file}").transaction():
            pass
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o660]


def test_what_a_failed_transaction_wrote_is_gone(state_url: str):
    state = State(state_url)
    with pytest.raises(ZeroDivisionError), state.transaction() as connection:
        connection.execute(sa.insert(changed_days).values(ROW | {"generation": 1}))
        raise ZeroDivisionError
    with state.transaction() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(changed_days)).scalar() == 0


def test_times_come_back_in_utc_whatever_zone_they_were_written_and_are_compared_in(state_url: str):
    moment = datetime(2026, 1, 2, 0, 30, tzinfo=timezone(timedelta(hours=2)))
    with State(state_url).transaction() as connection:
        connection.execute(sa.insert(changed_days).values(ROW | {"generation": 1, "noted_at": moment}))
    later = sa.select(changed_days.c.noted_at).where(changed_days.c.noted_at >= moment)
    with State(state_url).transaction() as connection:
        (held,) = connection.scalars(later).all()
        assert not connection.scalars(later.where(changed_days.c.noted_at > moment)).all()
    assert (held, held.tzinfo) == (moment, UTC)
