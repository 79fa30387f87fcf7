"""From settings to a source: the one place that knows which class serves which kind."""

from __future__ import annotations

from collections.abc import Mapping

from forecast_platform.sources.base import Source
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.demo_settings import DemoSource
from forecast_platform.sources.places import Folder, Posted, Query
from forecast_platform.sources.shapes import Rows


def open_source(
    asset: str,
    settings: Rows | DemoSource,
    *,
    timezone: str,
    variables: Mapping[str, str] | None = None,
    landing: Landing | None = None,
) -> Source:
    """Make the source of an asset from its settings. Nothing is read yet.

    Args:
        asset: table the source fills: ``raw_sales``, ``items``, …
        settings: one of the unions of ``shapes``: ``SalesSource``, ``ItemsSource``, …
        timezone: IANA zone of the tenant.
        variables: fill ``${NAME}`` in URLs.
        landing: where posted events and uploaded files wait; needed to find those, and for nothing else.

    Raises:
        ValueError: the settings are those of another asset.
    """
    if isinstance(settings, DemoSource):
        from forecast_platform.sources.demo import open_demo

        return open_demo(asset, settings, timezone=timezone)
    if settings.asset != asset:
        raise ValueError(f"settings for {settings.asset} were given for {asset}")
    if isinstance(settings, Folder):
        from forecast_platform.sources.files import FileSource

        return FileSource(
            name=settings.name or asset, folder=settings, rows=settings, variables=variables or {}, landing=landing
        )
    if isinstance(settings, Query):
        from forecast_platform.sources.sql import SqlSource

        return SqlSource(name=settings.name or asset, query=settings, rows=settings, variables=variables or {})
    if isinstance(settings, Posted):
        from forecast_platform.sources.bundles import EventSource

        return EventSource(name=settings.name or asset, rows=settings, landing=landing)
    raise ValueError(f"{type(settings).__name__} says how rows look, but not where they are")
