"""Joining: messages of the hub stream, and the hello of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages.base import Message, ResourceRow, UsageRow
from ctrlhub.wire.record import record


@record
class Enrol(Message):
    """Peer to hub, over TCP with an enrolment key: accept this public key of mine (z85)."""

    kind: ClassVar[str] = "enrol"
    public_key: str


@record
class Enrolled(Message):
    """Hub to peer: the key opens every stream now."""

    kind: ClassVar[str] = "enrolled"
    public_key: str


@record
class Register(Message):
    """Peer to hub: who I am. Repeated with `token` to resume a session after a silence.

    `incarnation` is fresh in every process: an engine's key with another incarnation means that its
    namespace is gone. `session` and `engine_id` are wishes (-1: none), granted when free.
    `versions` holds ``ctrlhub``, ``python``, ``protocol``, and ``cloudpickle`` where it is loaded.
    `segment` is a segment of ours (descriptor, stamp, bytes) that holds the incarnation: a hub that can
    read it may be sent references to others. `node` names what shares processes and memory with us.
    `parts` says that we take large messages in parts, `bulk` that we can open a bulk connection.
    `resources` are what an engine has, `engine_set` names the set that an engine or a nanny is of. An
    `elastic` nanny starts further engines when it is told to.
    `draining` says why an engine that comes back is about to leave (empty: it is not): it takes nothing new.
    `attach` asks for a client's `session` of which another process has left the requests, with `take_over`
    also if that one is here.
    """

    kind: ClassVar[str] = "register"
    role: str
    key: str
    incarnation: bytes
    pid: int
    host: str
    versions: Mapping[str, str]
    token: bytes = b""
    session: int = -1
    engine_id: int = -1
    supervised: bool = False
    segment: Sequence[int] = ()
    node: str = ""
    parts: bool = False
    resources: Sequence[ResourceRow] = ()
    attach: bool = False
    take_over: bool = False
    exact_id: bool = False
    engine_set: str = ""
    elastic: bool = False
    draining: str = ""
    bulk: bool = False


@record
class Registered(Message):
    """Hub to peer: the session. `token` opens the other streams (`Hello`).

    `resumed` tells that the hub still knew the session. `engines` are the engines of the moment, for clients; `events` the number of the
    last engine event they include. Times are in seconds. `segment` is one of the hub's (process id,
    descriptor, stamp, bytes), if it could read the peer's. `parts` says that it takes large messages in
    parts, `max_outstanding` how many requests of a client and interface may be outstanding (0: unsaid).
    `first` is the counter that a client's ids begin with. What a `durable` hub accepts outlives it.
    `bulk` lets a bulk connection in, where the hub has some: a ticket, and a secret. `role` is the
    peer's, as the hub takes it.
    """

    kind: ClassVar[str] = "registered"
    session: int
    token: bytes
    engine_id: int
    epoch: str
    resumed: bool
    beat: float
    suspect: float
    lease: float
    engines: Sequence[Mapping[str, Any]] = ()
    events: int = 0
    segment: Sequence[int] = ()
    parts: bool = False
    max_outstanding: int = 0
    first: int = 1
    durable: bool = False
    bulk: bytes = b""
    role: str = ""


@record
class Refused(Message):
    """Hub to peer, any stream: this will not be; `code` names the error class.

    `requests` are those of the refused message, as far as the hub could read it.
    """

    kind: ClassVar[str] = "refused"
    code: str
    message: str
    requests: Ranges = ()


@record
class Hello(Message):
    """Peer to hub, any stream but hub: this connection is my session's.

    `held` are the requests an engine has (queued, running, or finished and not acknowledged). `proof`
    is what stands in the hub's segment: it may send references to others.
    """

    kind: ClassVar[str] = "hello"
    token: bytes
    held: Ranges = ()
    proof: bytes = b""


@record
class Welcome(Message):
    """Hub to peer, any stream but hub: the connection is bound to the session."""

    kind: ClassVar[str] = "welcome"
    epoch: str


@record
class SayHello(Message):
    """Hub to peer, any stream: I do not know this connection; register or say hello."""

    kind: ClassVar[str] = "say_hello"


@record
class Beat(Message):
    """Peer to hub and back. A nanny vouches for the processes (keys) it sees running.

    `usage` is what engines use of their host: a nanny tells it of those that it vouches for, an engine
    without one of itself, now and then.
    """

    kind: ClassVar[str] = "beat"
    vouches: Sequence[str] = ()
    usage: Sequence[UsageRow] = ()


@record
class EngineDied(Message):
    """Nanny to hub: the process of this key and incarnation ended; `cause` says how.

    `restarting` tells that the nanny will start another in its place, so its id stays reserved;
    `running` is the request that was running (-1: none), which alone is to blame. `log` is the end of
    what was written since it began, and for its client alone.
    """

    kind: ClassVar[str] = "engine_died"
    key: str
    incarnation: bytes
    cause: str
    log: str = ""
    restarting: bool = False
    running: int = -1


@record
class DeathNoted(Message):
    """Hub to nanny: what follows from the end of this incarnation is stored, and it need not be told again."""

    kind: ClassVar[str] = "death_noted"
    incarnation: bytes


@record
class Goodbye(Message):
    """Either way: I leave on purpose; nothing is to be kept for me.

    With `replaced` an engine's place is kept: another process is to come with its key.
    `code` names the error with which a client's requests end, if it is not that the hub stops.
    `received` are results that a client has, for a session that is kept.
    """

    kind: ClassVar[str] = "goodbye"
    reason: str = ""
    replaced: bool = False
    code: str = ""
    received: Ranges = ()
