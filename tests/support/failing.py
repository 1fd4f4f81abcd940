"""What goes wrong in a `World`, for state machines that explore it: whoever its peers are."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ctrlhub.wire.messages import Stream
from tests.support.world import UPWARDS, World

MOST_LIVES = 5
"""So many hubs there are at most."""


class Failing(RuleBasedStateMachine):
    """Messages come late, twice or not at all, time passes, the store is slow, the hub dies.

    Attributes
    ----------
    world
        Made by whoever inherits this.
    """

    world: World

    def pick(self, index: int, peers: list[Any]) -> Any:
        """Choose a peer by a drawn number."""
        return peers[index % len(peers)]

    # ------------------------------------------------------------ messages and time

    @rule(data=st.data(), count=st.integers(1, 12))
    def deliver(self, data: st.DataObject, count: int) -> None:
        """Some messages arrive, in any order between the streams."""
        for _ in range(count):
            busy = [(p, *at) for p, wire in self.world.wires.items() for at in wire.busy()]
            if not busy:
                return
            self.world.deliver(*busy[data.draw(st.integers(0, len(busy) - 1))])

    @rule()
    def run(self) -> None:
        """Everything arrives that is on its way."""
        self.world.run()

    @rule(seconds=st.sampled_from([0.2, 1.0, 2.0]))
    def advance(self, seconds: float) -> None:
        """Time passes, and nothing arrives."""
        self.world.advance(seconds)

    @rule(seconds=st.sampled_from([1.0, 4.0, 12.0]))
    def pass_time(self, seconds: float) -> None:
        """Time passes, and everything arrives that is sent."""
        self.world.pass_time(seconds)

    # ------------------------------------------------------------ faults

    @rule(peer=st.integers(0, 9), stream=st.sampled_from(UPWARDS), lost=st.integers(0, 3))
    def cut(self, peer: int, stream: Stream, lost: int) -> None:
        """A connection breaks, and what was on its way is lost."""
        self.world.cut(self.pick(peer, list(self.world.wires)), stream, lost)

    @rule(
        peer=st.integers(0, 9), stream=st.sampled_from(UPWARDS), way=st.sampled_from(["up", "down"])
    )
    def repeat(self, peer: int, stream: Stream, way: str) -> None:
        """A message arrives twice."""
        self.world.repeat(self.pick(peer, list(self.world.wires)), way, stream)

    @rule()
    def store(self) -> None:
        """The store becomes slow, or finishes what it was given."""
        self.world.store.late = True
        self.world.commit()

    @precondition(lambda self: self.world.lives < MOST_LIVES)
    @rule(steps=st.integers(0, 12))
    def crash_hub(self, steps: int) -> None:
        """The hub will die in the midst of a turn: between messages, or around a commit."""
        self.world.crash_after(steps)
