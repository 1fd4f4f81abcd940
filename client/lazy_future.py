"""A `concurrent.futures.Future` that costs next to nothing until somebody waits for it.

A plain Future makes a condition, a lock and two lists at birth, and takes the lock to be completed:
3.6 µs and 1.6 kB, more than the rest of a small task together. Most futures need none of it: when
their result is asked for, it is there. Here all of that is made by whoever waits first, who may be
a moment too late. Why nothing is lost between the two threads:

* The completing thread first stores the result, then looks whether there are waiters (`_sync`).
* A waiting thread first makes itself known (`_sync`), then looks whether there is a result.

Whatever the order, at least one of them sees the other: the interpreter's lock puts all four steps
in one order, in which one of the two stores comes first. If both see each other, the condition's
lock and the flag `finished` make sure that `_finish` acts once. So

* until `finished`, callbacks and waiters are only added, under the lock and with `finished` unset;
  whoever sets it takes them all and runs them;
* `_state`, which `concurrent.futures.wait` and `as_completed` read under the lock, follows
  `finished` and not the result, so that it cannot change while they hold the lock.

Where only one call is to be made when the result is there, as for ``await``, even a `_Sync` would be too
much: `_call_once_done` leaves a `Lone` in its place, and whoever needs more makes a `_Sync` of it.

The result itself is kept as it came and opened by the thread that asks for it, once: `_opener`.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import CancelledError, Future, InvalidStateError
from threading import Condition, Lock, RLock, get_ident
from time import monotonic
from typing import Any, NoReturn

from ctrlhub.client.bells import Bells
from ctrlhub.client.short_traceback import shortened
from ctrlhub.link.guarded_log import GuardedLog
from ctrlhub.wire.forking import in_forks

_log = GuardedLog("concurrent.futures")

PENDING, CANCELLED, FINISHED = "PENDING", "CANCELLED_AND_NOTIFIED", "FINISHED"
"""The states of `concurrent.futures` that these futures can have."""

_turn = Lock()
"""Taken for an instant, to make a `_Sync` or to become the opener."""
in_forks(_turn._at_fork_reinit)  # type: ignore[attr-defined]


class _Sync:
    """What waiting takes.

    The lock guards all but the bells.
    """

    __slots__ = ("bells", "callbacks", "finished", "listeners", "lock", "waiters")

    def __init__(self) -> None:
        self.lock = RLock()
        self.bells = Bells()
        self.finished = False
        self.waiters: list[Any] = []
        self.callbacks: list[Callable[[Any], object]] = []
        # Called whenever (some of) the result has come; they must not raise.
        self.listeners: tuple[Callable[[], None], ...] = ()


class Lone:
    """A single call to be made when the result is there, where nobody waits otherwise.

    It may be made twice: where it is replaced by a `_Sync` at the moment in which the result comes.
    It must not raise.
    """

    __slots__ = ()

    bells = Bells()  # of nobody: who waits makes a `_Sync` first
    listeners: tuple[Callable[[], None], ...] = ()
    finished = False

    def call(self, future: LazyFuture) -> None:
        """Take note that the result is there."""
        raise NotImplementedError


class LazyFuture(Future[Any]):
    """The machinery; what there is to wait for is the subclass's.

    A subclass defines `done`, `cancelled`, `_failed`, `_outcome` and `_check_wait`; whoever stores
    its result then calls `_stir`, if `_sync` is not None.
    """

    __slots__ = ("_opener", "_sync")

    # Future.__init__ is not called: it would make all that is to be avoided.
    def __init__(self) -> None:
        self._sync: _Sync | Lone | None = None
        self._opener: int | None = None

    # ------------------------------------------------------------ for subclasses

    def _failed(self) -> bool:
        """Say whether the result that is there is an error; it need not be opened for that."""
        raise NotImplementedError

    def _outcome(self) -> tuple[Any, BaseException | None]:
        """Return the value or the error of a result that is there; does not raise."""
        raise NotImplementedError

    def _check_wait(self) -> None:
        """Raise an error where waiting would be in vain."""

    def _wait_leading(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait by bringing the result oneself; False where that is not possible, or took too long."""
        return False

    def _stir(self) -> None:
        """Tell those who wait that (some of) the result is there."""
        sync = self._sync
        if self.done():
            if isinstance(sync, Lone):
                sync.call(self)
            else:
                self._finish()
        elif sync is not None:
            self._tell(sync)

    def _tell(self, sync: _Sync | Lone) -> None:
        sync.bells.ring()
        for listener in sync.listeners:
            listener()

    def _await(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait until `ready` or the timeout (seconds; none if negative or None)."""
        if ready():
            return True
        __tracebackhide__ = True
        self._check_wait()
        if timeout is not None and timeout < 0:
            timeout = None
        end = None if timeout is None else monotonic() + timeout
        try:
            if self._wait_leading(ready, timeout):
                return True
            left = None if end is None else max(0.0, end - monotonic())
            return self._synced().bells.wait_for(ready, left)
        except KeyboardInterrupt as stop:
            raise shortened(stop)  # noqa: B904 - it is the same

    def _open_once(self, opening: Callable[[], None]) -> None:
        """Run `opening`, in one thread at a time."""
        me = get_ident()
        if self._opener == me:
            raise RuntimeError("unpickling this result asks for this very result")
        try:
            with _turn:
                alone = self._opener is None
                if alone:
                    self._opener = me
            if not alone:
                self._become_opener(me)
            opening()
        finally:  # also after Ctrl-C: the next who asks finds it as if it had not been tried
            if self._opener == me:
                self._opener = None
                if self._sync is not None:
                    self._sync.bells.ring()

    def _become_opener(self, me: int) -> None:
        while self._opener != me:
            self._synced().bells.wait_for(lambda: self._opener is None, None)
            with _turn:
                if self._opener is None:
                    self._opener = me

    # ------------------------------------------------------------ the machinery

    def _synced(self) -> _Sync:
        sync = self._sync
        if isinstance(sync, _Sync):
            return sync
        # Made outside: what is collected, or handled, meanwhile may come here, too.
        made = _Sync()
        with _turn:
            sync = self._sync
            if not isinstance(sync, _Sync):
                if sync is not None:
                    made.callbacks.append(sync.call)
                sync = self._sync = made
        if self.done():
            self._finish()  # the completing thread may have looked before
        return sync

    def _call_when_done(self, lone: Lone) -> None:
        """Do what `_call_once_done` does, for whoever has made this future: nobody else has it yet."""
        if self._sync is not None:
            self._call_once_done(lone)
            return
        self._sync = lone  # without the lock: nobody but the completing thread knows this future
        if self.done():  # and that may have looked before
            lone.call(self)

    def _call_once_done(self, lone: Lone) -> None:
        """Have ``lone.call(self)`` made once the result is there, at once or perhaps twice.

        It costs less than `add_done_callback`, for who is the only one to wait.
        """
        with _turn:
            if self._sync is None:
                self._sync = lone
        if self._sync is not lone:  # others wait, too; if since then, it is called by them
            self.add_done_callback(lone.call)
        elif self.done():  # the completing thread may have looked before
            lone.call(self)

    def _finish(self) -> None:
        sync = self._sync
        if sync is None:
            return
        if isinstance(sync, Lone):
            sync.call(self)
            return
        with sync.lock:
            if sync.finished:
                return
            sync.finished = True
            for waiter in sync.waiters:
                if self.cancelled():
                    waiter.add_cancelled(self)
                elif self._failed():
                    waiter.add_exception(self)
                else:
                    waiter.add_result(self)
            callbacks, sync.callbacks = sync.callbacks, []
        self._tell(sync)
        for callback in callbacks:
            self._call_back(callback)

    def _call_back(self, callback: Callable[[Any], object]) -> None:
        try:
            callback(self)
        except BaseException:  # also its sys.exit(): others wait for what this thread brings
            _log.exception("exception calling callback for %r", self)

    # What concurrent.futures.wait and as_completed read of a future.

    @property
    def _condition(self) -> Condition:  # type: ignore[override]
        # Made as it is asked for: it is taken and released, that is its lock; nobody waits on it.
        return Condition(self._synced().lock)

    @property
    def _waiters(self) -> list[Any]:  # type: ignore[override]
        return self._synced().waiters

    @property
    def _state(self) -> str:  # type: ignore[override]
        sync = self._sync
        if sync is None or not sync.finished:
            return PENDING
        return CANCELLED if self.cancelled() else FINISHED

    # ------------------------------------------------------------ Future

    def result(self, timeout: float | None = None) -> Any:
        """Return the value, or raise what the call raised.

        Parameters
        ----------
        timeout
            The longest wait in seconds; None or a negative number waits as long as it takes.

        Raises
        ------
        TimeoutError
            It is not there yet. It goes on, and can be asked for again.
        """
        __tracebackhide__ = True
        value, error = self._result_within(timeout)
        if error is None:
            return value
        try:
            # Raised again, it must not carry the frames of the last time along.
            raise error.with_traceback(None)
        finally:
            del error  # a cycle through this frame otherwise

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return what the call raised, or None; the parameters are those of `result`."""
        _, error = self._result_within(timeout)
        if isinstance(error, CancelledError):
            raise error.with_traceback(None)
        return error

    def _result_within(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        __tracebackhide__ = True
        if not self._await(self.done, timeout):
            raise self._late(timeout)
        return self._outcome()

    def _late(self, timeout: float | None) -> TimeoutError:
        return TimeoutError(f"no result after {timeout:g} s; it goes on: ask again, or cancel() it")

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        """Have ``fn(self)`` called once the result is there; at once if it is there already.

        It is called in the thread that brings the result, which serves the whole client: it must
        not wait for other results there.
        """
        sync = self._synced()
        with sync.lock:
            if not sync.finished:
                sync.callbacks.append(fn)
                return
        self._call_back(fn)

    def _get_snapshot(self) -> tuple[bool, bool, Any, BaseException | None]:
        """Return (done, cancelled, value, error), for asyncio since Python 3.14."""
        if not self.done():
            return False, False, None, None
        if self.cancelled():
            return True, True, None, None
        return (True, False, *self._outcome())

    def set_running_or_notify_cancel(self) -> NoReturn:
        """Refuse: how it goes on is the hub's affair."""
        raise InvalidStateError("this result is set by the hub")

    def set_result(self, result: Any) -> NoReturn:
        """Refuse: the hub sets the result."""
        raise InvalidStateError("this result is set by the hub")

    def set_exception(self, exception: BaseException | None) -> NoReturn:
        """Refuse: the hub sets the result."""
        raise InvalidStateError("this result is set by the hub")
