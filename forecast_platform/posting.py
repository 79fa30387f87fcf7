"""Posting events to a tenant: the one way in, for the command line, the consumer of a message bus and whoever asks.

What an event must look like is in ``sources.events``, how it is kept in ``sources.inbox``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from forecast_platform.assets.scope import TenantScope
from forecast_platform.settings import SettingsError
from forecast_platform.sources.inbox import Receipt, post
from forecast_platform.sources.overrides import Override, keep
from forecast_platform.sources.shapes import EventsActuals, EventsInventory, EventsSales


class NoInbox(SettingsError):
    """The tenant takes no posted events, or none of this kind."""


def shape_of_events(scope: TenantScope) -> EventsSales:
    """How the events of a tenant look.

    Raises:
        NoInbox: its sales come from elsewhere.
    """
    source = scope.tenant.source
    if not isinstance(source, EventsSales):
        raise NoInbox(
            f"tenant {scope.name!r} takes no posted events: its source is of kind {source.kind!r};"
            " a tenant with `source: {kind: events}` does"
        )
    return source


def shape_of_counts(scope: TenantScope) -> EventsInventory:
    """How the posted counts of a tenant's stock look.

    Raises:
        NoInbox: its stock comes from elsewhere, or from nowhere.
    """
    source = scope.tenant.fact_source("inventory_levels")
    if not isinstance(source, EventsInventory):
        kind = "there is none" if source is None else f"it is of kind {source.kind!r}"
        raise NoInbox(
            f"tenant {scope.name!r} takes no posted stock: the source of its stock is to be of kind 'events', and"
            f" {kind}; `facts: {{inventory_levels: {{kind: events}}}}` does"
        )
    return source


def post_counts(scope: TenantScope, counts: Iterable[Any]) -> Receipt:
    """Keep counts of stock durably, as ``post_events`` keeps sales.

    Raises:
        NoInbox: the tenant takes none.
        OSError: they could not be kept, and may be posted again.
    """
    from dagster._time import get_current_datetime

    return post(scope.landing, shape_of_counts(scope), counts, get_current_datetime())


def shape_of_totals(scope: TenantScope) -> EventsActuals:
    """How the totals look that people give for a tenant's days.

    Raises:
        NoInbox: it takes none.
    """
    source = scope.tenant.facts.actual_overrides
    if source is None:
        raise NoInbox(
            f"tenant {scope.name!r} takes no totals of days; one with `facts: {{actual_overrides: {{kind: events}}}}`"
            " does"
        )
    return source


def post_totals(scope: TenantScope, totals: Iterable[Any]) -> Receipt:
    """Keep totals of days durably, as ``post_events`` keeps sales.

    Raises:
        NoInbox: the tenant takes none.
        OSError: they could not be kept, and may be posted again.
    """
    from dagster._time import get_current_datetime

    return post(scope.landing, shape_of_totals(scope), totals, get_current_datetime())


def post_overrides(scope: TenantScope, overrides: Sequence[Override]) -> None:
    """Keep what planners expect durably; it is in the ledger with the run that the sensor starts.

    Raises:
        OSError: it could not be kept, and may be posted again.
    """
    keep(scope.landing, overrides)


def post_events(scope: TenantScope, events: Iterable[Any]) -> Receipt:
    """Keep events durably in a tenant's inbox; on return they are on disk.

    Args:
        events: mappings or JSON texts; one that is no event is kept as a reject and stops no other.

    Raises:
        NoInbox: the tenant takes none.
        OSError: they could not be kept, and may be posted again.
    """
    from dagster._time import get_current_datetime

    return post(scope.landing, shape_of_events(scope), events, get_current_datetime())


def lines_of(stream: BinaryIO, longest: int) -> Iterator[bytes]:
    """The lines of a stream that are not blank; of one longer than ``longest`` just enough to see that it is."""
    while line := stream.readline(longest + 2):
        whole = line.endswith(b"\n") or len(line) < longest + 2
        while not whole:
            rest = stream.readline(1 << 16)
            whole = not rest or rest.endswith(b"\n")
        if line.strip():
            yield line.rstrip(b"\r\n")
