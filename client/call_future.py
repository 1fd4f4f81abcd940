"""The value of a call, as event loops know values to come: one object for each call, and no task."""

from __future__ import annotations

from asyncio import Future
from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any

from ctrlhub.client.arrivals import Arrivals
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.lazy_future import LazyFuture, Lone
from ctrlhub.wire.errors import CtrlHubError


class CallFuture(Lone, Future[Any], Coroutine[Any, Any, Any]):
    """The value of a call that has been made: a future of asyncio, which may be cancelled.

    Where a coroutine is wanted it is one: `asyncio.create_task` and task groups take it, while
    `asyncio.gather` and ``await`` need no task for it.
    """

    # Made without an __init__ of ours, which would cost as much as all of asyncio's.
    __slots__ = ("_arrivals", "_origin", "_steps")

    _arrivals: Arrivals
    _origin: AsyncResult | None
    _steps: Generator[Any, None, Any]

    @classmethod
    def of(cls, result: AsyncResult, arrivals: Arrivals, loop: Any) -> CallFuture:
        """Return the value to come of a result that nobody else has, for the loop of this thread."""
        future = cls(loop=loop)
        future._arrivals = arrivals
        future._origin = result
        result._call_when_done(future)
        return future

    @classmethod
    def failed(cls, error: BaseException, loop: Any) -> CallFuture:
        """Return that of a call that could not be made."""
        future = cls(loop=loop)
        future._origin = None
        future.set_exception(error)
        return future

    # ------------------------------------------------------------ the result comes

    def call(self, future: LazyFuture) -> None:
        """Have the loop take the value; from any thread, and more than once."""
        self._arrivals.add(self._arrive)

    def _arrive(self) -> None:
        origin = self._origin
        if origin is None:
            return  # it was here before
        if not self.done():
            value, error = origin._outcome()
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        # The result has us to tell, and is not to be kept by us for that.
        self._origin = None

    # ------------------------------------------------------------ giving it up

    def cancel(self, msg: Any | None = None) -> bool:
        """Stop the call: what waits in a queue at once, what runs by an interrupt.

        Parameters
        ----------
        msg
            A message for the `asyncio.CancelledError`.

        Returns
        -------
        bool
            Whether it was not done yet.
        """
        if not super().cancel(msg):
            return False
        origin = self._origin
        if origin is not None and not origin.done():
            with suppress(CtrlHubError):  # the client is closed, which ends it as well
                origin._cancel_later()
        return True

    # ------------------------------------------------------------ as a coroutine

    def _run(self) -> Generator[Any, None, Any]:
        try:
            return self._steps
        except AttributeError:
            self._steps = self.__await__()
            return self._steps

    def send(self, value: Any) -> Any:
        """Go on, as a coroutine does."""
        return self._run().send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where it waits, as a coroutine does."""
        return self._run().throw(*error)

    def close(self) -> None:
        """Stop the call: nobody will await it."""
        self.cancel()
