"""The functions that a journal's batches call, each stored once. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ctrlhub.controller.core.functions import Function
from ctrlhub.controller.stores.changes import Changes
from ctrlhub.controller.stores.draft import Draft


class Called:
    """Which batch calls which functions, by their digests."""

    __slots__ = ("_by_batch", "_uses")

    def __init__(self) -> None:
        self._by_batch: dict[int, frozenset[bytes]] = {}
        self._uses: Counter[bytes] = Counter()  # how many batches call it

    def __contains__(self, digest: bytes) -> bool:
        return self._uses[digest] > 0

    def digests(self) -> set[bytes]:
        """Return the digests of all functions that are called."""
        return {digest for digest, count in self._uses.items() if count}

    def call(self, draft: Draft, function: Function, changes: Changes) -> None:
        """Take note of a call from a draft; a function that nothing called before is stored."""
        digest = function.digest
        if digest in draft.digests:
            return
        draft.digests.add(digest)
        if not self._uses[digest]:
            changes.functions[digest] = function.blob
            if digest in changes.gone_functions:
                changes.gone_functions.remove(digest)
        self._uses[digest] += 1

    def call_again(self, draft: Draft, digest: bytes) -> None:
        """Take note of a call that an earlier batch has, too."""
        if digest not in draft.digests:
            draft.digests.add(digest)
            self._uses[digest] += 1

    def close(self, draft: Draft) -> None:
        """Take note that a draft has become a batch."""
        self._by_batch[draft.sequence] = frozenset(draft.digests)

    def remove(self, sequence: int, changes: Changes) -> None:
        """Take note that a batch goes, and functions with it that nothing else calls."""
        for digest in self._by_batch.pop(sequence):
            self._uses[digest] -= 1
            if not self._uses[digest]:
                del self._uses[digest]
                if changes.functions.pop(digest, None) is None:
                    changes.gone_functions.append(digest)

    def load(self, sequence: int, digests: Iterable[bytes]) -> None:
        """Take note of a batch that was read."""
        self._by_batch[sequence] = frozenset(digests)
        self._uses.update(self._by_batch[sequence])

    def check(self) -> None:
        """Assert that counts and batches agree."""
        uses = Counter(digest for digests in self._by_batch.values() for digest in digests)
        assert Counter({d: n for d, n in self._uses.items() if n}) == uses
