"""What Prometheus reads of the platform itself: what waits, how fresh each tenant is, and how good its forecasts were.

Asked of the state and of the tenants' data at most once in ``KEPT_SECONDS`` by each process, however often it is read.
Figures of requests are in ``metrics``.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from forecast_platform.api.platform import Platform
from forecast_platform.api.reading.accuracy import ALL, newest_scored, over_all
from forecast_platform.io_managers.warehouse import WarehouseUnavailable
from forecast_platform.jobs.states import Status
from forecast_platform.jobs.webhooks import MOST_ATTEMPTS
from forecast_platform.reporting.figures import PUBLISHED
from forecast_platform.settings import SettingsError
from forecast_platform.state import alert_messages, changed_days, jobs, webhook_messages, webhooks

log = logging.getLogger(__name__)

KEPT_SECONDS = 15.0
"""How old a figure may be: a tenant costs two reads, and several Prometheus may ask several processes."""

SCORED_DAYS = 28

NEWEST_PUBLICATION = "select max(published_at) from served_forecasts"
NEWEST_FACTS = "select max(sale_date) from daily_sales"


class PlatformFigures:
    """The figures of one platform, for one process. A collector of ``prometheus_client``."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._guard = threading.Lock()
        self._kept: tuple[float, bytes] | None = None
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """All figures, as Prometheus reads them; up to ``KEPT_SECONDS`` old."""
        with self._guard:
            if self._kept is None or self._kept[0] <= time.monotonic():
                self._kept = (time.monotonic() + KEPT_SECONDS, generate_latest(self._registry))
            return self._kept[1]

    def describe(self) -> Iterable[Metric]:
        """Nothing: describing would ask the databases before anybody does."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Look at everything; what is away is left out, and the log says so."""
        try:
            yield from self._waiting()
        except sa.exc.SQLAlchemyError as error:
            log.warning("the platform's state is not to be had: %s", error)
        yield from self._tenants()

    def _waiting(self) -> Iterator[Metric]:
        count = sa.func.count()
        due = webhook_messages.c.sent_at.is_(None) & (webhook_messages.c.attempts < MOST_ATTEMPTS)
        of_webhooks = webhook_messages.join(webhooks, webhooks.c.webhook_id == webhook_messages.c.webhook_id)
        queries = {
            "changed_days_waiting": sa.select(changed_days.c.tenant, count),
            "alert_messages_unsent": sa.select(alert_messages.c.tenant, count).where(
                alert_messages.c.sent_at.is_(None)
            ),
            "webhook_messages_unsent": sa.select(webhooks.c.tenant, count).select_from(of_webhooks).where(due),
        }
        with self._platform.state.reading() as connection:
            by_status = connection.execute(
                sa.select(jobs.c.tenant, jobs.c.status, count).group_by(jobs.c.tenant, jobs.c.status)
            ).all()
            waiting = {
                name: dict(connection.execute(query.group_by(query.selected_columns[0])).all())
                for name, query in queries.items()
            }
        tenants = self._platform.tenant_names()
        family = GaugeMetricFamily("forecast_jobs", "Jobs on record.", labels=("tenant", "status"))
        found = {(tenant, status): number for tenant, status, number in by_status}
        for tenant in tenants:
            for status in Status:
                family.add_metric((tenant, status), found.get((tenant, status), 0))
        yield family
        for name, told in WAITING.items():
            family = GaugeMetricFamily(f"forecast_{name}", told, labels=("tenant",))
            for tenant in tenants:
                family.add_metric((tenant,), waiting[name].get(tenant, 0))
            yield family

    def _tenants(self) -> Iterator[Metric]:
        families = {name: GaugeMetricFamily(f"forecast_{name}", told, labels=("tenant",)) for name, told in OF_A_TENANT}
        for tenant in self._platform.tenant_names():
            try:
                found = self._of(tenant)
            except (WarehouseUnavailable, SettingsError) as error:
                log.warning("tenant %s is not to be read: %s", tenant, error)
                found = {"tenant_readable": 0.0}
            for name, value in found.items():
                if value is not None:
                    families[name].add_metric((tenant,), value)
        yield from families.values()

    def _of(self, tenant: str) -> dict[str, float | None]:
        with self._platform.readings.of(tenant).session() as session:
            published, facts = session.scalar(NEWEST_PUBLICATION), session.scalar(NEWEST_FACTS)
            scored = newest_scored(session)
            first = None if scored is None else scored - timedelta(days=SCORED_DAYS - 1)
            rows = [] if scored is None or first is None else over_all(session, first, scored, by_day=False)
        of_published = [row for row in rows if (row["model"], row["horizon_bucket"]) == (PUBLISHED, ALL)]
        today = self._platform.today(tenant)
        return {
            "tenant_readable": 1.0,
            "publication_age_seconds": None if published is None else (datetime.now(UTC) - published).total_seconds(),
            "facts_age_days": None if facts is None else float((today - facts).days),
            "published_wape": of_published[0]["wape"] if of_published else None,
        }


WAITING = {
    "changed_days_waiting": "Days whose facts have changed and whose followers are not made yet.",
    "alert_messages_unsent": "Alerts that no channel has taken yet.",
    "webhook_messages_unsent": "Webhook messages that are still to be taken.",
}
OF_A_TENANT = (
    ("tenant_readable", "1: the tenant's data can be read."),
    ("publication_age_seconds", "Age of the newest publication."),
    ("facts_age_days", "Days from the newest day with facts to today's open day: 0 or 1 where all is well."),
    ("published_wape", f"WAPE of what was published, over the newest {SCORED_DAYS} days that are scored."),
)
