"""The files of the landing: written whole or not at all, found again by their digest.

Any fsspec file system. What the files mean is in ``landing`` and ``readings``.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem


class Store:
    """A folder under an fsspec URL. Paths in it are made from digests and our own words only.

    Args:
        url: the folder, as any fsspec URL.
    """

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)
        self._root = self._root.rstrip("/")
        self._local = isinstance(self._fs, LocalFileSystem)

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}"

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A local file to write before it is :meth:`put`; on the landing's own disk where that is local."""
        folder = Path(self._path("incoming")) if self._local else Path(tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid4().hex}.tmp"
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def sweep(self, *, older_than: float = 86_400) -> None:
        """Remove scratch files that a killed process left behind, a day ago or earlier."""
        folder = Path(self._path("incoming"))
        if self._local and folder.is_dir():
            for left in folder.glob("*.tmp"):
                with suppress(FileNotFoundError):
                    if time.time() - left.stat().st_mtime > older_than:
                        left.unlink()

    def put(self, file: Path, path: str, *, durable: bool = True) -> None:
        """Make ``file`` the content of ``path``: others see none of it or all of it.

        ``durable``: a power cut keeps it. What can be made again need not be: two syncs cost 2.6 ms on the disk that
        it was measured on, more than reading a small batch.
        """
        target = self._path(path)
        if not self._local:
            part = f"{target}.{uuid4().hex}.tmp"
            self._fs.makedirs(target.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(file), part)
            self._fs.mv(part, target)
            return
        _make_folder(Path(target).parent)
        if durable:
            _sync(file)
        os.replace(file, target)
        if durable:
            _sync(Path(target).parent)

    def mark(self, path: str) -> None:
        """Make an empty file, which only its name says something about; a power cut may lose it."""
        with self.scratch() as file:
            file.touch()
            self.put(file, path, durable=False)

    def put_once(self, content: bytes, path: str) -> bytes:
        """Make ``content`` the content of ``path`` unless it has some already; give what it has."""
        if not self.exists(path):
            with self.scratch() as file:
                file.write_bytes(content)
                if self._local:
                    _make_folder(Path(self._path(path)).parent)
                    with suppress(FileExistsError):
                        os.link(file, self._path(path))
                    _sync(Path(self._path(path)))
                    _sync(Path(self._path(path)).parent)
                else:
                    with suppress(FileExistsError):
                        self._fs.pipe_file(self._path(path), content, mode="create")
        with self.open(path) as stream:
            return stream.read()

    def remove(self, path: str) -> None:
        """Remove a file; harmless where it is gone."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._path(path))

    def remove_folder(self, folder: str) -> None:
        """Remove a folder with all that is in it; harmless where it is gone."""
        with suppress(FileNotFoundError):
            self._fs.rm(self._path(folder), recursive=True)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading, seekable.

        Raises:
            FileNotFoundError: there is none.
        """
        return open(self._path(path), "rb") if self._local else self._fs.open(self._path(path), "rb")

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return os.path.exists(self._path(path)) if self._local else self._fs.exists(self._path(path))

    def names(self, folder: str) -> set[str]:
        """Names of the files in a folder; none if it is not there."""
        try:
            if self._local:  # a tenth of the time: fsspec takes each path apart
                return set(os.listdir(self._path(folder)))
            listed = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return set()
        return {path.rstrip("/").rpartition("/")[2] for path in listed}


def _make_folder(folder: Path) -> None:
    """Make a folder and those above it, so that a power cut keeps them."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
