"""Tenants that are sent something: their facts alone are made, no dbt project has to be parsed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, time
from functools import cached_property

import dagster as dg
from dagster._core.test_utils import freeze_time

from forecast_platform.assets.facts import build_fact_assets
from forecast_platform.assets.raw_sales import build_raw_sales_asset
from forecast_platform.io_managers import build_io_managers
from forecast_platform.runs import progress_logger
from forecast_platform_tests.api.conftest import Served, write_settings
from forecast_platform_tests.pipeline.shop import Shop, day

TODAY = day(12)
NOON = datetime.combine(TODAY, time(12), tzinfo=UTC)


class FactsShop(Shop):
    """A shop of which the facts are made: what is sold, and what its settings name beside it."""

    @cached_property
    def definitions(self) -> dg.Definitions:
        managers = build_io_managers(self.scope.warehouse, start=self.tenant.start)
        return dg.Definitions(
            assets=[build_raw_sales_asset(self.scope), *build_fact_assets(self.scope)],
            resources={self.scope.replace_key: managers["replace"]},
            loggers={"progress": progress_logger(self.told.append)},
        )

    def make(self, *assets: str) -> None:
        """Make facts of all days, as the run does that the sensor starts."""
        with freeze_time(NOON):
            assert self.run(assets or ["raw_sales", "sales_rejects"], day(0), TODAY).success


def sent_to(new_shop: Callable[..., Shop], backend: str, **settings) -> Served:
    """A tenant that takes what is sent, known to the API by its settings."""
    return known_to_the_api(new_shop(backend, FactsShop, **settings))


def known_to_the_api(shop: Shop) -> Served:
    """A shop with the file that the API reads its settings from."""
    write_settings(shop)
    return Served(shop, shop.folder)
