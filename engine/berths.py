"""What belongs to each slot of a nanny beside its process: keys, logs, and what its engine is told."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ctrlhub.engine.config import EngineConfig, NannyConfig
from ctrlhub.engine.logs import LastWords, LogBound, uploads_of
from ctrlhub.wire.private import StateError, read_private, write_private
from ctrlhub.wire.security import KeyPair

MOST_RECORD_BYTES = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class Berths:
    """The berths, one for each slot. They become more, and never less.

    Parameters
    ----------
    config
        What the nanny was told.
    cores
        How many cores there are for all engines.
    """

    def __init__(self, config: NannyConfig, cores: int) -> None:
        self._config = config
        self._cores = cores
        self._keys: list[KeyPair] = []
        self._incarnations: list[bytes] = []
        self._last_words: list[LastWords] = []
        self._bounds: list[LogBound] = []
        self.grow(config.engines)

    def grow(self, count: int) -> None:
        """Have so many in all, at least."""
        for slot in range(len(self._bounds), count):
            given = self._config.keys
            self._keys.append(given[slot] if slot < len(given) else KeyPair.generate())
            self._incarnations.append(b"")
            self._last_words.append(LastWords(self.log_of(slot)))
            self._bounds.append(LogBound(self.log_of(slot)))

    def log_of(self, slot: int) -> Path:
        """Return the log of a slot's engines."""
        return Path(self._config.logs) / f"engine-{slot}.log"

    def key_of(self, slot: int) -> str:
        """Return the public key of a slot."""
        return self._keys[slot].public

    def incarnation_of(self, slot: int) -> bytes:
        """Return what names the present process of a slot."""
        return self._incarnations[slot]

    def slot_of(self, key: str) -> int | None:
        """Return the slot of a public key, if there is one."""
        return next((n for n, keys in enumerate(self._keys) if keys.public == key), None)

    def last_words(self, slot: int, since: int = 0) -> str:
        """Return the end of a slot's log, of what stands behind byte `since`."""
        return self._last_words[slot].text(since)

    def begin(self, slot: int, active: int) -> EngineConfig:
        """Make way for another process in a slot, and return what it is told.

        Parameters
        ----------
        slot
            The slot.
        active
            How many engines the nanny has, this one included, to share the cores out.
        """
        keys, config = self._keys[slot], self._config
        self._incarnations[slot] = os.urandom(16)
        self._last_words[slot].begin()
        self.remove_uploads(slot)  # if a nanny before this one was killed
        return EngineConfig(
            slot=slot,
            connection=config.connection,
            public=keys.public,
            secret=keys.secret,
            incarnation=self._incarnations[slot].hex(),
            log=str(self.log_of(slot)),
            wait=config.wait,
            hub_lease=config.hub_lease,
            prefer=config.prefer,
            log_level=config.log_level,
            log_format=config.log_format,
            resources=config.resources_of(slot),
            environment=config.environment_of(slot),
            token=config.token,
            nanny_signals=config.nanny_signals,
            engine_set=config.engine_set,
            threads=config.max_threads or max(1, self._cores // max(1, active)),
        )

    def ended(self, slot: int) -> None:
        """Clear away behind a process."""
        self.remove_uploads(slot)
        self._bounds[slot].look()

    def look_after_logs(self) -> None:
        """See to it that logs do not grow without bound, and that last words are the last ones."""
        for words, bound in zip(self._last_words, self._bounds, strict=True):
            words.mark()
            bound.look()

    def remove_uploads(self, slot: int) -> None:
        """Remove what was uploaded to a slot's engine."""
        directory = uploads_of(self.log_of(slot))
        if directory.exists():
            try:
                shutil.rmtree(directory)
            except OSError as error:  # what is left takes only room
                _log.warning("what was uploaded to slot %d is left: %s", slot, error)

    def record(self, slots: Iterable[int]) -> None:
        """Leave the keys of these slots for the nanny that follows this one, if it is killed."""
        if not self._config.record:
            return
        rows = [
            {"keys": self._keys[n].to_mapping(), "resources": dict(self._config.resources_of(n))}
            for n in slots
        ]
        try:
            write_private(Path(self._config.record), json.dumps(rows).encode() + b"\n")
        except (OSError, StateError) as error:
            _log.error("if this nanny dies, the next one has the former engines: %s", error)


def recorded(record: Path, config: NannyConfig) -> NannyConfig:
    """Return what a nanny is to be told that follows another one: with the engines that this has left.

    Parameters
    ----------
    record
        What the former one has left, if it was told to start or to end engines.
    config
        What that one was told.
    """
    from dataclasses import replace

    try:
        rows = json.loads(read_private(record, MOST_RECORD_BYTES))
        keys = tuple(KeyPair.from_mapping(row["keys"]) for row in rows)
        having = tuple(dict(row["resources"]) for row in rows)
        return replace(config, engines=len(keys), keys=keys, resources=having)
    except FileNotFoundError:
        return config
    except (StateError, ValueError, TypeError, KeyError, RecursionError) as error:
        _log.warning("%s cannot be used, the nanny begins as the first one: %s", record, error)
        return config
