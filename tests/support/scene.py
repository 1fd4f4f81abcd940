"""A scene for tests of hubs that follow each other: a client and two engines in a world."""

from __future__ import annotations

from collections import Counter

from ctrlhub.controller.config import HubConfig
from tests.support.peers import ScriptedClient, ScriptedEngine
from tests.support.world import World


class Scene:
    """A world with a client and two engines, all joined."""

    def __init__(self) -> None:
        self.world = World(HubConfig(session_ttl=100.0))
        self.ran: list[tuple[int, int]] = []
        self.engines = [
            self.world.joined(ScriptedEngine(f"engine {n}", self.ran)) for n in range(2)
        ]
        self.client = self.world.joined(ScriptedClient("client"))
        self.world.run()

    def say(self) -> None:
        """Let the client say what it has to say, and everything arrive and be stored."""
        self.world.tick(self.client)
        self.settle()

    def settle(self) -> None:
        """Let everything arrive and be stored."""
        self.world.run()
        self.world.commit()
        self.world.run()

    def restart(self) -> None:
        """Kill the hub; another takes its place, with its store."""
        self.world.restart_hub(remembers=True)

    def work_off(self) -> None:
        """Let time pass, and engines work, until nothing is left to do."""
        for _ in range(40):
            self.world.pass_time(0.5)
            for engine in self.engines:
                while engine.work():
                    pass
            self.world.commit()

    def runs(self) -> dict[int, int]:
        """Return how often each request was run."""
        return Counter(number for number, _ in self.ran)
