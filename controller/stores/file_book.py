"""Which requests have arguments or values in files of their own. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ctrlhub.controller.stores.changes import Changes, Kind, file_name
from ctrlhub.controller.stores.packing import FILE_BYTES, pack_payload
from ctrlhub.wire.codec import size_of
from ctrlhub.wire.messages import Payload


class FileBook:
    """The names of files, by request and kind."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[int, dict[int, str]] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def __contains__(self, number: int) -> bool:
        return number in self._names

    def numbers(self) -> Collection[int]:
        """Return the ids of the requests that have any."""
        return self._names.keys()

    def names(self) -> set[str]:
        """Return the names of all."""
        return {name for names in self._names.values() for name in names.values()}

    def note(self, number: int, kind: Kind) -> None:
        """Take note of one that is there."""
        self._names.setdefault(number, {})[kind] = file_name(kind, number)

    def pack(self, number: int, kind: Kind, payload: Payload, changes: Changes) -> Any:
        """Return what stands in a row for a payload; a large one goes into a file."""
        if size_of(payload) < FILE_BYTES:
            return pack_payload(payload)
        name = file_name(kind, number)
        changes.files[name] = payload
        if name in changes.gone_files:
            changes.gone_files.remove(name)
        self.note(number, kind)
        buffers = (payload,) if isinstance(payload, bytes) else payload
        return tuple(size_of((buffer,)) for buffer in buffers)

    def drop(self, number: int, changes: Changes, *kinds: Kind) -> None:
        """Let the files of a request go, of these kinds."""
        names = self._names.get(number, {})
        for name in filter(None, [names.pop(kind, None) for kind in kinds]):
            if changes.files.pop(name, None) is None:
                changes.gone_files.append(name)
        if not names:
            self._names.pop(number, None)
