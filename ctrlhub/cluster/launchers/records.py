"""``sets/NAME.json``: what is known of a set of engines, for whoever takes it up."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ctrlhub.cluster.launchers.spec import EngineSet
from ctrlhub.wire.private import StateError, read_private, write_private

FORMAT = 1
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SetRecord:
    """A set, and what the system calls it.

    Parameters
    ----------
    spec
        What was asked for.
    handle
        What was started; empty while that is not known.
    stopping
        Somebody is ending it, and nobody is to start it again.
    wanted
        How many engines the whole set is to have, all its parts together, since it was scaled.
    """

    spec: EngineSet
    handle: Mapping[str, Any] = field(default_factory=dict)
    stopping: bool = False
    wanted: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "format": FORMAT, "set": self.spec.to_dict(), "handle": dict(self.handle), "stopping": self.stopping,
            "wanted": self.wanted,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SetRecord:
        """Return the record that `to_dict` has written.

        Raises
        ------
        ValueError
            This is none.
        """
        if data.get("format") != FORMAT:
            raise ValueError(f"it has format {data.get('format')!r} and this version reads {FORMAT}")
        spec, handle = data.get("set"), data.get("handle")
        if not isinstance(spec, Mapping) or not isinstance(handle, Mapping):
            raise ValueError("it has no set or no handle")
        wanted = data.get("wanted")
        if wanted is not None and (type(wanted) is not int or wanted < 0):
            raise ValueError(f"{wanted!r} is no number of engines")
        return cls(EngineSet.from_dict(spec), dict(handle), data.get("stopping") is True, wanted)


def save_record(path: Path, record: SetRecord) -> None:
    """Write a record: 0600 from its creation, and never seen half-written."""
    write_private(path, _bytes(record))


def create_record(path: Path, record: SetRecord) -> None:
    """Write a record where there is none.

    Raises
    ------
    FileExistsError
        There is one.
    """
    fresh = path.with_name(f"{path.name}.{record.spec.cookie}.unfinished")
    write_private(fresh, _bytes(record))
    try:
        # A link is made or not, whoever else tries at the same time.
        os.link(fresh, path)
    finally:
        fresh.unlink()


def read_record(path: Path) -> SetRecord:
    """Read a record.

    Raises
    ------
    FileNotFoundError
        There is none.
    StateError
        It is none of ours, or damaged; the message says what to do.
    """
    try:
        data = json.loads(read_private(path, _MAX_BYTES))
        if not isinstance(data, dict):
            raise ValueError("it is not a JSON object")
        return SetRecord.from_dict(data)
    except (ValueError, RecursionError) as error:
        raise StateError(
            f"{path} describes no set of engines ({error}): see whether a job named like it is "
            "queued, and remove the file"
        ) from None


def load_record(path: Path) -> SetRecord | None:
    """Read a record; None where there is none."""
    with suppress(FileNotFoundError):
        return read_record(path)
    return None


def _bytes(record: SetRecord) -> bytes:
    return json.dumps(record.to_dict(), indent=2).encode() + b"\n"
