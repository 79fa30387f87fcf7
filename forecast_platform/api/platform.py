"""What all requests of one process share: the settings, the platform's state, the tenants and the ways to their
data.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import date
from functools import cached_property

import anyio
import dagster as dg

from forecast_platform.api.attempts import Attempts
from forecast_platform.api.jobs import JobDesk
from forecast_platform.api.keys import Keys
from forecast_platform.api.rates import Rate, Rates
from forecast_platform.api.reading import Readings
from forecast_platform.api.sessions import Sessions, signing_secret
from forecast_platform.api.shopify import Shops
from forecast_platform.api.users import Users
from forecast_platform.assets.scope import TenantScope
from forecast_platform.jobs.events import Events
from forecast_platform.settings import Settings, SettingsError, variables
from forecast_platform.state import State

log = logging.getLogger(__name__)

TODAY_SECONDS = 5.0

SIGN_INS = Rate(requests=120, seconds=60.0)
"""Of one address, those that succeed among them: each costs a hash that is slow on purpose."""

HASHES_AT_ONCE = 2
"""Passwords that a process looks at side by side: each takes 19 MiB and a processor for a twentieth of a second."""


class Platform:
    """Built once a process; opens nothing until it is asked.

    Args:
        dagster: gives Dagster's instance; ``None`` where this process knows of none.

    Raises:
        SettingsError: it is to sign what it gives out, and has no secret.
    """

    def __init__(self, settings: Settings, *, dagster: Callable[[], dg.DagsterInstance] | None = None) -> None:
        self.settings = settings
        self.state = State(settings.state_url, pooled=True)
        self.keys = Keys(self.state)
        self.users = Users(self.state)
        self.attempts = Attempts(self.state)
        self.sessions = Sessions(self.state, signing_secret(settings), minutes=settings.api_session_minutes)
        self.hashing = anyio.CapacityLimiter(HASHES_AT_ONCE)
        self.rates = Rates(self.state, Rate.of(settings.api_rate, settings.api_burst))
        self.sign_ins = Rates(self.state, SIGN_INS)
        self.readings = Readings(settings)
        self.events = Events(self.state)
        self.jobs = JobDesk(self.state, self.readings, dagster)
        self._tenants: dict[str, TenantScope] = {}
        self._today: dict[str, tuple[date, float]] = {}
        self._guard = threading.Lock()

    @cached_property
    def shopify(self) -> Shops:
        """The Shopify shops of all tenants, as their settings were when this process first asked for them."""
        found = {}
        for name in self.tenant_names():
            try:
                tenant = self.tenant(name).tenant
            except SettingsError as error:
                log.error("tenant %s is left out: %s", name, error)
                continue
            if tenant.shopify is not None:
                found[name] = tenant.shopify
        return Shops(found, variables())

    def tenant(self, name: str) -> TenantScope:
        """A tenant's settings, as they were when this process first asked for them.

        Raises:
            SettingsError: there is no such tenant, or its settings are wrong.
        """
        with self._guard:
            if name not in self._tenants:
                from forecast_platform.pipeline import load_tenant

                self._tenants[name] = load_tenant(name, self.settings)
            return self._tenants[name]

    def known(self, name: str) -> TenantScope | None:
        """As ``tenant``, of one that was asked for before; without waiting for anything."""
        return self._tenants.get(name)

    def today(self, name: str) -> date:
        """A tenant's open day, as it was up to ``TODAY_SECONDS`` ago: the source's mark of a day's end is a file."""
        day, until = self._today.get(name, (date.min, 0.0))
        if time.monotonic() >= until:
            day, until = self.tenant(name).today(), time.monotonic() + TODAY_SECONDS
            self._today[name] = day, until
        return day

    def load_tenants(self) -> None:
        """Read the settings of all tenants, so that no request has to wait for that: it imports Dagster, which takes
        seconds. One that is wrong is told of and keeps nobody else from being served."""
        for name in self.tenant_names():
            try:
                self.tenant(name)
            except SettingsError as error:
                log.error("tenant %s is not served: %s", name, error)

    def tenant_names(self) -> list[str]:
        """The tenants that have a folder."""
        from forecast_platform.pipeline import tenant_names

        return tenant_names(self.settings)

    def close(self) -> None:
        """Give back what is kept open."""
        self.readings.close()
        self.state.close()
