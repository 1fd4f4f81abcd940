"""What a client asks for: functions, templates and requests, as the session sees them.

A request lives until every one of its rows has come. Its arguments stay in it until then, because
what the hub has not acknowledged may have to be sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Payload, Stream
from ctrlhub.wire.options import PLAIN, TaskOptions

if TYPE_CHECKING:
    from ctrlhub.client.hook_request import StartHookRequest

ENGINE_RETRIES = 3
"""How often a task is run again that was running on an engine which was lost."""


class Function:
    """A serialized function, and when it was last sent on each stream.

    Parameters
    ----------
    digest
        Its name on the wire.
    blob
        Its serialized form.
    """

    __slots__ = ("__weakref__", "blob", "digest", "sent")

    def __init__(self, digest: bytes, blob: Payload) -> None:
        self.digest = digest
        self.blob = blob
        # Stream -> the session's generation in which it was sent there.
        self.sent: dict[str, int] = {}


class About:
    """What a result says of the request it belongs to.

    Parameters
    ----------
    what
        The name of the function, or the action.
    stream
        The stream of the request.
    label
        Its label, or None.
    code
        What is executed, if it is code.
    """

    __slots__ = ("code", "label", "stream", "what")

    def __init__(
        self, what: str, stream: Stream, label: str | None, code: str | None = None
    ) -> None:
        self.what = what
        self.stream = stream
        self.label = label
        self.code = code


class Template(About):
    """What the tasks of a call share."""

    __slots__ = ("engine_retries", "function", "options", "retries")

    def __init__(
        self,
        what: str,
        label: str | None,
        function: Function,
        retries: int = 0,
        engine_retries: int = ENGINE_RETRIES,
        options: TaskOptions = PLAIN,
    ) -> None:
        super().__init__(what, Stream.TASK, label)
        self.options = options
        self.function = function
        self.retries = retries
        self.engine_retries = engine_retries

    def with_options(self, options: TaskOptions) -> Template:
        """Return one with other options, and otherwise the same."""
        return Template(
            self.what, self.label, self.function, self.retries, self.engine_retries, options
        )


class Stirred(Protocol):
    """What wants to know that some of its rows came: once a message, not once a row."""

    def _stir(self) -> None:
        """Wake whoever waits."""


class Sender(Protocol):
    """What takes requests in: the session, within `Request._enter`."""

    def add_task(
        self, number: int, request: TaskRequest, template: Template, payload: Payload
    ) -> None:
        """Send a task with the current batch."""

    def add_names(self, number: int) -> None:
        """Take note that a task is called with results: these are not to be acknowledged before it."""

    def add_command(self, command: CommandRequest | StartHookRequest) -> None:
        """Send a command, after the tasks that were added before it."""

    def add_receipt(self, ranges: Ranges) -> None:
        """Acknowledge results of commands, after the commands that were added before it."""


class Request(Protocol):
    """What the session keeps until its rows have come."""

    def _future(self) -> Future[Any]:
        """Return the future that it belongs to."""

    def _numbers(self) -> Sequence[int]:
        """Return the ids of its rows."""

    def _enter(self, sender: Sender) -> None:
        """Hand over what is to be sent."""

    def _settle(self, row: tuple[Any, ...], now: float) -> Stirred | None:
        """Take a row that ends (a part of) it; return whom to stir, if anybody waits."""


class TaskRequest(Request, Protocol):
    """One or several tasks of one template."""

    def _template(self) -> Template:
        """Return what its tasks share."""

    def _payload(self, number: int) -> Payload:
        """Return the arguments of a task that has not ended."""


class Claim:
    """A place among those who want room, in the order in which they came.

    Parameters
    ----------
    count
        For how many requests.
    """

    __slots__ = ("count",)

    def __init__(self, count: int) -> None:
        self.count = count


class CalledWithResults:
    """A task whose arguments hold results of others, which the hub may not have any more."""

    __slots__ = ()

    def _insert_values(self) -> None:
        """Put those values into the arguments that are here."""
        raise NotImplementedError


class Owner(Protocol):
    """The future that several rows belong to."""

    def _future(self) -> Future[Any]:
        """Return itself, as what it is."""

    def _take(self, index: int, row: tuple[Any, ...], now: float) -> Stirred | None:
        """Take the row of item number `index`."""


class Portion:
    """A run of consecutive tasks of a map.

    Parameters
    ----------
    first
        The id of the first one.
    payloads
        The arguments of each; emptied as they end.
    template
        What they share.
    owner
        Whose items they are.
    offset
        The item that the first one is.
    """

    __slots__ = ("_about", "_offset", "_owner", "_payloads", "first")

    def __init__(
        self, first: int, payloads: list[Payload], template: Template, owner: Owner, offset: int
    ) -> None:
        self.first = first
        self._about = template
        self._payloads: list[Payload] = payloads
        self._owner = owner
        self._offset = offset

    def _future(self) -> Future[Any]:
        return self._owner._future()

    def _numbers(self) -> Sequence[int]:
        return range(self.first, self.first + len(self._payloads))

    def _enter(self, sender: Sender) -> None:
        add, template = sender.add_task, self._about
        for number, payload in enumerate(self._payloads, self.first):
            add(number, self, template, payload)

    def _template(self) -> Template:
        return self._about

    def _payload(self, number: int) -> Payload:
        return self._payloads[number - self.first]

    def _settle(self, row: tuple[Any, ...], now: float) -> Stirred | None:
        place = row[0] - self.first
        self._payloads[place] = b""
        return self._owner._take(self._offset + place, row, now)


class CommandRequest:
    """One action on explicit engines; target number k has id ``first + k``.

    Parameters
    ----------
    first
        The id of the first target's row.
    targets
        The engines.
    action
        What they do (`ctrlhub.wire.messages.Action`).
    payloads
        One for all targets, or one for each.
    function
        What is applied, if that is the action.
    owner
        Whose rows they are.
    label
        Its label, for people.
    stop_on_error
        Whether its failure clears what this client has queued behind it.
    """

    __slots__ = (
        "_owner", "action", "first", "function", "label", "payloads", "stop_on_error", "targets",
    )  # fmt: skip

    def __init__(
        self,
        first: int,
        targets: Sequence[int],
        action: str,
        payloads: Sequence[Payload],
        function: Function | None,
        owner: Owner,
        label: str | None = None,
        stop_on_error: bool = False,
    ) -> None:
        self.first = first
        self.label = label or ""
        self.stop_on_error = stop_on_error
        self.targets = tuple(targets)
        self.action = action
        self.payloads = tuple(payloads)
        self.function = function
        self._owner = owner

    def part(self, first: int, last: int) -> tuple[Sequence[int], Sequence[Payload]]:
        """Return the targets and payloads of some of its rows."""
        chosen = slice(first - self.first, last - self.first + 1)
        payloads = self.payloads if len(self.payloads) == 1 else self.payloads[chosen]
        return self.targets[chosen], payloads

    def _future(self) -> Future[Any]:
        return self._owner._future()

    def _numbers(self) -> Sequence[int]:
        return range(self.first, self.first + len(self.targets))

    def _enter(self, sender: Sender) -> None:
        sender.add_command(self)

    def _settle(self, row: tuple[Any, ...], now: float) -> Stirred | None:
        return self._owner._take(row[0] - self.first, row, now)
