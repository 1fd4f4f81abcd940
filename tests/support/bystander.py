"""A client that goes about its business while others misbehave, and notices when it cannot."""

from __future__ import annotations

import threading
import time

from ctrlhub import Client
from tests.support.processes import until

ENGINES = (0, 1)

PAUSE = 0.01
"""Between two rounds, in seconds: the machine is there for the tests."""


class Bystander:
    """Commands, tasks and questions, one round after another, each result checked.

    Parameters
    ----------
    client
        Its client, which is closed with it.

    Attributes
    ----------
    rounds
        How many rounds went well.
    longest
        How long (seconds) the longest of them took.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.rounds = 0
        self.longest = 0.0
        self._error: BaseException | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bystander", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._over.wait(PAUSE):
                began = time.monotonic()
                self._round(self.rounds)
                self.longest = max(self.longest, time.monotonic() - began)
                self.rounds += 1
        except BaseException as error:
            self._error = error

    def _round(self, number: int) -> None:
        view, balanced = self.client[list(ENGINES)], self.client.load_balanced_view()
        assert view.push({"mine": number}, block=True) == [None, None]
        assert balanced.map_sync(pow, range(20), [2] * 20) == [n * n for n in range(20)]
        assert view.pull("mine", block=True) == [number, number]
        assert self.client.status()["tasks"]["failed"] == 0

    def goes_on(self, rounds: int = 2) -> None:
        """Wait until it has done some more, all of it well."""
        enough = self.rounds + rounds
        until(lambda: self._error is not None or self.rounds >= enough, "the others are served")
        if self._error is not None:
            raise AssertionError("the others are disturbed") from self._error

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join(20)
        self.client.close()
