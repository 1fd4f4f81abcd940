"""Submissions that may be said again: a key is given one set of requests, whoever is killed. No I/O.

Before requests leave, their key and the ids that they will have are written down, and again once the hub
has stored them all. Who says a key again gets these ids. Where they were not stored, as when the gateway was
killed in between, the hub is asked for each: what it does not know was never accepted, and is made anew.
Where it has refused some, all are stopped, and the key is as if it had not been said.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from ctrlhub.wire.ids import Ranges, from_ranges, to_ranges

MOST_KEYS = 65_536
"""So many keys are remembered."""

KEY_SECONDS = 86_400.0
"""For so long (seconds)."""

KEY_PATTERN = "[!-~]{1,255}"
"""What a key looks like: letters, digits and signs of ASCII."""


class KeyReused(ValueError):
    """A key of a submission was used for another one."""

    code = "key_reused"


class Stage(StrEnum):
    """How far a submission has come."""

    CLAIMED = "claimed"
    """Its ids are chosen; what of it the hub has, it says itself."""
    STORED = "stored"
    """The hub has all of it."""
    WITHDRAWN = "withdrawn"
    """It was refused: nothing is left of it."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a key was used for.

    Parameters
    ----------
    key
        The key, with whose it is.
    digest
        Of what was submitted: a key is for one thing only.
    requests
        The ids of its requests.
    time
        When (Unix time, seconds).
    stage
        How far it has come.
    """

    key: str
    digest: str
    requests: Ranges
    time: float
    stage: Stage = Stage.CLAIMED

    @property
    def numbers(self) -> list[int]:
        """The ids, in order."""
        return list(from_ranges(self.requests))

    def line(self) -> str:
        """Return it as a line of the journal."""
        return json.dumps([self.key, self.digest, self.requests, self.time, self.stage]) + "\n"


class Keys:
    """Keys, and what they were used for."""

    def __init__(self) -> None:
        self._claimed: OrderedDict[str, Claimed] = OrderedDict()

    def __len__(self) -> int:
        return len(self._claimed)

    def find(self, key: str, now: float) -> Claimed | None:
        """Return what a key was used for, if it was, and not too long ago."""
        self._forget(now)
        return self._claimed.get(key)

    def claim(self, key: str, body: bytes, numbers: Iterable[int], now: float) -> Claimed:
        """Use a key; also again, for what was not accepted."""
        claimed = Claimed(key, digest_of(body), to_ranges(numbers), now)
        self._add(claimed)
        return claimed

    def stored(self, claimed: Claimed) -> Claimed:
        """Take note that the hub has all that a key was used for."""
        now = replace(claimed, stage=Stage.STORED)
        self._add(now)
        return now

    def withdraw(self, claimed: Claimed) -> Claimed:
        """Take note that nothing is left of what a key was used for."""
        now = replace(claimed, requests=(), stage=Stage.WITHDRAWN)
        self._add(now)
        return now

    def read(self, lines: Iterable[str], now: float) -> None:
        """Take what a journal has; a line that was being written as its writer died is left out."""
        for line in lines:
            claimed = _claimed(line)
            if claimed is not None:
                self._add(claimed)
        self._forget(now)

    def lines(self) -> Iterator[str]:
        """Yield the lines of a journal that has all that is known."""
        for claimed in self._claimed.values():
            yield claimed.line()

    def _add(self, claimed: Claimed) -> None:
        self._claimed.pop(claimed.key, None)
        if claimed.stage is Stage.WITHDRAWN:
            return
        self._claimed[claimed.key] = claimed
        if len(self._claimed) > MOST_KEYS:
            self._claimed.popitem(last=False)

    def _forget(self, now: float) -> None:
        while self._claimed:
            oldest = next(iter(self._claimed.values()))
            if oldest.time > now - KEY_SECONDS:
                return
            del self._claimed[oldest.key]


def digest_of(body: bytes) -> str:
    """Return what tells one body from another."""
    return hashlib.sha256(body).hexdigest()


def _claimed(line: str) -> Claimed | None:
    try:
        key, digest, requests, time, stage = json.loads(line)
        ranges = tuple((int(first), int(last)) for first, last in requests)
        return Claimed(str(key), str(digest), ranges, float(time), Stage(stage))
    except (ValueError, TypeError):
        return None
