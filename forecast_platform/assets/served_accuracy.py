"""``accuracy_sums``: the errors of each day over all series, so that whoever asks how good the models are does not wait
for the sums of every series: of a retailer's 90 days 24 rows a day instead of a million.

What an error is and how it adds up is decided in dbt's ``error_sums`` and ``published_sums``."""

from __future__ import annotations

from forecast_platform.assets.report_reading import EXACT
from forecast_platform.io_managers.statements import days_listed
from forecast_platform.io_managers.warehouse import Session
from forecast_platform.reporting.figures import PUBLISHED

AT_ONCE = 28
"""Days that one statement adds up."""

SUMMED = ("sum_error", "sum_abs_error", "sum_sq_error", "sum_actual")


def _exact(name: str) -> str:
    """A sum that cannot overflow, whatever one absurd forecast comes to."""
    return EXACT.format(f"least(greatest(s.{name}, -1e22), 1e22)")


# What the days were scored from, and what the sums on record were made from.
SCORED = """
    select e.day, e.digest || ' ' || coalesce(p.digest, '') as made_from, e.rows
    from partition_log as e
    left join partition_log as p on p.asset = 'published_sums' and p.day = e.day
    where e.asset = 'error_sums'
"""
HELD = "select distinct target_date, made_from from accuracy_sums"
FORGET = "delete from accuracy_sums where target_date in ({days})"
ADD = f"""
    insert into accuracy_sums (
      target_date, model, horizon_bucket, n, {", ".join(SUMMED)}, n_positive, sum_ape_positive, n_out_of_stock,
      made_from
    )
    select s.target_date, {{model}}, s.horizon_bucket, sum(s.n),
      {", ".join(map(_exact, SUMMED))}, sum(s.n_positive), {_exact("sum_ape_positive")}, sum(s.n_out_of_stock),
      l.made_from
    from {{table}} as s join ({SCORED}) as l on l.day = s.target_date
    where s.target_date in ({{days}})
    group by 1, 2, 3, l.made_from
"""


def refresh_sums(session: Session) -> int:
    """Bring ``accuracy_sums`` up to what is scored; how many days had changed. Part of the caller's transaction."""
    there = session.relations()
    if "error_sums" not in there:
        return 0  # nothing was ever scored, and dbt has not made the table
    held = dict(session.execute(HELD))
    scored = session.execute(SCORED)
    stale = sorted(day for day, made_from, rows in scored if held.get(day) != made_from and (rows or day in held))
    for begin in range(0, len(stale), AT_ONCE):
        days = days_listed(stale[begin : begin + AT_ONCE])
        session.execute(FORGET.format(days=days))
        session.execute(ADD.format(table="error_sums", model="s.model", days=days))
        if "published_sums" in there:
            session.execute(ADD.format(table="published_sums", model=f"'{PUBLISHED}'", days=days))
    return len(stale)
