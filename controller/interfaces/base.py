"""What every client interface is: an adapter on the controller that answers clients.

An interface is a class with a `name`. Its methods marked :func:`exposed` can be called by name (`Call`)
by clients whose role allows it, over every protocol. One that has streams of messages of its own names the handlers in
`handlers`, and the streams on which it hears them in `streams`. It holds no copy of the engines: `self.engines` is the controller's own registry.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, overload

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.core.alarm import Alarm
from ctrlhub.controller.core.deaths import Death
from ctrlhub.controller.core.drains import Drain
from ctrlhub.controller.core.effects import Outbox
from ctrlhub.controller.core.engines import Absence, Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.keeping import GatewayKeeper
from ctrlhub.controller.core.leases import Leases
from ctrlhub.controller.core.output_watch import OutputWatch
from ctrlhub.controller.core.saved import Health
from ctrlhub.controller.core.sessions import Session, Sessions
from ctrlhub.controller.core.telemetry import Figures
from ctrlhub.controller.service import ControllerAdapterBase, IControllerBase
from ctrlhub.wire.errors import (
    CtrlHubError,
    InvalidEngineID,
    InvalidRequest,
    LimitExceeded,
    PermissionDenied,
    StoreError,
    UnknownInterface,
)
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Message, Payload, Role, Stream

Method = TypeVar("Method", bound=Callable[..., Any])


@overload
def exposed(method: Method, /) -> Method: ...


@overload
def exposed(needed: Role, /) -> Callable[[Method], Method]: ...


def exposed(given: Any, /) -> Any:
    """Let clients call this method: ``method(self, caller, **arguments)``.

    Used as ``@exposed(Role.VIEW)`` it is for clients of this role and of higher ones, as ``@exposed``
    alone for `Role.ADMIN`: what does not say that it does no harm is for those who may do any.

    `caller` is the client's :class:`~ctrlhub.controller.core.sessions.Session`; the arguments and the
    value are what msgpack can carry. Whatever it raises reaches the client as an error.
    """
    if not isinstance(given, Role):
        given.__ctrlhub_exposed__ = Role.ADMIN
        return given
    if not given.is_client:
        raise ValueError(f"clients call methods: {given.value!r} is none of their roles")

    def mark(method: Method) -> Method:
        method.__ctrlhub_exposed__ = given  # type: ignore[attr-defined]
        return method

    return mark


def need(caller: Session, needed: Role, what: str) -> None:
    """See that a client's role allows something.

    Raises
    ------
    PermissionDenied
        It needs a higher one.
    """
    if not caller.role.allows(needed):
        raise PermissionDenied.of(caller.role.value, what, needed.value)


@dataclass(frozen=True, slots=True)
class Context:
    """What the hub lends to its interfaces."""

    config: HubConfig
    sessions: Sessions
    outbox: Outbox
    interfaces: Mapping[str, Interface]
    """All interfaces of this hub, by name."""
    revoke: Callable[[str], bool]
    """Shut out the peer of a public key."""
    events: Callable[[], int]
    """The number of the last engine event."""
    announce: Callable[[int, str, str], None]
    """Tell clients of an event that concerns an engine: its id, the event, and why."""
    now: Callable[[], float]
    """The hub's clock, as of this turn (seconds)."""
    alarm: Alarm
    """Calls `Interface.tick` earlier than at the next beat, which comes by itself."""
    is_settling: Callable[[], bool]
    """Whether the hub is so young that clients and engines of its predecessor may be on their way."""
    absent: Callable[[], Mapping[int, Absence]]
    """The engines that are away for a while: by id, what is to be said of them."""
    refuse: Callable[[Session, Stream, Message, CtrlHubError], None]
    """Tell a peer that what it said on a stream is refused, behind what this turn accepts."""
    perished: Callable[[], Collection[str]]
    """The keys of engines of the hub before this one of whose end a nanny has told."""
    store: Health
    """The store, to be asked how it is doing."""
    refused: Callable[[], int]
    """How many messages of peers were refused."""
    why_full: Callable[[], str]
    """Why no further peer can be let in; empty where one can."""
    why_no_memory: Callable[[], str]
    """Why there is no memory for further requests; empty where there is."""
    leases: Leases
    """Sessions that outlive their clients."""
    gateway: GatewayKeeper
    """The HTTP gateway, if one is wanted."""
    drain: Callable[[Engine, Drain], None]
    """Let an engine finish what it runs, and leave."""
    stillborn: Callable[[], Sequence[Mapping[str, object]]]
    """The engines that have died before they were any, and are not started again."""
    figures: Figures = field(default_factory=Figures)
    """What is counted and measured."""
    output: OutputWatch = field(default_factory=OutputWatch)
    """What requests put out, for clients that watch all."""
    engines_lost: Callable[[], int] = int
    """How many engines have died or fallen silent."""
    keep: Callable[[Payload], Payload] | None = None
    """Put the large buffers of a payload where several engines can read one copy; None shares nothing."""

    @contextmanager
    def refusing(self, session: Session, stream: Stream, message: Message) -> Iterator[None]:
        """Refuse what fails within, instead of raising: what waits behind it has its turn, too."""
        try:
            yield
        except CtrlHubError as error:
            self.refuse(session, stream, message, error)

    def refusal(self, kept: int) -> CtrlHubError | None:
        """Say why new requests are refused of a client for which `kept` would be kept, if they are.

        A refused request is kept too, until the client has read of it: it ends with this error.

        Raises
        ------
        LimitExceeded
            There are too many even of those: the client does not read.
        """
        limit = self.config.max_outstanding
        if kept > 2 * limit:
            raise LimitExceeded(f"{limit} refusals wait for this client, which does not read them")
        trouble = self.store.trouble
        if trouble:
            return StoreError(f"the hub cannot store requests now: {trouble}. Try again later")
        if kept <= limit:
            crowded = self.why_no_memory()
            return LimitExceeded(f"{crowded}. Try again later") if crowded else None
        return LimitExceeded(
            f"more than {limit} requests of this client have not ended or were not fetched: wait "
            "for some, or raise the hub's max_outstanding"
        )


