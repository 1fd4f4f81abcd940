"""A view whose calls wear engines out, which are then replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.balanced_view import LoadBalancedView
from ctrlhub.client.map_result import AsyncMapResult
from ctrlhub.engine.retiring import Counted

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class WearingView(LoadBalancedView):
    """A load-balanced view on engines that last for so many calls.

    Parameters
    ----------
    client
        The client.
    most
        How many calls an engine lasts for.
    """

    def __init__(self, client: Client, most: int) -> None:
        self._most = most
        super().__init__(client)

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call a function on some engine."""
        return super().apply_async(Counted(f, self._most), *args, **kwargs)

    def map_async(
        self, f: Callable[..., Any], /, *sequences: Iterable[Any], **options: Any
    ) -> AsyncMapResult:
        """Map a function."""
        return super().map_async(Counted(f, self._most), *sequences, **options)
