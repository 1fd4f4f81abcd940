"""What a client does with what it has asked for: wait for it, stop it."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.connection import Connection
from ctrlhub.wire.ids import number_of

Job = AsyncResult | Future[Any] | str
SomeJobs = Job | Iterable[Job] | None
"""A result, any future, the id of a request, or several of these; None is everything that is out."""


class Jobs:
    """The part of a client that knows what is out."""

    _connection: Connection

    def wait(self, jobs: SomeJobs = None, timeout: float | None = None) -> bool:
        """Wait for results.

        Parameters
        ----------
        jobs
            A result, any future, the id of a request, or several of these; None is everything
            that this client has out.
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.

        Returns
        -------
        bool
            Whether all are done.
        """
        futures = self._futures(jobs)
        limit = None if timeout is None or timeout < 0 else timeout
        self._connection.check_wait()
        return not wait_for_futures(futures, limit).not_done

    def abort(self, jobs: SomeJobs = None) -> None:
        """Stop results: what waits in a queue at once, what runs by an interrupt.

        Parameters
        ----------
        jobs
            As for `wait`.

        Raises
        ------
        HubUnavailable
            The hub does not answer.
        """
        for future in self._futures(jobs):
            future.cancel()

    def _futures(self, jobs: SomeJobs) -> list[Future[Any]]:
        wanted = None if jobs is None else [jobs] if isinstance(jobs, Future | str) else list(jobs)
        if wanted is not None and not any(isinstance(job, str) for job in wanted):
            return [job for job in wanted if isinstance(job, Future)]
        outstanding: dict[int, Future[Any]] = {}
        for request in self._connection.outstanding():
            future = request._future()
            outstanding.update(dict.fromkeys(request._numbers(), future))
        if wanted is None:
            return list(dict.fromkeys(outstanding.values()))
        named = (outstanding.get(number_of(job)) if isinstance(job, str) else job for job in wanted)
        return [future for future in named if future is not None]
