"""A batch under construction."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

from ctrlhub.controller.stores.packing import Batch, pack_batch


class Draft:
    """A batch that is being made."""

    __slots__ = (
        "commands", "digests", "fetched", "forgotten", "results", "sequence", "sessions", "size",
        "tasks", "template_rows", "templates",
    )  # fmt: skip

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.size = 0
        self.sessions: dict[int, tuple[Any, ...]] = {}
        self.templates: dict[Any, int] = {}
        self.template_rows: list[tuple[Any, ...]] = []
        self.tasks: list[tuple[Any, ...]] = []
        self.commands: list[tuple[Any, ...]] = []
        self.results: list[tuple[Any, ...]] = []
        self.fetched: list[tuple[int, int]] = []
        self.forgotten: list[tuple[int, int]] = []
        self.digests: set[bytes] = set()

    def __bool__(self) -> bool:
        return bool(self.tasks or self.commands or self.results or self.fetched or self.forgotten)

    def template(self, key: Any, make: Callable[[], tuple[Any, ...]]) -> int:
        """Return the index of a template."""
        index = self.templates.get(key)
        if index is None:
            index = self.templates[key] = len(self.template_rows)
            self.template_rows.append(make())
        return index

    def leave_out(self, requests: Container[int], results: Container[int]) -> None:
        """Leave out requests and results that have gone again."""
        self.tasks = [row for row in self.tasks if row[0] not in requests]
        self.commands = [row for row in self.commands if row[0] not in requests]
        self.results = [row for row in self.results if row[0] not in results]

    def pack(self) -> bytes:
        """Return the batch."""
        return pack_batch(Batch(
            tuple(self.sessions.values()), self.template_rows, self.tasks, self.commands,
            self.results, tuple(self.fetched), tuple(self.forgotten),
        ))  # fmt: skip
