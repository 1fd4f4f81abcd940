"""Functions that run elsewhere when they are called: `remote` and `parallel`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ctrlhub.client.blocking import waited_for
from ctrlhub.client.partition import BLOCK, check_dist

if TYPE_CHECKING:
    from ctrlhub.client.view import View


class RemoteFunction:
    """A function that is applied by a view whenever it is called.

    Sent to an engine, inside of another function or as an argument, it is the plain function again.

    Parameters
    ----------
    view
        The view.
    f
        The function.
    block
        Wait, and return the value; None leaves it to the view, as it is at the call.
    **flags
        Flags of the view that are to be otherwise for this function.

    Raises
    ------
    TypeError
        `f` cannot be called, or there is no such flag.
    """

    func: Callable[..., Any]

    def __init__(
        self, view: View, f: Callable[..., Any], block: bool | None = None, **flags: Any
    ) -> None:
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}")
        functools.update_wrapper(self, f)
        self.view = view
        self.func = f
        self.block = block
        self.flags = flags
        view._with(**flags)  # a wrong flag is told here, and not at each call
        with suppress(TypeError, ValueError):  # a builtin that does not tell
            self.__signature__ = inspect.signature(f)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Apply the function."""
        return self._view().apply(self.func, *args, **kwargs)

    def _view(self) -> View:
        blocks = {} if self.block is None else {"block": self.block}
        return self.view._with(**blocks, **self.flags)

    def __repr__(self) -> str:
        name = getattr(self.func, "__name__", repr(self.func))
        return f"<{type(self).__name__} {name} on {self.view!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.func,)


class ParallelFunction(RemoteFunction):
    """A function whose arguments are sequences, of which each call on an engine gets a part.

    Parameters
    ----------
    view, f, block
        As for `RemoteFunction`.
    dist
        How sequences are dealt: ``'b'`` in blocks, ``'r'`` in turn.
    chunksize
        How many items a task gets, on a load-balanced view; None is one. Engines that are named
        get one part each.
    ordered
        Iterate over the results in order, not as they come.
    return_exceptions
        Have exceptions among the results instead of raising them.
    **flags
        Flags of the view that are to be otherwise for this function.
    """

    def __init__(
        self,
        view: View,
        f: Callable[..., Any],
        dist: str = BLOCK,
        block: bool | None = None,
        chunksize: int | None = None,
        ordered: bool = True,
        return_exceptions: bool = False,
        **flags: Any,
    ) -> None:
        super().__init__(view, f, block, **flags)
        check_dist(dist)
        self.dist = dist
        self.chunksize = chunksize
        self.ordered = ordered
        self.return_exceptions = return_exceptions

    def __call__(self, *sequences: Iterable[Any]) -> Any:
        """Call the function with parts of the sequences; join what the calls return.

        A call whose value is no sequence gives one item.

        Raises
        ------
        ValueError
            The sequences are not of one length.
        """
        view = self._view()
        result = view._call_parts(
            self.func,
            sequences,
            self.dist,
            self.chunksize,
            ordered=self.ordered,
            return_exceptions=self.return_exceptions,
        )
        return waited_for(result) if view.block else result

    def map(self, *sequences: Iterable[Any]) -> Any:
        """Call the function with each row of items of the sequences."""
        view = self._view()
        options: dict[str, Any] = {"return_exceptions": self.return_exceptions}
        if view.is_balanced:
            options.update(chunksize=self.chunksize or 1, ordered=self.ordered)
        return view.map(self.func, *sequences, **options)


def remote(
    view: View, block: bool | None = None, **flags: Any
) -> Callable[[Callable[..., Any]], RemoteFunction]:
    """Return a decorator that makes a function one that a view applies.

    Examples
    --------
    >>> @remote(client[:], block=True)
    ... def pid():
    ...     return os.getpid()
    >>> pid()
    [4711, 4712]
    """

    def decorate(f: Callable[..., Any]) -> RemoteFunction:
        return RemoteFunction(view, f, block=block, **flags)

    return decorate


def parallel(
    view: View,
    dist: str = BLOCK,
    block: bool | None = None,
    ordered: bool = True,
    **flags: Any,
) -> Callable[[Callable[..., Any]], ParallelFunction]:
    """Return a decorator that has a function called with parts of sequences, on many engines.

    Parameters
    ----------
    view
        The view.
    dist, block, ordered, **flags
        As for `ParallelFunction`.

    Examples
    --------
    >>> @parallel(client[:], block=True)
    ... def squares(part):
    ...     return [n * n for n in part]
    >>> squares(range(5))
    [0, 1, 4, 9, 16]
    """

    def decorate(f: Callable[..., Any]) -> ParallelFunction:
        return ParallelFunction(view, f, dist=dist, block=block, ordered=ordered, **flags)

    return decorate


def _itself(f: Callable[..., Any]) -> Callable[..., Any]:
    return f
