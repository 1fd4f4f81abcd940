"""What a view does with what was asked: wait for it, stop it, look at it; its client does it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any
from warnings import warn

from ctrlhub.client.lookups import RequestIds
from ctrlhub.client.targets import Targets
from ctrlhub.wire.messages import Stream

if TYPE_CHECKING:
    from ctrlhub.client.async_result import AsyncResult
    from ctrlhub.client.client import Client


class ViewJobs:
    """The part of a view that knows what was asked."""

    client: Client
    _given: deque[int | range]
    """The numbers of the requests of its calls."""

    def _engines(self) -> Targets:
        """Return the engines that are meant where none are named; None if it is any."""
        return None

    @property
    def history(self) -> RequestIds:
        """The ids of the requests of this view, first first: those of its last 4,096 calls."""
        given = [(n,) if isinstance(n, int) else n for n in tuple(self._given)]
        return RequestIds(list(chain.from_iterable(given)))

    @property
    def outstanding(self) -> set[str]:
        """The ids of the requests of this view that have not ended."""
        return self.client.outstanding.intersection(self.history)

    @property
    def results(self) -> Mapping[str, Any]:
        """The client's results, by id."""
        return self.client.results

    def wait(self, jobs: Any = None, timeout: float | None = None) -> bool:
        """Wait for results: `Client.wait`; without `jobs`, for those of this view."""
        return self.client.wait(self.outstanding if jobs is None else jobs, timeout)

    def abort(
        self,
        jobs: Any = None,
        targets: Targets = None,
        block: bool | None = None,
        *,
        grace: float | None = None,
    ) -> None:
        """Stop results: `Client.abort`. Without `jobs`, the commands on the view's engines, or tasks.

        Parameters
        ----------
        jobs, block, grace
            As for `Client.abort`.
        targets
            Only commands on these engines; None are the view's, where no jobs are named.
        """
        if jobs is None and targets is None:
            targets = self._engines()
            if targets is None:  # engines as one
                jobs = [future for future in self.client._futures(None) if _is_task(future)]
        self.client.abort(jobs, targets=targets, block=block, grace=grace)

    def get_result(
        self, indices_or_msg_ids: Any = None, block: bool | None = None, owner: bool = True
    ) -> AsyncResult:
        """Return the result of earlier requests: `Client.get_result`; places are in `history`.

        Raises
        ------
        IndexError
            There is no such place in the history.
        """
        wanted = self._named(-1 if indices_or_msg_ids is None else indices_or_msg_ids)
        return self.client.get_result(wanted, block=block, owner=owner)

    def _named(self, wanted: Any) -> Any:
        """Return requests with ids in the place of places in the history."""
        if isinstance(wanted, list | tuple):
            return [self._named(each) for each in wanted]
        if type(wanted) is not int:
            return wanted
        history = self.history
        if not -len(history) <= wanted < len(history):
            raise IndexError(f"there is no request {wanted} in a history of {len(history)}")
        return history[wanted]

    def queue_status(self, targets: Targets = None, verbose: bool = False) -> dict[Any, Any]:
        """Return what engines have to do: `Client.queue_status`, by default of the view's."""
        wanted = self._engines() if targets is None else targets
        return self.client.queue_status("all" if wanted is None else wanted, verbose)

    def purge_results(self, jobs: Any = (), targets: Targets = ()) -> None:
        """Forget requests that have ended: `Client.purge_results`."""
        self.client.purge_results(jobs, targets)

    def shutdown(
        self,
        targets: Targets = None,
        restart: bool = False,
        hub: bool = False,
        block: bool | None = None,
    ) -> None:
        """End engines: `Client.shutdown`, by default the view's."""
        wanted = self._engines() if targets is None else targets
        self.client.shutdown("all" if wanted is None else wanted, restart, hub, block)

    def spin(self) -> None:
        """Do nothing: results come by themselves."""
        warn("spin() does nothing: results come by themselves", DeprecationWarning, stacklevel=2)


def _is_task(future: Any) -> bool:
    about = getattr(future, "_about", None)
    return about is not None and about.stream is Stream.TASK
