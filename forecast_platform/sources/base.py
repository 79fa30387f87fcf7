"""What a source is: something that can say what has arrived and open it.

Here are the protocol, the arrival and the errors that every source shares. How the rows of an arrival look is
in ``shapes``, keeping them is in ``landing``; no I/O happens here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, BinaryIO, Literal, Protocol

if TYPE_CHECKING:
    from forecast_platform.sources.shapes import Rows

Format = Literal["csv", "parquet"]


class SourceError(ValueError):
    """A source cannot be read at all: unknown folder, table or variable. The message says which and the way out."""


class SourceUnavailable(SourceError, ConnectionError):
    """A source cannot be had just now: network or server away, a file locked. A step that meets it is run again.

    As a ``ConnectionError`` it is known to whoever repeats what can pass, without knowing of sources.
    """


class Refused(ValueError):
    """One arrival cannot be read at all: not Parquet, a column missing, empty. Its neighbours still can."""


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """One thing that has arrived: a file, a page of a table, a generated day.

    Attributes:
        name: as the sender calls it; shown to people, never joined into a path.
        open: opens the bytes from the start, each time it is called.
        format: what the bytes are. CSV may be compressed with gzip, which is seen from the bytes.
        order: arrivals are landed in the order of (``order``, ``name``).
        feeds: name of the join whose side file this is; None for an arrival of the facts themselves.
        identity: digest of the content where equal content need not be equal bytes (a Parquet file names the
            library that wrote it); None: the digest of the bytes.
        fingerprint: changes whenever the content may have changed (size, time, inode); lets an arrival that is
            landed already go unread. None: the content is read each time.
        unchanged: asked after the content was read; False if it changed meanwhile, and is no whole.
    """

    name: str
    open: Callable[[], BinaryIO]
    format: Format
    order: datetime | date | str = ""
    feeds: str | None = None
    identity: str | None = None
    fingerprint: str | None = None
    unchanged: Callable[[], bool] = lambda: True


class Source(Protocol):
    """Where arrivals come from.

    Attributes:
        name: written to ``raw_sales.source`` and ``landed_batches.source``.
        rows: how the rows of its arrivals look.
    """

    name: str
    rows: Rows

    def discover(
        self, *, now: datetime, first: date | None = None, last: date | None = None, since: str | None = None
    ) -> Iterator[Arrival]:
        """Give what has arrived and is complete, at ``now`` (aware).

        ``first`` and ``last`` (inclusive) are the days somebody asked for: a source that makes or pages its
        arrivals by day gives those of these days, any other gives all it has. None is without bound. ``since`` is what
        ``high_water`` said earlier: what has not changed after it may be left out.

        Raises:
            SourceError: the source is not there.
        """
        ...

    def high_water(self, *, now: datetime) -> str | None:
        """What changes whenever there is something new, where that is cheaper to ask for than the arrivals; or None.

        Empty: nothing waits.

        Raises:
            SourceError: the source is not there.
        """
        ...


_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def resolve_url(url: str, variables: Mapping[str, str]) -> str:
    """Fill ``${NAME}`` in ``url`` from ``variables``, so that passwords stay out of a tenant's YAML.

    Raises:
        SourceError: a name is not among the variables.
    """

    def value(match: re.Match[str]) -> str:
        if match[1] not in variables:
            known = ", ".join(sorted(variables)) or "none"
            raise SourceError(f"the URL {url!r} names ${{{match[1]}}}, which is not set; known variables: {known}")
        return variables[match[1]]

    return _PLACEHOLDER.sub(value, url)
