"""The hub's event loop: descriptors, timers, and calls from other threads.

A plain poll. The hub has a dozen descriptors however many peers there are, since ZeroMQ keeps the
connections, and each message passes through here: layers that a general loop needs (handles,
contexts, selectors of any kind) were a tenth of a small call's time.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

from ctrlhub.link.polling import POLLIN, POLLOUT, make_poller
from ctrlhub.link.wakeup import BestSignal, Signal

Call: TypeAlias = Callable[[], object]

log = logging.getLogger(__name__)


class HubLoop:
    """Runs in one thread; `soon` and `stop` may be called from any, and by signal handlers.

    What a call raises is logged, and the loop goes on.

    Parameters
    ----------
    clock
        Gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._poll: Any = make_poller()
        self._watched: dict[int, Call] = {}
        self._soon: deque[Call] = deque()
        self._timers: list[tuple[float, int, Call]] = []
        self._order = itertools.count()
        self._signal: Signal = BestSignal()
        self._asleep = False
        self._stopped = False
        self.watch(self._signal.fileno(), self._signal.take)

    def watch(self, descriptor: int, ready: Call, *, writes: bool = False) -> None:
        """Call `ready` whenever a descriptor is readable, or its other end is closed.

        With `writes` also whenever it can be written. To watch it again changes that.
        """
        self._watched[descriptor] = ready
        self._poll.register(descriptor, POLLIN | POLLOUT if writes else POLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Stop that."""
        if self._watched.pop(descriptor, None) is not None:
            self._poll.unregister(descriptor)

    def soon(self, call: Call) -> None:
        """Call once, soon; what was given before is called before."""
        self._soon.append(call)
        # No lock: a signal's handler may come here in the midst of another thread's call, or ours.
        # The loop announces its sleep before it looks at the calls a last time.
        if self._asleep:
            self._asleep = False
            self._signal.give()

    def later(self, seconds: float, call: Call) -> None:
        """Call once, after a time; in the loop's thread."""
        heapq.heappush(self._timers, (self._clock() + seconds, next(self._order), call))

    def run(self) -> None:
        """Run until `stop`."""
        watched, poll = self._watched, self._poll.poll
        while not self._stopped:
            timeout = self._timeout()
            self._asleep = True
            events = poll(0 if self._soon else timeout)
            self._asleep = False
            for descriptor, _ in events:
                ready = watched.get(descriptor)
                if ready is not None:  # else another one of these calls has stopped watching it
                    self._call(ready)
            if self._timers:
                self._call_due()
            for _ in range(len(self._soon)):  # what is given meanwhile waits for the next turn
                self._call(self._soon.popleft())

    def stop(self) -> None:
        """Have `run` return, soon."""
        self.soon(self._stop)

    def close(self) -> None:
        """Close what the loop itself has opened."""
        self._signal.close()

    def _stop(self) -> None:
        self._stopped = True

    def _timeout(self) -> float | None:
        """Return how long to sleep, in milliseconds."""
        if not self._timers:
            return None
        return max(0.0, 1000 * (self._timers[0][0] - self._clock()))

    def _call_due(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            self._call(heapq.heappop(self._timers)[2])

    def _call(self, call: Call) -> None:
        try:
            call()
        except Exception:
            log.exception("a call of the hub's loop failed")
