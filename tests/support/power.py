"""A disk that is told what is written, and can say what a power cut at any moment leaves of it.

A file keeps what was written before it was last synced; of what came later any part, in any order, a
write also in part. A directory keeps the entries it had when it was last synced, and of what came later
the first so many changes. What SQLite writes is seen by a VFS, what the store writes itself by standing
in for :mod:`os` in the module that does it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from ctrlhub.controller.stores import mark, payload_files, sqlite

SECTOR = 512
"""So many bytes are written whole or not at all."""

_JOURNALS = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: a change of a file (by number) or of a directory (by path), or a word.

    Attributes
    ----------
    what
        ``write``, ``truncate``, ``sync``: of a file; ``link``, ``unlink``, ``sync_dir``: of a directory;
        ``say``: what the store, or who uses it, has said.
    of
        File, directory, or what was said.
    """

    what: str
    of: Any
    name: str = ""
    at: int = 0
    data: bytes = b""


@dataclass(slots=True)
class _File:
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)

    def sync(self) -> None:
        for event in self.pending:
            _apply(self.durable, event, len(event.data))
        self.pending.clear()

    def crash(self, chance: Random) -> bytes:
        share = chance.choice((0.0, 0.3, 0.7, 1.0))
        for event in self.pending:
            if chance.random() < share:
                sectors = -(-len(event.data) // SECTOR)
                cut = SECTOR * chance.randint(0, sectors) if chance.random() < 0.3 else len(event.data)
                _apply(self.durable, event, cut)
        return bytes(self.durable)


def _apply(content: bytearray, event: Event, cut: int) -> None:
    if event.what == "truncate":
        del content[event.at :]
        return
    data = event.data[:cut]
    if len(content) < event.at:
        content.extend(bytes(event.at - len(content)))
    content[event.at : event.at + len(data)] = data


class Disk:
    """The files below a directory: what happens to them while this records, and what a cut leaves.

    Parameters
    ----------
    place
        The directory. What stands in it when recording begins counts as durable, if it is a directory.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.events: list[Event] = []
        self._numbers: dict[str, int] = {}  # of files, by path
        self._next = 0

    # ------------------------------------------------------------ recording

    def say(self, what: Any) -> None:
        """Take note of what was said."""
        self.events.append(Event("say", what))

    def made(self, path: str) -> int:
        """Take note of a file, if it is not known; return its number."""
        if path not in self._numbers:
            self._next += 1
            self._numbers[path] = self._next
            self.events.append(Event("link", os.path.dirname(path), os.path.basename(path), self._next))
        return self._numbers[path]

    def wrote(self, number: int, at: int, data: bytes) -> None:
        """Take note of a write."""
        self.events.append(Event("write", number, at=at, data=data))

    def truncated(self, number: int, size: int) -> None:
        """Take note of a file's new, smaller size."""
        self.events.append(Event("truncate", number, at=size))

    def synced(self, number: int) -> None:
        """Take note that a file is on disk."""
        self.events.append(Event("sync", number))

    def removed(self, path: str) -> None:
        """Take note that a file has no name any more."""
        if self._numbers.pop(path, None) is not None:
            self.events.append(Event("unlink", os.path.dirname(path), os.path.basename(path)))

    def renamed(self, old: str, new: str) -> None:
        """Take note that a file has another name."""
        self._numbers[new] = number = self._numbers.pop(old)
        for what, path in (("link", new), ("unlink", old)):
            self.events.append(Event(what, os.path.dirname(path), os.path.basename(path), number))

    def synced_dir(self, directory: str) -> None:
        """Take note that a directory is on disk, with what stands in it."""
        for entry in os.scandir(directory):
            if entry.is_file():
                self.made(entry.path)
        self.events.append(Event("sync_dir", directory))

    # ------------------------------------------------------------ the cut

    def cut(self, moment: int, chance: Random, place: Path) -> list[Any]:
        """Put what a power cut behind so many events leaves into a directory; return what was said."""
        files: dict[int, _File] = {}
        directories: dict[str, tuple[dict[str, int], list[Event]]] = {}
        said = []
        for event in self.events[:moment]:
            if event.what == "say":
                said.append(event.of)
            elif event.what in ("write", "truncate"):
                files.setdefault(event.of, _File()).pending.append(event)
            elif event.what == "sync":
                files.setdefault(event.of, _File()).sync()
            else:
                entries, pending = directories.setdefault(event.of, ({}, []))
                if event.what != "sync_dir":
                    pending.append(event)
                    continue
                _change(entries, pending)
                pending.clear()
        for directory, (entries, pending) in directories.items():
            _change(entries, pending[: chance.randint(0, len(pending))])
            below = place / os.path.relpath(directory, self.place)
            below.mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, number in entries.items():
                (below / name).write_bytes(files.setdefault(number, _File()).crash(chance))
                (below / name).chmod(0o600)
        return said


def _change(entries: dict[str, int], events: Sequence[Event]) -> None:
    for event in events:
        if event.what == "link":
            entries[event.name] = event.at
        else:
            entries.pop(event.name, None)


# ---------------------------------------------------------------- what is seen


@contextmanager
def recording(disk: Disk) -> Iterator[None]:
    """Within, stores in SQLite are on this disk."""
    vfs = _Vfs(disk)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite.sqlite3, "connect", lambda path, **_: _Connection(str(path), vfs=vfs.name))
        patch.setattr(payload_files, "os", _Os(disk))
        for module in (sqlite, payload_files, mark):
            original = module.sync_dir

            def sync_dir(directory: Path, original: Any = original) -> None:
                original(directory)
                disk.synced_dir(str(directory))

            patch.setattr(module, "sync_dir", sync_dir)
        try:
            yield
        finally:
            vfs.unregister()


