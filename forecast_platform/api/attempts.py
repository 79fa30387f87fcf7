"""Attempts to sign in: those that fail are counted by name and by address, and beyond a few the next has to wait.

The counts are in the platform's state, so that they hold over all processes and restarts. An attempt counts as failed
from before the password is looked at until it has proved right: any number of them at once are no more than in a row.
A name is slowed and never locked: who writes wrong passwords for somebody keeps them out for ``NAME.longest`` at most.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from forecast_platform.state import State, failed_sign_ins

FORGOTTEN_AFTER = timedelta(minutes=30)
"""Failures before a pause of this length count no more."""


@dataclass(frozen=True)
class Patience:
    """How many failures are free, and how long one has to wait after more: twice as long each time, up to a bound."""

    free: int
    longest: timedelta

    def wait(self, failures: int) -> timedelta:
        """How long nothing is looked at after so many failures in a row."""
        beyond = failures - self.free
        return timedelta(0) if beyond <= 0 else min(self.longest, timedelta(seconds=2.0 ** min(beyond, 30)))


NAME = Patience(free=5, longest=timedelta(minutes=1))
ADDRESS = Patience(free=20, longest=timedelta(minutes=15))
"""More is free here: a whole office may be behind one address."""


class TooManyAttempts(Exception):
    """Nothing is looked at for a while."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(f"refused for another {wait.total_seconds():.0f} s")
        self.wait = wait


class Attempts:
    """The failures of all names and addresses."""

    def __init__(self, state: State) -> None:
        self._state = state

    def begin(self, name: str, address: str, *, now: datetime | None = None) -> None:
        """Count an attempt, as one that failed.

        Raises:
            TooManyAttempts: it is not to be looked at, and was not counted.
        """
        now = now or datetime.now(UTC)
        table, subjects = failed_sign_ins.c, {_of_name(name): NAME, _of_address(address): ADDRESS}
        with self._state.transaction() as connection:
            over = sa.and_(
                table.last_at < now - FORGOTTEN_AFTER, sa.or_(table.refused_until.is_(None), table.refused_until < now)
            )
            connection.execute(sa.delete(failed_sign_ins).where(over))
            rows = connection.execute(sa.select(failed_sign_ins).where(table.subject.in_(subjects))).all()
            held = {row.subject: row for row in rows}
            until = max((row.refused_until for row in rows if row.refused_until is not None), default=now)
            if until > now:
                raise TooManyAttempts(until - now)
            for subject, patience in subjects.items():
                failures = held[subject].failures + 1 if subject in held else 1
                wait = patience.wait(failures)
                row = {"failures": failures, "last_at": now, "refused_until": now + wait if wait else None}
                if subject in held:
                    connection.execute(sa.update(failed_sign_ins).where(table.subject == subject).values(row))
                else:
                    connection.execute(sa.insert(failed_sign_ins).values(row | {"subject": subject}))

    def succeeded(self, name: str, address: str) -> None:
        """Take back that the attempt failed. The address keeps the others: somebody there may try other names."""
        same_address = failed_sign_ins.c.subject == _of_address(address)
        with self._state.transaction() as connection:
            connection.execute(sa.delete(failed_sign_ins).where(failed_sign_ins.c.subject == _of_name(name)))
            one_less = {"failures": failed_sign_ins.c.failures - 1, "refused_until": None}
            connection.execute(sa.update(failed_sign_ins).where(same_address).values(one_less))


def network_of(address: str) -> str:
    """What counts as one address: of IPv6 the 64 bits that a household has of its own."""
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return address
    given = getattr(given, "ipv4_mapped", None) or given
    return str(ipaddress.ip_network((given, 64), strict=False)) if given.version == 6 else str(given)


def _of_name(name: str) -> str:
    return _digest(f"name {name}")


def _of_address(address: str) -> str:
    return _digest(f"address {network_of(address)}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
