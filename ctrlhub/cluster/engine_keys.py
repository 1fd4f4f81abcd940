"""The keys of a supervisor's engines, which outlive it: by these the hub knows whose id is whose.

So the engines of a cluster that was killed as a whole, or lost its power, have their ids when it is
started again, although nobody is left who could say that the former ones are dead.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

from ctrlhub.wire.private import StateError, read_private, write_private
from ctrlhub.wire.security import KeyPair

_MAX_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


def engine_keys(path: Path, count: int) -> tuple[KeyPair, ...]:
    """Return the keys of so many engines, of the file as far as it has any; it has them afterwards.

    Parameters
    ----------
    path
        The file.
    count
        How many engines.

    Raises
    ------
    StateError
        It cannot be written.
    """
    kept = _load(path)
    if len(kept) < count:
        kept += [KeyPair.generate() for _ in range(count - len(kept))]
        write_private(path, json.dumps([pair.to_mapping() for pair in kept]).encode() + b"\n")
    return tuple(kept[:count])


def _load(path: Path) -> list[KeyPair]:
    try:
        found = json.loads(read_private(path, _MAX_BYTES))
        if isinstance(found, list):
            return [KeyPair.from_mapping(each) for each in found]
        raise ValueError("it is no list")
    except FileNotFoundError:
        return []
    except (StateError, ValueError, RecursionError) as error:
        _log.warning("%s cannot be used: engines get new keys, and perhaps ids: %s", path, error)
        return []