class _Connection(apsw.Connection):
    """What of the standard library's the store uses and apsw calls otherwise."""

    def executescript(self, statements: str) -> None:
        """Carry out statements, all rows of them."""
        for _ in self.execute(statements):
            pass


class _Vfs(apsw.VFS):
    def __init__(self, disk: Disk) -> None:
        self.name = f"power-{id(disk)}"
        self._disk = disk
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> _VfsFile:
        """Open a file."""
        return _VfsFile(self._disk, name, flags)

    def xDelete(self, name: str, sync_dir: bool) -> None:
        """Remove a file."""
        super().xDelete(name, sync_dir)
        self._disk.removed(name)
        if sync_dir:
            self._disk.synced_dir(os.path.dirname(name))


class _VfsFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: Any, flags: list[int]) -> None:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk, self._directory = disk, os.path.dirname(path)
        # As in SQLite: the name of a journal that is made is on disk when first its content is.
        self._is_new = bool(flags[0] & _JOURNALS) and not os.path.exists(path)
        super().__init__("", name, flags)
        self._number = disk.made(path)

    def xWrite(self, data: bytes, offset: int) -> None:
        """Write."""
        super().xWrite(data, offset)
        self._disk.wrote(self._number, offset, bytes(data))

    def xTruncate(self, size: int) -> None:
        """Make it smaller."""
        super().xTruncate(size)
        self._disk.truncated(self._number, size)

    def xSync(self, flags: int) -> None:
        """Write it through."""
        super().xSync(flags)
        self._disk.synced(self._number)
        if self._is_new:
            self._is_new = False
            self._disk.synced_dir(self._directory)


class _Os:
    """What the store uses of :mod:`os` to write files."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._open: dict[int, tuple[int, int]] = {}  # number and place, by descriptor

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def open(self, path: Path, flags: int, mode: int = 0o777) -> int:
        """Open a file to write it anew."""
        assert flags & os.O_TRUNC
        descriptor = os.open(path, flags, mode)
        self._open[descriptor] = self._disk.made(str(path)), 0
        self._disk.truncated(self._open[descriptor][0], 0)
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write at the end."""
        count = os.write(descriptor, data)
        number, at = self._open[descriptor]
        self._disk.wrote(number, at, bytes(data[:count]))
        self._open[descriptor] = number, at + count
        return count

    def fsync(self, descriptor: int) -> None:
        """Write it through."""
        os.fsync(descriptor)
        self._disk.synced(self._open[descriptor][0])

    def close(self, descriptor: int) -> None:
        """Close it."""
        os.close(descriptor)
        del self._open[descriptor]

    def replace(self, old: Path, new: Path) -> None:
        """Rename it."""
        os.replace(old, new)
        self._disk.renamed(str(old), str(new))

    def unlink(self, path: Path) -> None:
        """Remove it."""
        os.unlink(path)
        self._disk.removed(str(path))
