"""What a user says of a cluster that he wants: a form, and its meaning."""

from __future__ import annotations

from collections.abc import Callable

from ipywidgets import (
    BoundedIntText,
    Button,
    Checkbox,
    Combobox,
    Dropdown,
    HBox,
    Textarea,
    VBox,
)

from ctrlhub.cluster.launchers.options import described
from ctrlhub.cluster.launchers.registry import launcher_named, launcher_names
from ctrlhub.cluster.local import available_cores
from ctrlhub.cluster.wanted import Wanted, options_in
from ctrlhub.cluster.widgets.drawing import options
from ctrlhub.cluster.widgets.one import MOST, shown
from ctrlhub.wire.errors import CtrlHubError


class StartForm(VBox):  # type: ignore[misc]
    """Asks how many engines, started how, under which name.

    Parameters
    ----------
    start
        What is done with the answer; it is told in the kernel's thread, and must not take long.
    refuse
        What is done with the reason why there is none.

    Attributes
    ----------
    count, launcher, options, profile, lasts, go
        Its fields, and its button.
    """

    def __init__(self, start: Callable[[Wanted], None], refuse: Callable[[str], None]) -> None:
        self._start, self._refuse = start, refuse
        self.count = BoundedIntText(available_cores(), min=0, max=MOST, description="engines", layout={"width": "13em"})
        self.launcher = Dropdown(options=launcher_names(), value="local", description="launcher")
        self.options = Textarea(
            description="options", placeholder="NAME = VALUE, one a line", layout={"width": "34em"}
        )
        self.profile = Combobox(
            description="profile", placeholder="private", ensure_option=False,
            tooltip="The name under which other programs find it",
        )  # fmt: skip
        self.lasts = Checkbox(
            description="goes on when this kernel ends", indent=False, layout={"width": "18em"},
            tooltip="As with `ctrl-hub start`",
        )  # fmt: skip
        self.go = Button(description="Start", button_style="primary", tooltip="Start another cluster")
        self._meaning = shown()
        super().__init__(
            (
                HBox((self.count, self.launcher, self.profile)),
                HBox((self.options, self._meaning)),
                HBox((self.lasts, self.go)),
            )
        )
        self.add_class("ctrlhub-start")
        self.launcher.observe(lambda change: self._explain(change["new"]), "value")
        self.go.on_click(lambda _: self._said())
        self._explain(self.launcher.value)

    def close(self) -> None:
        """Take it away."""
        parts = (self.count, self.launcher, self.options, self.profile, self.lasts, self.go)
        for each in (*parts, self._meaning, *self.children):
            each.close()
        super().close()

    def _explain(self, name: str) -> None:
        try:
            self._meaning.value = options(described(launcher_named(name).options_type))
        except (CtrlHubError, ValueError) as error:  # one that lacks what it needs
            self._meaning.value = ""
            self._refuse(f"{error}")

    def _said(self) -> None:
        try:
            wanted = Wanted(
                self.count.value, self.launcher.value, options_in(self.options.value),
                self.profile.value.strip() or None, self.lasts.value,
            )  # fmt: skip
        except ValueError as error:
            self._refuse(f"{error}")
        else:
            self._start(wanted)


