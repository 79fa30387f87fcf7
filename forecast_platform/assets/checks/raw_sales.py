"""Checks of ``raw_sales`` and ``sales_rejects``: what arrived could be read. Both are made in one step."""

from __future__ import annotations

import json
from datetime import date, timedelta

from forecast_platform.assets.checks.schema import schema_check
from forecast_platform.assets.checks.suite import Check, Finding, Look, failed
from forecast_platform.tenant import Tenant


def checks(tenant: Tenant) -> list[Check]:
    most = tenant.monitoring.blocking_reject_share
    return [
        schema_check("raw_sales"),
        Check(
            "raw_sales",
            "arrivals_readable",
            "Every batch that landed on the days of the run, or the day after, could be read.",
            arrivals_readable,
            alert="quality",
        ),
        Check(
            "sales_rejects",
            "reject_share",
            f"At most {tenant.max_reject_share:.1%} bad rows on each day; over {most:.0%} nothing is made from them.",
            reject_share,
            blocking=True,
            alert="quality",
        ),
    ]


REJECT_SHARE = """
    with bad as (
      select sale_date as day, count(*) as n from sales_rejects
      where reason not like 'ignored%' and row_number > 0 and sale_date between :first and :last
      group by sale_date
    )
    select logged.day, bad.n, logged.rows
    from partition_log logged join bad on bad.day = logged.day
    where logged.asset = 'raw_sales' and bad.n > :share * (logged.rows + bad.n)
    order by logged.day
"""

REASONS = """
    select reason, count(*) as n from sales_rejects
    where reason not like 'ignored%' and row_number > 0 and sale_date = :day
    group by reason order by n desc, reason limit 1
"""


def reject_share(look: Look) -> Finding:
    """Bad rows beside good ones. A few are told; where most of a day cannot be read, its rest stands for nothing.

    A batch of which nothing could be read is no row: it is told of by ``arrivals_readable``.
    """
    over = look.rows(REJECT_SHARE, share=look.scope.tenant.max_reject_share)
    worst = [bad / (bad + rows) for _, bad, rows in over]
    problems = [f"{day}: {bad} bad rows beside {rows} good ones" for day, bad, rows in over]
    if problems:
        ((reason, n),) = look.session.execute(REASONS, {"day": over[worst.index(max(worst))][0]})
        problems.append(f"most often ({n}): {reason}")
    blocks = any(
        rows + bad >= MANY_ROWS and share > look.scope.tenant.monitoring.blocking_reject_share
        for share, (_, bad, rows) in zip(worst, over, strict=True)
    )
    return failed(problems, warn=not blocks, told_of=[day for day, *_ in over])


MANY_ROWS = 20
"""A day of fewer rows is not stopped: on a day without sales the rejects of unknown day are all there is."""

REFUSED = "select asset, name, refused, days from landed_batches where refused is not null order by ordinal desc"


def arrivals_readable(look: Look) -> Finding:
    """Batches of which nothing could be read. Their day is that of their arrival: for a day that closes, the next."""
    until, problems, told_of = look.last + timedelta(days=1), [], set()
    for asset, name, reason, text in look.session.execute(REFUSED):
        days = [day for day in map(date.fromisoformat, json.loads(text)) if look.first <= day <= until]
        told_of.update(days)
        problems += [f"{asset}: {name}: {reason}"] if days else []
    more = [f"and {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []
    return failed([*problems[:SHOWN], *more], warn=True, told_of=told_of)


SHOWN = 5
"""Batches that a message names."""
