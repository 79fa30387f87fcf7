"""Whether requests can be answered: the platform's state and every tenant's data are looked at. It names no tenant:
anybody may ask; the log says which it was.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from forecast_platform import migrations
from forecast_platform.api.platform import Platform
from forecast_platform.io_managers.warehouse import WarehouseUnavailable

log = logging.getLogger(__name__)

REVISION = "select version_num from alembic_version"
NEWEST = "select max(published_at) from served_forecasts"


@dataclass(frozen=True)
class Readiness:
    """What is wrong, in words without a name; how many tenants there are; how old the oldest newest publication is."""

    problems: tuple[str, ...]
    tenants: int
    oldest_publication_hours: float | None


def look_at(platform: Platform, now: datetime | None = None) -> Readiness:
    """Look at everything that an answer needs."""
    now, problems, ages = now or datetime.now(UTC), [], []
    try:
        with platform.state.reading() as connection:
            connection.execute(sa.text("select 1"))
    except sa.exc.SQLAlchemyError as error:
        log.error("the platform's state is not to be had: %s", error)
        problems.append("the platform's state is not to be had")
    names = platform.tenant_names()
    for name in names:
        try:
            with platform.readings.of(name).session() as session:
                revision, newest = session.scalar(REVISION), session.scalar(NEWEST)
        except WarehouseUnavailable as error:
            log.error("tenant %s is not to be read: %s", name, error)
            problems.append("the data of a tenant is not to be had")
            continue
        if revision != migrations.head():
            log.error(
                "tenant %s is at revision %s, not %s: run forecast-platform migrate", name, revision, migrations.head()
            )
            problems.append("the data of a tenant is not at the newest schema")
        if newest is not None:
            ages.append((now - newest).total_seconds() / 3600)
    oldest = round(max(ages), 2) if ages else None
    return Readiness(tuple(dict.fromkeys(problems)), len(names), oldest)
