"""Functions for engines. They travel by value: engines need not be able to import the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.processes import until


def double(number: int) -> int:
    """Do something short."""
    import time

    time.sleep(0.002)
    return 2 * number


class Work:
    """Calls that run for as long as a test wants, and say when they have begun.

    Parameters
    ----------
    directory
        Where they leave word; the engines are on this host.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def endless(self, name: str = "endless") -> Callable[[], None]:
        """Return a function that only an interrupt ends."""
        begun = str(self._directory / f"{name}.begun")

        def run() -> None:
            import pathlib
            import time

            pathlib.Path(begun).touch()
            while True:
                time.sleep(0.01)

        return run

    def held(self, name: str = "held") -> Callable[[], str]:
        """Return a function that runs until `release`, and returns its name."""
        begun, released = (
            str(self._directory / f"{name}.{what}") for what in ("begun", "released")
        )

        def run() -> str:
            import pathlib
            import time

            pathlib.Path(begun).touch()
            for _ in range(6000):
                if pathlib.Path(released).exists():
                    return name
                time.sleep(0.01)
            raise TimeoutError(f"{name} was never released")

        return run

    def begun(self, name: str) -> None:
        """Wait until a call has begun."""
        until((self._directory / f"{name}.begun").exists, f"{name} begins")

    def release(self, name: str = "held") -> None:
        """Let a held call end."""
        (self._directory / f"{name}.released").touch()
