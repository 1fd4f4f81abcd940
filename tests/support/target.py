"""A hub that listens on TCP, as those who try it and its owner see it; and what they may try to say."""

from __future__ import annotations

from collections.abc import Mapping

import psutil

from ctrlhub import AuthenticationError, Cluster
from ctrlhub.wire import messages as m
from ctrlhub.wire.connection import ConnectionInfo
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.messages import Message, Role, Stream
from ctrlhub.wire.places import Profile
from ctrlhub.wire.security import KeyPair
from tests.support.intruder import Member

BULK = (Stream.MULTIENGINE, Stream.TASK)


class Target:
    """The hub that is tried.

    Parameters
    ----------
    cluster
        A running cluster with the census interface.
    """

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.owner = cluster.client
        assert cluster.profile is not None
        self.profile = profile = Profile.named(cluster.profile)
        self.for_clients = ConnectionInfo.load(profile.connection_client)
        self.for_engines = ConnectionInfo.load(profile.connection_engine)
        self.hub = psutil.Process(cluster.pids["hub"])

    def info(self, role: Role) -> ConnectionInfo:
        """Return the connection file of a role."""
        return self.for_engines if not role.is_client else ConnectionInfo.load(self.profile.connection(role))

    def enrolment(self, role: Role) -> KeyPair:
        """Return the enrolment key of a role."""
        pair = self.info(role).enrolment
        assert pair is not None
        return pair

    def engine_key(self) -> str:
        """Return the key of engine 0."""
        key: str = self.owner.interface("query").engines_now()["engines"][0]["key"]
        return key

    def revoke(self, key: str) -> bool:
        """Shut a key out."""
        was_there: bool = self.owner.interface("query").revoke(key=key)
        return was_there

    def kept(self) -> tuple[Mapping[str, int], int]:
        """Count sessions and descriptors."""
        sessions: Mapping[str, int] = self.owner.interface("census").sessions()
        return sessions, self.hub.num_fds()


def refused(answer: Message) -> bool:
    """Say whether an answer is a refusal on the ground of who speaks."""
    return isinstance(answer, m.Refused) and answer.code == AuthenticationError.code


def every_message() -> list[Message]:
    """One of each message that anybody may try to send."""
    number = request_id(1, 1)
    row = (number, 0, 0, b"", 0.0, 0.0, None)
    return [
        m.Register(Role.ADMIN.value, "k" * 40, b"i", 1, "host", {}),
        m.Hello(b"t" * 32),
        m.Beat(("k" * 40,)),
        m.Goodbye("all of you"),
        m.EngineDied("k" * 40, b"i", "killed"),
        m.Call(1, "query", "shutdown_hub", {}),
        m.Command(number, (0,), "execute", (b"",)),
        m.SubmitTasks(((b"f", 0, 0, ""),), ((number, 0, b""),)),
        m.Received(((number, number),)),
        m.Functions(((b"f", b""),)),
        m.Results((row,)),
        m.NeedFunctions((b"f",)),
        m.Shutdown("now"),
        m.Signal("k" * 40, "SIGKILL"),
        m.Interrupt(((number, number),)),
        m.RunCommand(number, "execute", b""),
        m.Stored(((number, number),)),
    ]


CLIENTS_OWN: dict[Stream, list[Message]] = {
    Stream.HUB: [m.Call(1, "query", "shutdown_hub", {}), m.Call(2, "query", "status", {})],
    Stream.MULTIENGINE: [
        m.Command(request_id(1, 1), (0,), "execute", (b"",)),
        m.Received(((1, 1),)),
        m.Functions(()),
    ],
    Stream.TASK: [
        m.SubmitTasks(((b"f", 0, 0, ""),), ((request_id(1, 1), 0, b""),), ((b"f", b""),)),
        m.Received(((1, 1),)),
        m.Functions(()),
    ],
}
"""What only clients say."""

ENGINES_OWN: dict[Stream, list[Message]] = {
    Stream.HUB: [],
    **{stream: [m.Results(()), m.NeedFunctions((b"f",))] for stream in BULK},
}
"""What only engines say."""

HUBS_OWN: list[Message] = [
    m.Shutdown("now"),
    m.Interrupt(((1, 1),)),
    m.Stored(((1, 1),)),
    m.Completed(()),
    m.Accepted(()),
]
"""What only the hub says."""


def each_is_refused(member: Member, said: Mapping[Stream, list[Message]]) -> None:
    """Say it all, each on its stream."""
    for stream, messages in said.items():
        for message in messages:
            assert refused(member.on(stream).ask(message)), (stream, message)
