"""Progress bars: in a notebook as a widget where there are widgets, in a terminal as a line.

Where the output is neither (a log file, a pipe) a bar would be one long line, or many: there only
its end is told.
"""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self

from ctrlhub.client.ipython import is_notebook

QUIET = ("CTRLHUB_NONINTERACTIVE", "IPP_NONINTERACTIVE")
"""Environment variables of which any that is set, but to 0, turns progress bars off."""


class Progress:
    """A bar, as a context manager.

    Parameters
    ----------
    total
        How much there is to do.
    what
        What is being done.
    unit
        What is counted.
    widget
        Show a Jupyter widget; None does where that is possible.

    Raises
    ------
    ImportError
        A widget is wanted, and ipywidgets is not there.
    """

    def __init__(
        self, total: int, what: str, unit: str = "task", widget: bool | None = None
    ) -> None:
        self.total = total
        self._what, self._unit = what, unit
        self._bar = _bar(total, what, unit, widget)
        self._done = 0

    def show(self, done: int) -> None:
        """Bring it up to date: so much is done."""
        self._bar.update(done - self._done)
        self._done = done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.close()


def is_quiet() -> bool:
    """Say whether the environment wants no bars, and no live output of `%px`."""
    return any(os.environ.get(name, "0") not in ("", "0") for name in QUIET)


class _LastLine:
    """In place of a bar where the output is a file: what was done, once it is over."""

    def __init__(self, total: int, what: str, unit: str) -> None:
        self._total, self._what, self._unit = total, what, unit
        self._done = 0

    def update(self, more: int) -> None:
        """Count."""
        self._done += more

    def close(self) -> None:
        """Tell."""
        print(f"{self._what}: {self._done} of {self._total} {self._unit}s", file=sys.stderr)


def _bar(total: int, what: str, unit: str, widget: bool | None) -> Any:
    # Not tqdm.auto: it brings asyncio along, and in a notebook without ipywidgets a warning.
    from tqdm.std import tqdm

    if is_quiet():
        return tqdm(total=total, disable=True)
    has_widgets = (is_notebook() or widget) and find_spec("ipywidgets") is not None
    if widget and not has_widgets:
        raise ImportError(
            "a widget needs ipywidgets: pip install 'ctrl-hub[jupyter]', or leave out widget=True"
        )
    if has_widgets and widget is not False:
        from tqdm.notebook import tqdm_notebook

        return tqdm_notebook(total=total, desc=what, unit=unit)
    if not is_notebook() and not sys.stderr.isatty():
        return _LastLine(total, what, unit)
    return tqdm(total=total, desc=what, unit=unit)
