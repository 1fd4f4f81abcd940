"""What all views share: flags, and the three ways to apply and to map."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.blocking import waited_for
from ctrlhub.client.html import panel, table
from ctrlhub.client.map_result import AsyncJoinedResult, AsyncMapResult
from ctrlhub.client.remote_function import ParallelFunction, RemoteFunction, parallel, remote
from ctrlhub.client.view_jobs import ViewJobs
from ctrlhub.wire.limits import MAX_TEXT

if TYPE_CHECKING:
    from ctrlhub.client.client import Client
    from ctrlhub.client.executor import ViewExecutor

V = TypeVar("V", bound="View")

MOST_GIVEN = 4096
"""So many calls are in the `history` of a view, the last ones; `Client.history` has all."""


class View(ViewJobs):
    """A way to use engines. Its flags hold for every call that does not say otherwise.

    Parameters
    ----------
    client
        The client.
    **flags
        The flags, by name.

    Attributes
    ----------
    block : bool
        Whether `apply`, `map` and the like wait and return values instead of results to come.
        Ctrl-C stops what is waited for: what is queued at once, what runs by an interrupt.
    track : bool
        Kept for programs that set it. Arguments are taken as they are at the call: arrays may be
        changed as soon as it returns, whether tracked or not.
    label : str or None
        A name for the requests of this view, shown with them and kept in their metadata.
    """

    flag_names: ClassVar[tuple[str, ...]] = ("block", "track", "label")
    is_balanced: ClassVar[bool] = False
    """Whether each call goes to some engine, and not to all."""

    block: bool
    track: bool
    label: str | None

    def __init__(self, client: Client, **flags: Any) -> None:
        self.client = client
        self._home = client._connection
        vars(self)["_given"] = deque(maxlen=MOST_GIVEN)
        self._flags: dict[str, Any] = {"block": client.block, "track": False, "label": None}
        self.set_flags(**flags)

    def __getattr__(self, name: str) -> Any:
        if name in type(self).flag_names:
            return self._flags[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).flag_names:
            self.set_flags(**{name: value})
        elif name.startswith("_") or name == "client" or hasattr(type(self), name):
            super().__setattr__(name, value)
        else:
            known = ", ".join(type(self).flag_names)
            raise AttributeError(f"{type(self).__name__} has no flag {name!r}; it has: {known}")

    def set_flags(self: V, **flags: Any) -> V:
        """Set flags by name, and return the view.

        Raises
        ------
        TypeError
            There is no such flag, or it cannot have that value.
        """
        for name, value in flags.items():
            if name not in type(self).flag_names:
                known = ", ".join(type(self).flag_names)
                raise TypeError(f"{type(self).__name__} has no flag {name!r}; it has: {known}")
            self._check_flag(name, value)
        self._flags = {**self._flags, **flags}
        self._flags_changed()
        return self

    @contextmanager
    def temp_flags(self, **flags: Any) -> Iterator[None]:
        """Set flags for the time of a ``with`` block."""
        before = self._flags
        self.set_flags(**flags)
        try:
            yield
        finally:
            self._flags = before
            self._flags_changed()

    def _with(self: V, **flags: Any) -> V:
        """Return a view with other flags, and otherwise this one's."""
        view = object.__new__(type(self))
        vars(view).update(vars(self))
        return view.set_flags(**flags)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} belongs to its client and cannot be pickled")

    def _check_flag(self, name: str, value: Any) -> None:
        if name in ("block", "track") and not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {value!r}")
        if name == "label":
            check_label(value)

    def _flags_changed(self) -> None:
        """Take note that flags have other values."""

    def _blocks(self, block: bool | None) -> bool:
        return bool(self._flags["block"] if block is None else block)

    def _repr_html_(self) -> str:
        """Show the flags (Jupyter asks for it), and the dashboard, if there is one."""
        flags = table(("flag", "value"), list(self._flags.items()))
        return panel(type(self).__name__, extra=flags + self.client._dashboard.mention())

    # ------------------------------------------------------------ apply

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call ``f(*args, **kwargs)`` remotely; return its result to come."""
        raise NotImplementedError

    def apply_sync(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` remotely, wait, and return its value."""
        __tracebackhide__ = True
        return waited_for(self.apply_async(f, *args, **kwargs))

    def apply(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call ``f(*args, **kwargs)`` remotely: `apply_sync` or `apply_async`, as `block` says."""
        __tracebackhide__ = True
        result = self.apply_async(f, *args, **kwargs)
        return waited_for(result) if self._flags["block"] else result

    # ------------------------------------------------------------ map

    def map(
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        block: bool | None = None,
        **options: Any,
    ) -> Any:
        """Call `f` with each row of items of the sequences, up to the end of the shortest.

        Parameters
        ----------
        f
            The function.
        *sequences
            Its arguments: one sequence for each parameter.
        block
            Return the list of values instead of a result to come; None leaves it to the flag.
        **options
            Further options of the view's `map_async`.
        """
        __tracebackhide__ = True
        result = self.map_async(f, *sequences, **options)
        return waited_for(result) if self._blocks(block) else result

    def map_async(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> AsyncMapResult:
        """Map without waiting; return the results to come."""
        raise NotImplementedError

    def map_sync(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> list[Any]:
        """Map, wait, and return the list of values."""
        __tracebackhide__ = True
        values: list[Any] = waited_for(self.map_async(f, *sequences, **options))
        return values

    def imap(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> Iterator[Any]:
        """Map, and return an iterator over the values, which come as soon as they are there.

        Parameters
        ----------
        f, *sequences, **options
            As for `map_async`.
        """
        return iter(self.map_async(f, *sequences, **options))

    def _call_parts(
        self,
        f: Callable[..., Any],
        sequences: Sequence[Iterable[Any]],
        dist: str,
        chunksize: int | None,
        *,
        ordered: bool,
        return_exceptions: bool,
    ) -> AsyncJoinedResult:
        """Call `f` with parts of the sequences; return the joined results to come."""
        raise NotImplementedError

    # ------------------------------------------------------------ functions

    def remote(
        self, block: bool | None = None, **flags: Any
    ) -> Callable[[Callable[..., Any]], RemoteFunction]:
        """Return a decorator that makes a function one that this view applies.

        Parameters
        ----------
        block, **flags
            As for `RemoteFunction`.
        """
        return remote(self, block=block, **flags)

    def parallel(
        self, dist: str = "b", block: bool | None = None, **flags: Any
    ) -> Callable[[Callable[..., Any]], ParallelFunction]:
        """Return a decorator that has a function called with parts of sequences, by this view.

        Parameters
        ----------
        dist, block, **flags
            As for `ParallelFunction`.
        """
        return parallel(self, dist=dist, block=block, **flags)

    @property
    def executor(self) -> ViewExecutor:
        """This view as an executor of `concurrent.futures`."""
        from ctrlhub.client.executor import ViewExecutor

        return ViewExecutor(self)


def check_label(value: Any) -> None:
    """Refuse what cannot be a label."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"label must be text or None, not {type(value).__name__}")
    if value is not None and len(value) > MAX_TEXT:
        raise ValueError(f"label is longer than {MAX_TEXT} characters")