class Interface(ControllerAdapterBase):
    """A client interface: subclass, name it, expose methods.

    Parameters
    ----------
    controller
        The one registry of engines.
    context
        Configuration, sessions and outbox of the hub.
    """

    name: ClassVar[str] = ""
    handlers: ClassVar[Mapping[type[Message], str]] = {}
    """Message type -> name of the method ``(session, message, stream, now)`` that takes it."""
    streams: ClassVar[frozenset[Stream]] = frozenset()
    """The streams on which the handlers hear; two interfaces may not hear the same."""

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller)
        self.context = context
        self.outbox = context.outbox

    def call(self, caller: Session, method: str, arguments: Mapping[str, Any]) -> Any:
        """Call an exposed method for a client.

        Raises
        ------
        UnknownInterface
            There is no exposed method of that name.
        PermissionDenied
            The client's role does not allow it.
        InvalidRequest
            The arguments do not fit it.
        """
        function = None if method.startswith("_") else getattr(self, method, None)
        needed = getattr(function, "__ctrlhub_exposed__", None)
        if function is None or needed is None:
            raise UnknownInterface(
                f"interface {self.name!r} has no method {method[:80]!r}; it has: "
                + ", ".join(self.exposed_methods())
            )
        need(caller, needed, f"{self.name}.{method}")
        try:
            inspect.signature(function).bind(caller, **arguments)
        except TypeError as error:
            raise InvalidRequest(f"{self.name}.{method}: {error}") from None
        return function(caller, **arguments)

    def exposed_methods(self) -> list[str]:
        """Return the names that clients may call."""
        return sorted(
            name
            for name, value in inspect.getmembers(type(self))
            if getattr(value, "__ctrlhub_exposed__", None) is not None
        )

    # What an interface may want to know; each is nothing unless it says otherwise.

    def restore(self, former: Former) -> None:
        """Take back what is left of the hub before this one."""

    def resume(self, former: Former) -> None:
        """Go on with it: every interface has what is its own."""

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Note that a peer said hello on a stream (again)."""

    def drains(self, engine: Engine) -> None:
        """Note that a registered engine takes nothing new from now on: it ends what it runs, and leaves."""

    def handed_over(self, session: Session, now: float) -> None:
        """Note that another process has a client's session: what the former one wished is over."""

    def have_been_read(self, session: Session, ranges: Ranges, now: float) -> None:
        """Note that a client that leaves has some results, of whichever interface."""

    def highest(self, session: Session) -> int:
        """Return the highest id that is known of a client's requests; 0 for none."""
        return 0

    def left(self, session: Session) -> tuple[int, int]:
        """Return how many requests of a client have not ended, and how many results it has to fetch."""
        return 0, 0

    def session_ended(self, session: Session, now: float) -> None:
        """Note that a client is gone for good."""

    def tick(self, now: float) -> None:
        """Do what is due."""

    def next_deadline(self) -> float | None:
        """Say when `tick` should be called."""
        return None

    def summary(self) -> dict[str, int]:
        """Return the figures that belong into the hub's status."""
        return {}

    def has_killed(self, request: int, death: Death) -> bool:
        """Take note that a request ran when a process of an engine ended, perhaps under another hub.

        False where another hub has to be told, too: what follows from it is not in what is to be stored.
        """
        return True

    def settle(self) -> None:
        """Let what is kept take less memory: the hub has little to do, and memory to give back."""

    def check(self) -> None:
        """Assert the invariants."""

    def flush(self, now: float) -> None:
        """Send what became ready in this turn."""

    def no_engine(self, number: int) -> InvalidEngineID:
        """Return the error that says that an engine is not there, or not now."""
        away = {n: absence.text for n, absence in self.context.absent().items()}
        return InvalidEngineID.of(number, away)

    def engine(self, number: int) -> Engine:
        """Return a registered engine."""
        engine = self.engines[number]
        assert isinstance(engine, Engine)
        return engine
