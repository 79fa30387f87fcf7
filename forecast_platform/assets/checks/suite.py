"""How a function that looks at the warehouse becomes an asset check: its days, its connection, its result.

Nothing here knows what is checked.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import dagster as dg

from forecast_platform.assets.scope import ALERT, TOLD_OF, TenantScope, days_of_run
from forecast_platform.days import days_between
from forecast_platform.io_managers.retries import retrying
from forecast_platform.io_managers.warehouse import Session

CHECKED_DAYS = 28
"""How many of the newest materialized days a check looks at where its run is of no days."""

EXAMPLES = 3
"""Keys named as examples in a message."""


@dataclass(frozen=True)
class Look:
    """What a check is given: a session of the group's one connection, and the days to look at, both included."""

    scope: TenantScope
    session: Session
    first: date
    last: date

    def rows(self, query: str, **parameters: Any) -> list[tuple[Any, ...]]:
        """The rows of a query of ``:first`` and ``:last`` and what else is given."""
        return self.session.execute(query, {"first": self.first, "last": self.last} | parameters)


@dataclass(frozen=True)
class Finding:
    """What a check found: passed with or without a remark, or not, with what, which day, how many and examples.

    ``told_of``: the days that are wrong and stay so, however often they are looked at: people are told of each once.
    """

    passed: bool = True
    description: str | None = None
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    figures: Mapping[str, Any] = field(default_factory=dict)
    told_of: Collection[date] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """What Dagster keeps beside the outcome."""
        days = {TOLD_OF: dg.MetadataValue.json(sorted(day.isoformat() for day in self.told_of))}
        return {**self.figures, **(days if self.told_of else {})}


def failed(problems: Sequence[str], *, warn: bool = False, told_of: Collection[date] = (), **figures: Any) -> Finding:
    """A finding that fails with ``problems``, one a line of the message; passes where there is none."""
    severity = dg.AssetCheckSeverity.WARN if warn else dg.AssetCheckSeverity.ERROR
    return Finding(not problems, "; ".join(problems) or None, severity, figures, told_of)


@dataclass(frozen=True)
class Check:
    """A check of one asset.

    Attributes:
        asset: the asset's name, without the tenant.
        blocking: whether a finding of severity ERROR stops what reads the asset in the same run.
        alert: which kind of alert any failure of it is (``scope.ALERT``); None: it is one if it blocks or is an error.
    """

    asset: str
    name: str
    description: str
    look: Callable[[Look], Finding]
    blocking: bool = False
    alert: str | None = None


def checks_in_one_step(scope: TenantScope, group: str, checks: Sequence[Check]) -> dg.AssetChecksDefinition:
    """Checks that share a step and a connection; any of them can be run alone."""
    by_key = {dg.AssetCheckKey(scope.key(each.asset), each.name): each for each in checks}

    @dg.multi_asset_check(
        name=f"{scope.name}__{group}_checks",
        specs=[
            dg.AssetCheckSpec(
                each.name,
                asset=scope.key(each.asset),
                description=each.description,
                blocking=each.blocking,
                metadata={ALERT: each.alert} if each.alert else None,
            )
            for each in checks
        ],
        can_subset=True,
        pool=scope.pool,
    )
    def looked(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        selected = context.selected_asset_check_keys
        with retrying():
            found = _found(scope, [(key, each) for key, each in by_key.items() if key in selected], context.run.tags)
        for key, finding in found:
            yield dg.AssetCheckResult(
                passed=finding.passed,
                asset_key=key.asset_key,
                check_name=key.name,
                description=finding.description,
                severity=finding.severity,
                metadata=finding.metadata,
            )

    return looked


def _found(
    scope: TenantScope, checks: Sequence[tuple[dg.AssetCheckKey, Check]], tags: Mapping[str, str]
) -> list[tuple[dg.AssetCheckKey, Finding]]:
    with scope.warehouse.reading() as session:
        if (asked := days_of_run(tags)) is not None and any(each.asset in LEDGERS for _, each in checks):
            session.recall(days_between(*asked), *LEDGERS)
        newest = newest_days(session, {each.asset for _, each in checks})
        found = []
        for key, each in checks:
            days = days_of_run(tags) or newest.get(each.asset)
            if each.asset not in newest or days is None:
                found.append((key, Finding(description=f"nothing of {each.asset} is on record yet")))
            else:
                found.append((key, each.look(Look(scope, session, *days))))
    return found


LEDGERS = ("forecasts", "forecast_intervals")
"""Ledgers whose checks look into them, be the origins archived or not."""

NEWEST = """
    select asset, day from (
      select asset, day, row_number() over (partition by asset order by day desc) as age from partition_log
      where asset in ({names})
    ) as aged where age in (1, {days}) order by asset, day
"""


def newest_days(session: Session, assets: set[str]) -> dict[str, tuple[date, date]]:
    """Of each asset with a partition on record, the newest ``CHECKED_DAYS`` of them: the first and the last."""
    names = ", ".join(f"'{name}'" for name in sorted(assets))
    began = dict(session.execute(f"select asset, min(day) from partition_log where asset in ({names}) group by asset"))
    found: dict[str, list[date]] = {}
    for asset, day in session.execute(NEWEST.format(names=names, days=CHECKED_DAYS)):
        found.setdefault(asset, []).append(day)
    return {asset: (days[0] if len(days) > 1 else began[asset], days[-1]) for asset, days in found.items()}


def examples(names: Sequence[object]) -> str:
    """The first few of some names, and how many more there are."""
    shown = ", ".join(str(each) for each in names[:EXAMPLES])
    return shown if len(names) <= EXAMPLES else f"{shown} and {len(names) - EXAMPLES} more"
