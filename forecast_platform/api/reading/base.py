"""The ways to the tenants' data: one object a tenant, opened at first use and kept."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

from forecast_platform.io_managers.statements import Query
from forecast_platform.io_managers.warehouse import Parameters, Session, open_warehouse
from forecast_platform.settings import Settings

SERVED = "select location, origin_date, body from served_forecasts where sku = :sku order by location"

PAGE = (
    "select sku, location, origin_date, body from served_forecasts where sku > :after"
    " order by sku, location limit :rows"
)


class TenantReading(ABC):
    """One tenant's data, to be read and nothing else. Safe to use from several threads."""

    @abstractmethod
    def session(self) -> AbstractContextManager[Session]:
        """A short session that sees one state of the data throughout.

        Raises:
            WarehouseUnavailable: the data is not to be had just now: the API answers 503 by itself.
        """

    def served(self, sku: str) -> list[tuple[str, date, str]]:
        """Location, origin and body of what ``served_forecasts`` has of a SKU: the hot read's one question.

        Raises:
            WarehouseUnavailable: as ``session``.
        """
        with self.session() as session:
            return session.execute(SERVED, {"sku": sku})

    def served_page(self, after: str, rows: int) -> list[tuple[str, str, date, str]]:
        """SKU, location, origin and body of the SKUs that follow ``after``, up to so many rows: whole SKUs only, at
        least one of those that there are.

        Raises:
            WarehouseUnavailable: as ``session``.
        """
        with self.session() as session:
            page = session.execute(PAGE, {"after": after, "rows": rows})
        if len(page) < rows:
            return page
        first, last = page[0][0], page[-1][0]
        if first == last:
            return [(first, *row) for row in self.served(first)]
        return [row for row in page if row[0] != last]

    @abstractmethod
    def version(self) -> str:
        """A text that changes whenever something else is served; cheap, and asked for often.

        Raises:
            WarehouseUnavailable: as ``session``.
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is kept open."""


class Readings:
    """The ways to the data of all tenants of one process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[str, TenantReading] = {}
        self._guard = threading.Lock()

    def of(self, tenant: str) -> TenantReading:
        """The way to one tenant's data."""
        found = self._opened.get(tenant)
        if found is not None:
            return found
        with self._guard:
            if tenant not in self._opened:
                self._opened[tenant] = self._open(tenant)
            return self._opened[tenant]

    def _open(self, tenant: str) -> TenantReading:
        warehouse = open_warehouse(self._settings.warehouse, tenant, archive=self._settings.archive_url)
        if warehouse.backend == "postgresql":
            from forecast_platform.api.reading.postgres import PostgresReading

            return PostgresReading(warehouse)
        from forecast_platform.api.reading.copy import CopyReading

        return CopyReading(warehouse)

    def close(self) -> None:
        """Give back what is kept open."""
        with self._guard:
            for each in self._opened.values():
                each.close()
            self._opened.clear()


def records(session: Session, query: Query, parameters: Parameters | None = None) -> list[dict[str, Any]]:
    """The rows of a query by column name: dates, times with a zone, decimals, numbers, text."""
    return session.arrow(query, parameters).to_pylist()
