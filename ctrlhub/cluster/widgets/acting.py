"""What a widget was told to do: done in a thread, so that the kernel is free meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ctrlhub.wire.errors import CtrlHubError


class Acts:
    """What was begun by buttons, and what has become of it.

    Parameters
    ----------
    changed
        Called after each change, in whatever thread.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._lock = threading.Lock()
        self._doing: list[str] = []
        self._trouble = ""

    @property
    def doing(self) -> str:
        """What is being done; empty for nothing."""
        with self._lock:
            return ", ".join(self._doing)

    @property
    def trouble(self) -> str:
        """What went wrong last; empty if what was done last went well."""
        return self._trouble

    def refuse(self, why: str) -> None:
        """Say why something is not even begun."""
        self._trouble = why
        self._changed()

    def begin(self, what: str, act: Callable[[], object]) -> None:
        """Do something in a thread of its own.

        Parameters
        ----------
        what
            What is being done, as people say it.
        act
            Does it; what it raises is shown.
        """
        with self._lock:
            self._doing.append(what)
        self._trouble = ""
        self._changed()
        # A daemon: the kernel's end does not wait for engines, and ends what is being started.
        threading.Thread(target=self._do, args=(what, act), name="ctrlhub-widget-act", daemon=True).start()

    def _do(self, what: str, act: Callable[[], object]) -> None:
        trouble = ""
        try:
            act()
        except Exception as error:  # whatever it is, the widget is where it is seen
            trouble = what_happened(error)
        finally:
            with self._lock:
                self._doing.remove(what)
        if trouble:
            self._trouble = trouble
        self._changed()


def what_happened(error: Exception) -> str:
    """Return an error as people are told it."""
    says_enough = isinstance(error, CtrlHubError | ValueError | TimeoutError) and f"{error}"
    return f"{error}" if says_enough else f"{type(error).__name__}: {error}"
