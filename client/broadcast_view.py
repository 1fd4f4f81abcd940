"""BroadcastView, for programs that use one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctrlhub.client.direct_view import DirectView
from ctrlhub.client.targets import Targets

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class BroadcastView(DirectView):
    """A `DirectView` by another name: each call is one message to the hub, whatever the view.

    So results are in the order of the targets, have labels, and are of each engine.

    Attributes
    ----------
    is_coalescing : bool
        Kept for programs that set it; how replies travel is the hub's affair.
    """

    flag_names = (*DirectView.flag_names, "is_coalescing")

    is_coalescing: bool

    def __init__(self, client: Client, targets: Targets = "all", **flags: Any) -> None:
        super().__init__(client, targets, **{"is_coalescing": False, **flags})

    def _check_flag(self, name: str, value: Any) -> None:
        super()._check_flag(name, value)
        if name == "is_coalescing" and not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, not {value!r}")
