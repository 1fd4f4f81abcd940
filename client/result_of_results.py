"""Tasks that are called with other results.

Their values go from the hub to the engine. What comes here before the task leaves may be too large for
the hub to keep; and where the hub is killed, the one that follows does not have what had been fetched
before. The client has, so it puts it into the arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ctrlhub.client.requests import (
    CalledWithResults,
    Owner,
    Portion,
    Sender,
    Stirred,
    Template,
)
from ctrlhub.client.result_arguments import Mark, collecting
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import Row, is_ok, opened
from ctrlhub.client.single_result import AsyncResult
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.serialize import detached, dumps_call, loads
from ctrlhub.wire.supplied import lending

_log = GuardedLog("ctrlhub.client")


def with_results(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], template: Template
) -> tuple[Payload, Template, tuple[AsyncResult, ...]]:
    """Serialize arguments that may hold results; return them, what waits for these, and these."""
    with collecting() as found:
        payload = dumps_call(args, kwargs)
    options = replace(template.options, arguments=found.requests) if found else template.options
    return payload, template.with_options(options), tuple(found.results)


class CalledWith:
    """The results among the arguments of a task, and what becomes of these once some have come.

    Parameters
    ----------
    results
        The results.
    """

    __slots__ = ("_results",)

    def __init__(self, results: tuple[AsyncResult, ...]) -> None:
        self._results = results

    @property
    def one_is_large(self) -> bool:
        """Whether a value is here that the hub may not keep now that it is."""
        rows = [row for result in self._results for row in result._rows() if row is not None]
        return any(is_ok(row) and type(row[2]) is not bytes for row in rows)

    def with_values(
        self, payload: Payload, template: Template, whose: object
    ) -> tuple[Payload, Template] | None:
        """Put those values into arguments that are here; return these, and what waits for the others.

        Returns
        -------
        (Payload, Template) or None
            None where nothing changes.
        """
        rows = [row for result in self._results for row in result._rows()]
        if not any(row is not None and is_ok(row) for row in rows):
            return None
        try:
            with lending(self._values()):
                args, kwargs = loads(payload)
            with collecting() as left:
                payload = detached(dumps_call(args, kwargs))
        except Exception as error:  # of user code, pickled or unpickled: it goes as it is, then
            _log.warning("values of results cannot be put into %r: %s", whose, error)
            return None
        return payload, template.with_options(replace(template.options, arguments=left.requests))

    def _values(self) -> dict[int, Any]:
        """Return by request the values that are here, and marks for the others."""
        values: dict[int, Any] = {}
        for result in self._results:
            for number, row in zip(result._numbers(), result._rows(), strict=True):
                is_here = row is not None and is_ok(row)
                values[number] = opened(row)[2] if row is not None and is_here else Mark(number)
        return values


class ResultOfResults(AsyncResult, CalledWithResults):
    """Such a result.

    Parameters
    ----------
    home, number, payload, about
        As for `AsyncResult`.
    needed
        The results among the arguments; kept until this one is there.
    """

    __slots__ = ("_needed",)

    def __init__(
        self,
        home: Home,
        number: int,
        payload: Payload,
        about: Template,
        needed: tuple[AsyncResult, ...],
    ) -> None:
        super().__init__(home, number, payload, about)
        self._needed: CalledWith | None = CalledWith(needed)

    def _enter(self, sender: Sender) -> None:
        if self._needed is not None and self._needed.one_is_large:
            self._insert_values()  # it has come since this was called
        super()._enter(sender)
        if self._template().options.arguments:
            sender.add_names(self._number)

    def _settle(self, row: Row, now: float) -> Stirred | None:
        self._needed = None
        return super()._settle(row, now)

    def _insert_values(self) -> None:
        """Put those values into the arguments that are here: another hub may not have them."""
        needed = self._needed
        found = needed and needed.with_values(self._payload(self._number), self._template(), self)
        if found:
            payload, self._about = found
            self._cell = payload if type(payload) is bytes else list(payload)


class PortionOfResults(Portion, CalledWithResults):
    """A task of a map whose arguments hold such results.

    Parameters
    ----------
    first, payloads, template, owner, offset
        As for `Portion`, of one task.
    needed
        As for `ResultOfResults`.
    """

    __slots__ = ("_needed",)

    def __init__(
        self,
        first: int,
        payloads: list[Payload],
        template: Template,
        owner: Owner,
        offset: int,
        needed: tuple[AsyncResult, ...],
    ) -> None:
        super().__init__(first, payloads, template, owner, offset)
        self._needed = CalledWith(needed)

    def _enter(self, sender: Sender) -> None:
        if self._needed.one_is_large:
            self._insert_values()
        super()._enter(sender)
        if self._about.options.arguments:
            sender.add_names(self.first)

    def _insert_values(self) -> None:
        found = self._needed.with_values(self._payloads[0], self._about, self)
        if found:
            payload, self._about = found
            self._payloads = [payload]
