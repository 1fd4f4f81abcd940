"""The views of an `AsyncClient`."""

from __future__ import annotations

from asyncio import Event, _get_running_loop
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, contextmanager
from typing import Any, Generic, Self, TypeVar

from ctrlhub.client.arrivals import arrivals_here, arrivals_of
from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.broadcast_view import BroadcastView
from ctrlhub.client.call_future import CallFuture
from ctrlhub.client.coroutines import are_known, asking, engines_known, in_room, submitting
from ctrlhub.client.direct_view import DirectView
from ctrlhub.client.lazy_map import LazyMapIterator
from ctrlhub.client.lazy_rows import as_rows_come, is_async, rows_of
from ctrlhub.client.map_result import AsyncMapResult
from ctrlhub.client.room import Crowded, without_waiting
from ctrlhub.client.view import View

V = TypeVar("V", bound=View)
D = TypeVar("D", bound=DirectView)


class AsyncView(Generic[V]):
    """What the views of an `AsyncClient` share.

    Coroutines return values, or raise what was raised on the engines. If the task that awaits one is
    cancelled, the call is stopped: what waits in a queue at once, what runs by an interrupt.

    Its flags, but for `block`, are attributes.

    Parameters
    ----------
    inner
        The view that it stands on; its own.
    """

    _inner: V

    def __init__(self, inner: V) -> None:
        object.__setattr__(self, "_inner", inner)

    def __getattr__(self, name: str) -> Any:
        if name in type(self._inner).flag_names and name != "block":
            return getattr(self._inner, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        self.set_flags(**{name: value})

    def set_flags(self, **flags: Any) -> Self:
        """Set flags by name, and return the view.

        Raises
        ------
        TypeError, ValueError
            There is no such flag, or it cannot have that value.
        """
        self._check(flags)
        self._inner.set_flags(**flags)
        return self

    @contextmanager
    def temp_flags(self, **flags: Any) -> Iterator[None]:
        """Set flags for the time of a ``with`` block."""
        self._check(flags)
        with self._inner.temp_flags(**flags):
            yield

    @staticmethod
    def _check(flags: Iterable[str]) -> None:
        if "block" in flags:
            raise TypeError(
                "block is a flag of other views: here coroutines wait, and block nobody"
            )

    def __len__(self) -> int:
        return len(self._inner)

    # A view is true, also while there are no engines.
    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._inner!r}>"

    def apply(
        self, f: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, Any]:
        """Call ``f(*args, **kwargs)`` remotely, at once; return its value to those who await it.

        What can be awaited here is a future of asyncio and a coroutine at the same time. Only outside
        of an event loop, where the hub has to be asked for engines, and where there is no room for one
        more call, it is nothing but a coroutine, and the call is made when that is awaited.
        """
        inner, loop = self._inner, _get_running_loop()
        if loop is None or not are_known(inner):
            return self._apply_when_known(f, args, kwargs)
        try:
            if inner._home.intake.scarce:
                result = self.apply_async(f, *args, **kwargs)
            else:
                result = inner.apply_async(f, *args, **kwargs)
        except Crowded:
            return self._apply_when_known(f, args, kwargs)
        except Exception as error:  # as of a coroutine: for whoever awaits it
            return CallFuture.failed(error, loop)
        return CallFuture.of(result, arrivals_of(loop), loop)

    async def _apply_when_known(
        self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        inner = self._inner
        await engines_known(inner)
        return await (await in_room(inner, lambda: inner.apply_async(f, *args, **kwargs)))

    async def map(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> list[Any]:
        """Call `f` with each row of items of the sequences, and return the list of values.

        Parameters
        ----------
        f
            The function.
        *sequences
            Its arguments: one sequence for each parameter. They end with the shortest.
        **options
            Those of `map_async` of the view by that name.
        """
        await engines_known(self._inner)
        values: list[Any] = await self.map_async(f, *sequences, **options)
        return values

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call ``f(*args, **kwargs)`` remotely, at once; return the result to come.

        It can be awaited, more than once, be cancelled, and given to other tasks.

        Raises
        ------
        LimitExceeded
            As many are outstanding as the hub takes; `apply` waits for some to end.
        """
        if self._inner._home.intake.scarce:
            with without_waiting():
                return self._inner.apply_async(f, *args, **kwargs)
        return self._inner.apply_async(f, *args, **kwargs)

    def map_async(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> AsyncMapResult:
        """Map, at once; return the results to come: for ``await``, or ``async for`` as they come."""
        with without_waiting():
            return self._inner.map_async(f, *sequences, **options)

    abort = asking(View.abort)
    get_result = asking(View.get_result)
    purge_results = asking(View.purge_results)
    queue_status = asking(View.queue_status)
    shutdown = asking(View.shutdown)


class AsyncLoadBalancedView(AsyncView[LoadBalancedView]):
    """Engines as one, in asyncio: each task runs on whichever engine has room.

    Flags are those of `LoadBalancedView`.
    """

    async def imap(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any] | AsyncIterable[Any],
        ordered: bool = True,
        max_outstanding: int | str = "auto",
        return_exceptions: bool = False,
    ) -> AsyncIterator[Any]:
        """Map sequences of any length, a few tasks at a time; yield the values.

        Sequences may be asynchronous: values are yielded while the next row is waited for.

        What is out when the iteration is given up (`contextlib.aclosing`) or fails is stopped.

        Parameters
        ----------
        f, *sequences, ordered, max_outstanding, return_exceptions
            As for `LoadBalancedView.imap`.
        """
        news, arrivals = Event(), arrivals_here()
        values: LazyMapIterator | None = None
        comes = any(is_async(each) for each in sequences)
        read: Sequence[Any] = ((),) if comes else sequences
        try:
            with without_waiting():
                values = self._inner._lazy_map(
                    f,
                    read,
                    ordered=ordered,
                    max_outstanding=max_outstanding,
                    return_exceptions=return_exceptions,
                    on_arrival=lambda _: arrivals.add(news.set),
                )
            if comes:
                async with aclosing(as_rows_come(values, rows_of(sequences), news)) as coming:  # type: ignore[type-var]
                    async for value in coming:
                        yield value
            while not _is_over(values):
                while not values.ready:
                    await news.wait()
                    news.clear()
                with without_waiting():
                    value = next(values)
                yield value
        finally:
            if values is not None:
                values.cancel()


def _is_over(values: LazyMapIterator) -> bool:
    with without_waiting():
        return values.over


class _OnEngines(AsyncView[D]):
    """Explicit engines, in asyncio."""

    async def imap(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> AsyncIterator[Any]:
        """Map, and yield the values, which come as soon as they are there.

        Parameters
        ----------
        f, *sequences, **options
            As for `map`.
        """
        await engines_known(self._inner)
        result = self.map_async(f, *sequences, **options)
        try:
            async for value in result._as_they_come():
                yield value
        finally:
            if not result.done():
                result._cancel_later()

    clear = submitting(DirectView.clear)
    execute = submitting(DirectView.execute)
    gather = submitting(DirectView.gather)
    pull = submitting(DirectView.pull)
    push = submitting(DirectView.push)
    run = submitting(DirectView.run)
    scatter = submitting(DirectView.scatter)
    use_cloudpickle = submitting(DirectView.use_cloudpickle)
    use_dill = submitting(DirectView.use_dill)
    use_pickle = submitting(DirectView.use_pickle)
    forward_logging = asking(DirectView.forward_logging)
    interrupt = asking(DirectView.interrupt)


class AsyncDirectView(_OnEngines[DirectView]):
    """Explicit engines, in asyncio: each does in turn what it is told.

    Flags are those of `DirectView`.
    """


class AsyncBroadcastView(_OnEngines[BroadcastView]):
    """An `AsyncDirectView` by another name, as `BroadcastView` is."""
