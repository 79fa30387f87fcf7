"""``accuracy_sums`` follows what is scored: what has changed is added up again, and nothing else."""

from __future__ import annotations

from datetime import date

from forecast_platform.assets.served_accuracy import refresh_sums
from forecast_platform.io_managers.warehouse import PartitionState, Session, Warehouse

FIRST, SECOND, EMPTY = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)
COLUMNS = """
    target_date date, series_id integer, {model} horizon_bucket text, n integer, sum_error double precision,
    sum_abs_error double precision, sum_sq_error double precision, sum_actual double precision, n_positive integer,
    sum_ape_positive double precision, n_out_of_stock integer
"""
SUMS = (
    "select model, horizon_bucket, n, sum_error, sum_sq_error, n_positive from accuracy_sums where target_date = :day"
)


def score(session: Session, table: str, day: date, digest: str, *rows: tuple) -> None:
    """Replace a day of the errors' sums: (series, model or nothing, error) each."""
    session.execute(f"delete from {table} where target_date = :day", {"day": day})
    for series, model, error in rows:
        named = f"'{model}', " if model else ""
        session.execute(
            f"insert into {table} values (:day, {series}, {named}'1', 2, {error}, {abs(error)}, {error * error}, 9, 1,"
            " 0.5, 0)",
            {"day": day},
        )
    session.log_days(table, {day: PartitionState(len(rows), digest, "run")})


def sums(session: Session, day: date) -> list[tuple]:
    return sorted(session.execute(SUMS, {"day": day}))


def test_days_that_changed_are_added_up_again(warehouse: Warehouse):
    with warehouse.transaction() as session:
        assert refresh_sums(session) == 0  # dbt has not made its tables yet
        session.execute(f"create table error_sums ({COLUMNS.format(model='model text,')})")
        score(session, "error_sums", FIRST, "a", (1, "naive", -1.5), (2, "naive", 0.5), (1, "linear", 2.0))
        score(session, "error_sums", SECOND, "b", (1, "naive", 4.0))
        score(session, "error_sums", EMPTY, "")
        assert (refresh_sums(session), refresh_sums(session)) == (2, 0)
        assert sums(session, FIRST) == [("linear", "1", 2, 2.0, 4.0, 1), ("naive", "1", 4, -1.0, 2.5, 2)]

        # What was published is scored later, and one absurd forecast is no reason to fail.
        session.execute(f"create table published_sums ({COLUMNS.format(model='')})")
        score(session, "published_sums", FIRST, "c", (1, "", 2.0))
        score(session, "error_sums", SECOND, "d", (1, "naive", 1e20))
        assert (refresh_sums(session), refresh_sums(session)) == (2, 0)
        assert ("published", "1", 2, 2.0, 4.0, 1) in sums(session, FIRST)
        assert sums(session, SECOND) == [("naive", "1", 2, 1e20, 1e22, 1)]

        score(session, "error_sums", SECOND, "")
        assert (refresh_sums(session), refresh_sums(session)) == (1, 0)
        assert sums(session, SECOND) == []
