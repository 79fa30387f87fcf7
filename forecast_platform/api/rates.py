"""How many requests a credential may send: counted over all processes of the platform, without asking for each.

Time is cut into periods of the clock, and a credential has so many requests of each. A process takes a portion of them
in the platform's state before it answers the first, and spends it by itself; what it has left when the period ends is
gone. So the processes together never answer more of a period than its requests, whichever of them are asked, and a
credential costs the state a hundred or so statements a period at most.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from forecast_platform.api.problems import Problem
from forecast_platform.state import State, spent_requests

log = logging.getLogger(__name__)

PORTIONS = 100
"""Into how many parts a period's requests are taken: more cost the state, fewer leave more unused in idle processes."""

KEPT_SECONDS = 300.0
"""How long a period's rows outlive it: a server whose clock is behind must not find its period empty again."""

REMEMBERED = 10_000
"""Credentials that are remembered at once; the oldest are forgotten first, with what was left of their portions."""


@dataclass(frozen=True)
class Rate:
    """``requests`` in each period of ``seconds``."""

    requests: int
    seconds: float

    @classmethod
    def of(cls, per_minute: int, burst: int | None) -> Rate | None:
        """The rate of so many requests a minute, of which ``burst`` (a minute's, where it is left out) may come at
        once; ``None`` where there is no limit."""
        if per_minute == 0:
            return None
        at_once = min(burst or per_minute, per_minute)
        return cls(at_once, 60 * at_once / per_minute)

    @property
    def portion(self) -> int:
        """What a process takes at a time."""
        return max(1, self.requests // PORTIONS)


@dataclass
class _Portion:
    """What a process has of a credential's requests of a period; ``over``: there are no more to be had."""

    period: int
    left: int = 0
    over: bool = False


class Rates:
    """What one process has taken and not yet spent."""

    def __init__(self, state: State, rate: Rate | None, *, clock: Callable[[], float] = time.time) -> None:
        self._state, self._rate, self._clock = state, rate, clock
        self._portions: OrderedDict[str, _Portion] = OrderedDict()
        self._guard, self._taking = threading.Lock(), threading.Lock()
        self._cleared = -1

    async def spend(self, credential: str, *, tenant: str | None = None) -> None:
        """One request of a credential.

        Raises:
            Problem: 429, there are no more in this period.
        """
        if self._rate is None:
            return
        period = int(self._clock() // self._rate.seconds)
        granted = self._spent(credential, period)
        if granted is None:
            granted = await anyio.to_thread.run_sync(self._take, credential, tenant)
        if not granted:
            raise self._refusal()

    def _spent(self, credential: str, period: int) -> bool | None:
        """Whether one was there, or that none is; ``None`` where the state has to be asked."""
        with self._guard:
            held = self._portions.get(credential)
            if held is None or held.period != period:
                return None
            if held.left:
                held.left -= 1
                return True
            return False if held.over else None

    def _take(self, credential: str, tenant: str | None) -> bool:
        """Take the next portion and spend one of it; who waited meanwhile finds what is left of it."""
        assert self._rate is not None
        with self._taking:
            period = int(self._clock() // self._rate.seconds)
            granted = self._spent(credential, period)
            if granted is not None:
                return granted
            got = take(self._state, credential, period, self._rate)
            self._clear(period)
            with self._guard:
                self._portions[credential] = _Portion(period, max(0, got - 1), over=got < self._rate.portion)
                self._portions.move_to_end(credential)
                while len(self._portions) > REMEMBERED:
                    self._portions.popitem(last=False)
        if not got:  # told once a period and process: after that it is known here
            extra = {"tenant": tenant, "security": "rate-limited"}
            log.warning(
                "%s has sent %d requests in %g s", credential, self._rate.requests, self._rate.seconds, extra=extra
            )
        return got > 0

    def _clear(self, period: int) -> None:
        """Take away periods that are over, once a period."""
        if period == self._cleared:
            return
        self._cleared = period
        over = datetime.fromtimestamp(self._clock() - KEPT_SECONDS, UTC)
        with self._state.transaction(alone=False) as connection:
            connection.execute(sa.delete(spent_requests).where(spent_requests.c.ends_at < over))

    def _refusal(self) -> Problem:
        assert self._rate is not None
        wait = max(1, math.ceil(self._rate.seconds - self._clock() % self._rate.seconds))
        return Problem(
            429,
            "rate-limited",
            f"there were more than {self._rate.requests:,} requests in {self._rate.seconds:g} s; Retry-After says"
            " when to go on",
            headers={"Retry-After": str(wait)},
        )


def take(state: State, credential: str, period: int, rate: Rate) -> int:
    """Take a portion of a period's requests for oneself; how many one gets, down to none.

    One statement adds to what was taken and tells the sum, so that no two are given the same request: what the sum has
    beyond the period's requests was not there to be given.
    """
    ends_at = datetime.fromtimestamp((period + 1) * rate.seconds, UTC)
    row = {"credential": credential, "period": period, "taken": rate.portion, "ends_at": ends_at}
    with state.transaction(alone=False) as connection:
        insert = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}[connection.dialect.name]
        taking = insert(spent_requests).values(row)
        taking = taking.on_conflict_do_update(
            index_elements=["credential", "period"], set_={"taken": spent_requests.c.taken + rate.portion}
        ).returning(spent_requests.c.taken)
        taken = connection.execute(taking).scalar_one()
    return max(0, min(rate.portion, rate.requests - (taken - rate.portion)))
