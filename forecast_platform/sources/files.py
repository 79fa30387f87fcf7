"""A folder of files, under any fsspec URL, as a source.

What is half written, hidden or outside the folder is no arrival. The files' rows are not read here.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from functools import cached_property, partial
from typing import Any, BinaryIO

import fsspec
from fsspec.implementations.local import LocalFileSystem

from forecast_platform.sources import uploads
from forecast_platform.sources.base import Arrival, Format, SourceError, SourceUnavailable, resolve_url
from forecast_platform.sources.batches import Landing
from forecast_platform.sources.places import Folder
from forecast_platform.sources.shapes import Rows

_log = logging.getLogger(__name__)
UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".filepart", ".swp", "~")
"""Ends of names that programs give to files they are still writing."""


@dataclass(frozen=True)
class _Place:
    """A file system and a folder in it."""

    fs: Any
    root: str
    _inside: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def local(self) -> bool:
        return isinstance(self.fs, LocalFileSystem)

    def leads_out(self, path: str, info: Mapping[str, Any]) -> bool:
        """Whether a local path is a link, or below one, to somewhere outside the folder.

        Only of links the file system is asked, and of each folder once: to resolve every path of a folder of 105,000
        files took half of the time of a look.
        """
        if info.get("islink"):
            return not self._holds(path)
        folder = path.rpartition("/")[0]
        if folder not in self._inside:
            self._inside[folder] = self._holds(folder)
        return not self._inside[folder]

    def _holds(self, path: str) -> bool:
        return os.path.commonpath([os.path.realpath(path), self.root]) == self.root


class FileSource:
    """Files dropped into a folder.

    Args:
        name: of the source.
        folder: where the files are.
        rows: how their rows look.
        variables: fill ``${NAME}`` in the URL.
        landing: where files wait that were sent instead of dropped; needed to find those, and for nothing else.
    """

    def __init__(
        self, *, name: str, folder: Folder, rows: Rows, variables: Mapping[str, str], landing: Landing | None = None
    ) -> None:
        self._landing = landing
        self.name = name
        self.rows = rows
        self._folder = folder
        self._variables = variables

    def discover(
        self, *, now: datetime, first: date | None = None, last: date | None = None, since: str | None = None
    ) -> Iterator[Arrival]:
        """Give the files that are complete, side files too; the days asked for make no difference.

        A file counts as complete once it has not been written to for ``settle_seconds``, and if it does not change
        while it is read.

        Raises:
            SourceUnavailable: the folder is there and its server is not: network away, a stale mount.
            SourceError: there is no such folder. A share that is not mounted looks like a mistyped name, and mounting
                takes longer than a step's retries: whoever asks next finds the files, none is lost by then.
        """
        with self._reaching():
            place = self._place()
            found = self._files(place)
        patterns: list[tuple[str, Format, str | None]] = [
            (join.pattern, join.format, join.name) for join in self.rows.joins
        ]
        patterns.append((self._folder.pattern, self._folder.format, None))
        for path, info in sorted(found.items()):
            name = path[len(place.root) + 1 :]
            feeds = next((p for p in patterns if matches_glob(name, p[0])), None)
            if feeds is None:
                continue
            changed = _changed(info)
            if self._complete(place, path, info, changed, now):
                yield self._arrival(place, path, info, changed, name, form=feeds[1], feeds=feeds[2])
        if self._landing is not None:
            yield from uploads.arrivals_of(self._landing, self.rows.asset)

    def high_water(self, *, now: datetime) -> None:
        """None: that a file is new is seen from its name, size and times."""

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, SourceError | FileNotFoundError | NotADirectoryError | PermissionError):
                raise
            raise SourceUnavailable(
                f"the folder {self._folder.url!r} of the source {self.name!r} cannot be reached just now: {error}"
            ) from error

    def _place(self) -> _Place:
        url = resolve_url(self._folder.url, self._variables)
        fs, root = fsspec.core.url_to_fs(url)
        root = os.path.realpath(root) if isinstance(fs, LocalFileSystem) else root.rstrip("/")
        if not _is_folder(fs, root):
            raise SourceError(
                f"the folder {self._folder.url!r} of the source {self.name!r} is not there:"
                " create it, mount it, or correct its url"
            )
        return _Place(fs, root)

    def _files(self, place: _Place) -> dict[str, dict[str, Any]]:
        depth = None if "**" in self._folder.pattern else self._depth()
        found = _local_files(place, depth) if place.local else place.fs.find(place.root, maxdepth=depth, detail=True)
        return {path: info for path, info in found.items() if _is_named(path[len(place.root) + 1 :])}

    def _depth(self) -> int:
        patterns = [self._folder.pattern, *(join.pattern for join in self.rows.joins)]
        return max(pattern.count("/") for pattern in patterns) + 1

    def _complete(
        self, place: _Place, path: str, info: Mapping[str, Any], changed: datetime | None, now: datetime
    ) -> bool:
        if place.local:
            if place.leads_out(path, info):
                _log.warning("%s is a link out of the folder %s and is not read", path, place.root)
                return False
            if not (os.path.isfile(path) if info.get("islink") else info["type"] == "file"):
                return False
        # A time far in the future is another machine's clock, not a file that is being written now.
        return changed is None or abs((now - changed).total_seconds()) >= self._folder.settle_seconds

    def _arrival(
        self,
        place: _Place,
        path: str,
        info: Mapping[str, Any],
        changed: datetime | None,
        name: str,
        *,
        form: Format,
        feeds: str | None,
    ) -> Arrival:
        state = _state(info, changed)
        return Arrival(
            name=name,
            open=partial(_open, place, path),
            format=form,
            order=(changed or datetime.fromtimestamp(0, UTC)).isoformat(),
            feeds=feeds,
            fingerprint=state,
            unchanged=lambda: _state_now(place, path) == state,
        )


def _local_files(place: _Place, depth: int | None) -> dict[str, dict[str, Any]]:
    """As ``fs.find`` of a local folder, with what is used here of each file: in half of the time.

    Links to folders are not followed; what cannot be listed or is gone by now has no files.
    """
    found: dict[str, dict[str, Any]] = {}
    folders = [(place.root, 1)]
    while folders:
        folder, level = folders.pop()
        with suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders += [(entry.path, level + 1)] if depth is None or level < depth else []
                    continue
                with suppress(FileNotFoundError):
                    # A link is as what it leads to, as it is when it is asked for alone; one to nowhere is no file.
                    link = entry.is_symlink()
                    found[entry.path] = place.fs.info(entry.path) if link else _told(entry.stat(follow_symlinks=False))
    return found


def _told(told: os.stat_result) -> dict[str, Any]:
    """What ``fs.info`` says of a file that is no link, as far as it is used."""
    return {
        "type": "file" if stat.S_ISREG(told.st_mode) else "other",
        "size": told.st_size,
        "ino": told.st_ino,
        "created": getattr(told, "st_birthtime", told.st_ctime),
        "mtime": told.st_mtime,
    }


def _is_folder(fs: Any, root: str) -> bool:
    """Whether there is a folder; unlike ``fs.isdir``, a local one that cannot be looked at is not taken as missing."""
    if not isinstance(fs, LocalFileSystem):
        return fs.isdir(root)
    try:
        return stat.S_ISDIR(os.stat(root).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def matches_glob(name: str, pattern: str) -> bool:
    """Whether a relative path matches a glob whose ``*`` stays within a folder and whose ``**/`` spans any number."""
    if "/" not in pattern and pattern != "**":  # most are: a third of the time
        return "/" not in name and fnmatchcase(name, pattern)
    return _matches(name.split("/"), pattern.split("/"))


def _matches(parts: list[str], patterns: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == "**":
        if len(patterns) == 1:
            return bool(parts)
        return any(_matches(parts[at:], patterns[1:]) for at in range(len(parts)))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def _is_named(name: str) -> bool:
    """Whether a relative path is that of a finished, visible file."""
    return not any(part.startswith((".", "~")) for part in name.split("/")) and not name.lower().endswith(UNFINISHED)


def _changed(info: Mapping[str, Any]) -> datetime | None:
    """When a file was last written to, by whatever name its file system has for it; None if it does not say."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "modified", "created"):
        value = info.get(key)
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return value if value.tzinfo else value.replace(tzinfo=UTC)
    return None


def _state_now(place: _Place, path: str) -> str:
    info = place.fs.info(path)
    return _state(info, _changed(info))


def _state(info: Mapping[str, Any], changed: datetime | None) -> str:
    """What changes when a file does."""
    parts = [info.get(key) for key in ("size", "ino", "ETag", "etag", "md5Hash", "version_id", "generation")]
    if "mtime" in info:
        parts.append(info.get("created"))
    return "|".join(map(str, [*parts, round(changed.timestamp() * 1e6) if changed else None]))


def _open(place: _Place, path: str) -> BinaryIO:
    return open(path, "rb") if place.local else place.fs.open(path, "rb")
