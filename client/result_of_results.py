"""The result to come of a task that is called with other results.

Their values go from the hub to the engine. Where the hub is killed, the one that follows does not have
those that had been fetched before; the client has, so it puts them into the arguments.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ctrlhub.client.requests import CalledWithResults, Stirred, Template
from ctrlhub.client.result_arguments import Mark, collecting
from ctrlhub.client.result_base import Home
from ctrlhub.client.rows import Row, is_ok, opened
from ctrlhub.client.single_result import AsyncResult
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.messages import Payload
from ctrlhub.wire.serialize import detached, dumps_call, loads
from ctrlhub.wire.supplied import lending

_log = GuardedLog("ctrlhub.client")


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
        self._needed = needed

    def _settle(self, row: Row, now: float) -> Stirred | None:
        self._needed = ()
        return super()._settle(row, now)

    def _insert_values(self) -> None:
        """Put those values into the arguments that are here: another hub may not have them."""
        rows = [row for result in self._needed for row in result._rows()]
        if not any(row is not None and is_ok(row) for row in rows):
            return
        template = self._template()
        try:
            with lending(self._values()):
                args, kwargs = loads(self._payload(self._number))
            with collecting() as left:
                payload = detached(dumps_call(args, kwargs))
        except Exception as error:  # of user code, pickled or unpickled: it goes as it is, then
            _log.warning("values of results cannot be put into %r: %s", self, error)
            return
        self._about = template.with_options(replace(template.options, arguments=left.requests))
        self._cell = payload if type(payload) is bytes else list(payload)

    def _values(self) -> dict[int, Any]:
        """Return by request the values that are here, and marks for the others."""
        values: dict[int, Any] = {}
        for result in self._needed:
            for number, row in zip(result._numbers(), result._rows(), strict=True):
                is_here = row is not None and is_ok(row)
                values[number] = opened(row)[2] if row is not None and is_here else Mark(number)
        return values
