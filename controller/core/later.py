"""Answers that are not there yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ctrlhub.wire.errors import CtrlHubError


class OnceStored:
    """What a method returns whose value is told once all is stored that it has brought about."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Later:
    """What a method returns whose answer has to wait for something: it is given, or refused, once.

    Until then the caller waits, as far as its own deadline allows; so whoever makes one has a
    deadline too, and refuses when that is over.
    """

    __slots__ = ("_answer",)

    def __init__(self) -> None:
        self._answer: Callable[[Any, CtrlHubError | None], None] | None = None

    def on_answer(self, answer: Callable[[Any, CtrlHubError | None], None]) -> None:
        """Say who takes the value, or the error."""
        self._answer = answer

    def give(self, value: Any) -> None:
        """Answer with a value."""
        self._take()(value, None)

    def refuse(self, error: CtrlHubError) -> None:
        """Answer with an error."""
        self._take()(None, error)

    def _take(self) -> Callable[[Any, CtrlHubError | None], None]:
        answer, self._answer = self._answer, None
        assert answer is not None, "answered twice, or before the call has returned"
        return answer
