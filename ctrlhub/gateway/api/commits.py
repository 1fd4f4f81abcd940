"""Waiting until the hub has stored what was submitted: many who wait, one question at a time."""

from __future__ import annotations

from asyncio import Future, Task, create_task, get_running_loop
from collections.abc import Awaitable, Callable


class Commits:
    """Those who wait for what they have submitted to be safe.

    The hub stores in groups, and so does this wait: while one question is under way all who come wait
    for the next, which is asked for them together.

    Parameters
    ----------
    flush
        Asks the hub: ends once it has stored all that was submitted before.
    """

    def __init__(self, flush: Callable[[], Awaitable[None]]) -> None:
        self._flush = flush
        self._waiting: list[Future[None]] = []
        self._asking: Task[None] | None = None

    async def safe(self) -> None:
        """Wait until all that was submitted before this call is stored.

        Raises
        ------
        CtrlHubError
            The hub has not said so.
        """
        future: Future[None] = get_running_loop().create_future()
        self._waiting.append(future)
        if self._asking is None:
            self._asking = create_task(self._ask())
        await future

    async def _ask(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                try:
                    await self._flush()
                except Exception as error:  # it is theirs, whatever it is
                    for future in waiting:
                        if not future.done():
                            future.set_exception(error)
                else:
                    for future in waiting:
                        if not future.done():
                            future.set_result(None)
        finally:
            self._asking = None
