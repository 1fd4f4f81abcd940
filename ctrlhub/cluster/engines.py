"""What a cluster does with its engines, by the names that ipyparallel has for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ctrlhub.client.client import Client


class EngineCommands:
    """The part of a cluster that restarts, signals and stops engines; they are those of its client."""

    @property
    def client(self) -> Client:
        """The client that was connected by `start`."""
        raise NotImplementedError

    def restart_engines_sync(self) -> None:
        """Put fresh processes in the places of all engines: `Client.restart`."""
        self.client.restart()

    def restart_engine_sync(self, engine_id: int) -> None:
        """Put a fresh process in the place of an engine: `Client.restart`."""
        self.client.restart(engine_id)

    def signal_engines_sync(self, signum: int | str) -> None:
        """Send a signal to all engines: `Client.send_signal`."""
        self.client.send_signal(signum)

    def signal_engine_sync(self, engine_id: int, signum: int | str) -> None:
        """Send a signal to an engine: `Client.send_signal`."""
        self.client.send_signal(signum, engine_id)

    def stop_engine_sync(self, engine_id: int) -> None:
        """End an engine, and wait until it has: `Client.shutdown`."""
        self.client.shutdown(engine_id, block=True)
