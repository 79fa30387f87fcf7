"""Posting events to a tenant: the one way in, for the command line, the consumer of a message bus and whoever asks.

What an event must look like is in ``sources.events``, how it is kept in ``sources.inbox``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from forecast_platform.assets.scope import TenantScope
from forecast_platform.settings import SettingsError
from forecast_platform.sources.inbox import Receipt, post
from forecast_platform.sources.shapes import EventsSales


class NoInbox(SettingsError):
    """The tenant takes no posted events."""


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
