"""What a client does with what it has asked for: wait for it, stop it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures
from typing import Any, TypeAlias

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.cancellations import AT_ONCE
from ctrlhub.client.explaining import explained
from ctrlhub.client.hub_result import AsyncHubResult
from ctrlhub.client.metadata import UNFINISHED
from ctrlhub.client.records import Records
from ctrlhub.client.requests import CommandRequest
from ctrlhub.client.seconds import check_grace
from ctrlhub.client.short_traceback import shortened
from ctrlhub.client.targets import Targets
from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import from_ranges, session_of, text_of, to_ranges
from ctrlhub.wire.messages import Stream

Job: TypeAlias = "AsyncResult | Future[Any] | str | int"
SomeJobs: TypeAlias = "Job | Iterable[Job] | None"
"""A result, any future, the id of a request, a place in the history, or several of these; None is
everything that is out."""


STOPPED = ("cancelled", "interrupted", "finished", "unknown")
"""What becomes of requests that are to be stopped by their ids."""


class Jobs(Records):
    """The part of a client that knows what is out."""

    def wait(self, jobs: SomeJobs = None, timeout: float | None = None) -> bool:
        """Wait for results.

        Parameters
        ----------
        jobs
            A result, any future, the id of a request, a place in `history`, or several of these;
            None is everything that this client has out.
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
        try:
            return not wait_for_futures(futures, limit).not_done
        except KeyboardInterrupt as stop:
            raise shortened(stop)  # noqa: B904 - it is the same

    def wait_interactive(
        self,
        jobs: SomeJobs = None,
        interval: float = 1.0,
        timeout: float | None = None,
        widget: bool | None = None,
    ) -> bool:
        """Show a progress bar while waiting for results.

        Parameters
        ----------
        jobs, timeout
            As for `wait`.
        interval
            How often (seconds) to bring the bar up to date.
        widget
            Show a Jupyter widget; None does where that is possible.

        Returns
        -------
        bool
            Whether all are done.
        """
        from ctrlhub.client.progress import Progress

        futures = self._futures(jobs)
        self._connection.check_wait()
        end = time.monotonic() + timeout if timeout is not None and timeout >= 0 else float("inf")
        waiting: set[Future[Any]] = set(futures)
        with Progress(_items(futures), "results", widget=widget) as bar:
            while waiting and (left := end - time.monotonic()) > 0:
                waiting = wait_for_futures(waiting, min(interval, left)).not_done
                bar.show(_items(futures) - _items_left(waiting))
        return not waiting

    def abort(
        self,
        jobs: SomeJobs = None,
        targets: Targets = None,
        block: bool | None = None,
        *,
        grace: float | None = None,
    ) -> None:
        """Stop results: what waits in a queue at once, what runs by an interrupt.

        Afterwards what has not begun is cancelled, but for a command that waits on its engine behind
        a task that runs: that takes a moment more. What was running ends with the interrupt, or does
        not heed it: that shows when it is done. What catches the interrupt ends with what it returns
        or raises.

        Parameters
        ----------
        jobs
            As for `wait`. One's own only: other clients' requests are theirs to stop.
        targets
            Only commands on these engines.
        block
            Wait until the hub has stopped what waits; False does not.
        grace
            How long (seconds) tasks may go on after the interrupt: then their engines' processes are
            killed and started again. None leaves it to the `grace` they were submitted with.

        Raises
        ------
        HubUnavailable
            The hub does not answer.
        InvalidRequest
            Some are another client's and have not ended.
        ValueError
            There is a grace, and there are commands: only tasks have one. Nothing is stopped.
        """
        on = None if targets is None else self._commands_on(self._resolve(targets))
        chosen: dict[Stream, set[int]] = {Stream.MULTIENGINE: set(), Stream.TASK: set()}
        whole: list[AsyncResult] = []
        others: list[Future[Any]] = []
        for future in self._futures(jobs, to_stop=True):
            if isinstance(future, AsyncResult) and not isinstance(future, AsyncHubResult):
                waiting = set(from_ranges(future._waiting()))
                chosen[future._about.stream] |= waiting if on is None else waiting & on
                if on is None or waiting <= on:
                    whole.append(future)
            elif on is None:
                others.append(future)
        check_grace(grace, Stream.MULTIENGINE if chosen[Stream.MULTIENGINE] else Stream.TASK)
        for future in others:
            future.cancel()
        connection, wait = self._connection, block is not False
        ranges = [(stream, to_ranges(sorted(ids))) for stream, ids in chosen.items() if ids]
        if not wait or connection.is_io_thread():
            for stream, ids in ranges:
                connection.cancel_later(stream, ids, grace)
            return
        running = set[int]().union(*[connection.cancel(*each, grace) for each in ranges])
        # The others have ended; that will be told on the stream of results, too.
        stopped = [future for future in whole if running.isdisjoint(future._numbers())]
        wait_for_futures(stopped, connection.timeout)

    def cancel_requests(
        self, msg_ids: str | Iterable[str], *, grace: float | None = None
    ) -> dict[str, list[str]]:
        """Stop requests by their ids, whichever client made them: what waits at once, what runs by an interrupt.

        Their own clients get them as cancelled. To stop one's own, `abort` also takes results.

        Parameters
        ----------
        msg_ids
            One id or several.
        grace
            As for `abort`; commands have none, and go on if they do not heed the interrupt.

        Returns
        -------
        dict
            What became of them: the ids of those that were ``cancelled``, ``interrupted``, had ``finished``
            already, or are ``unknown`` to the hub.
        """
        check_grace(grace, Stream.TASK)
        names = [msg_ids] if isinstance(msg_ids, str) else msg_ids
        numbers = sorted({number for name in names for number in self._numbers_of(name)})
        found: dict[str, list[str]] = {name: [] for name in STOPPED}
        for place in range(0, len(numbers), AT_ONCE):
            asked = numbers[place : place + AT_ONCE]
            wish = {"requests": to_ranges(asked), "grace": grace}
            answer = self._connection.call("history", "stop", wish)
            known: set[int] = set()
            for how, ranges in answer.items():
                ids = list(from_ranges(ranges))
                known.update(ids)
                found[how] += map(text_of, ids)
            left = [number for number in asked if number not in known]
            ended = {record["msg_id"] for record in self._records(left)}
            for name in map(text_of, left):
                found["finished" if name in ended else "unknown"].append(name)
        return found

    def _commands_on(self, engines: Iterable[int]) -> set[int]:
        """Return the ids of the commands to some engines that are out."""
        chosen = frozenset(engines)
        return {
            number
            for request in self._connection.outstanding()
            if isinstance(request, CommandRequest)
            for number, target in zip(request._numbers(), request.targets, strict=True)
            if target in chosen
        }

    def clear(self, targets: Targets = "all", block: bool | None = None) -> Any:
        """Forget everything in the namespaces of engines.

        Parameters
        ----------
        targets
            The engines.
        block
            Wait until it is done, and raise what went wrong; else return the result to come.
        """
        from ctrlhub.client.direct_view import DirectView

        return DirectView(self, targets).clear(block=bool(block))  # type: ignore[arg-type]

    def explain(self, task: AsyncResult | str | int) -> str:
        """Say why a task is not running, or how far it is.

        Parameters
        ----------
        task
            A result, the id of a request, of whichever client, or a place in `history`.
        """
        return explained(self._connection, self._result_of(task))

    def _futures(self, jobs: SomeJobs, *, to_stop: bool = False) -> list[Future[Any]]:
        """Return what is meant; by ids what is out, and of others what there is to wait for."""
        if jobs is None:
            requests = self._connection.outstanding()
            return list(dict.fromkeys(request._future() for request in requests))
        wanted = [jobs] if isinstance(jobs, Future | str | int) else list(jobs)
        futures: list[Future[Any]] = [job for job in wanted if isinstance(job, Future)]
        named = [job for job in wanted if not isinstance(job, Future)]
        if not named:
            return futures
        numbers, own = self._numbers_of(named), self._connection.session
        others = [number for number in numbers if session_of(number) != own]
        if others and to_stop:
            self._check_over(others)
        elif others:
            futures.append(self._result_of([text_of(number) for number in others]))
        former = [number for number in numbers if self._connection.is_former(number)]
        if former:
            futures.append(self._result_of([text_of(number) for number in former]))
        outstanding: dict[int, Future[Any]] = {}
        for request in self._connection.outstanding():
            outstanding.update(dict.fromkeys(request._numbers(), request._future()))
        found = [outstanding[number] for number in numbers if number in outstanding]
        return list(dict.fromkeys([*futures, *found]))

    def _check_over(self, others: Iterable[int]) -> None:
        """See that other clients' requests have ended, or are unknown: there is nothing to stop."""
        going = [r["msg_id"] for r in self._records(others) if r["status"] in UNFINISHED]
        if going:
            raise InvalidRequest(
                f"request {going[0]} is another client's: cancel_requests() stops it"
            )


def _items(futures: Iterable[Future[Any]]) -> int:
    return sum(len(future) if isinstance(future, AsyncResult) else 1 for future in futures)


def _items_left(futures: Iterable[Future[Any]]) -> int:
    return sum(
        len(future) - future.progress if isinstance(future, AsyncResult) else 1
        for future in futures
    )
