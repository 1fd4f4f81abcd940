"""What a task may ask for besides its function: when, where, how long. Left out, it costs nothing.

On the wire the options of a template are a map that holds what is asked for and nothing else; a
template without any has none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ctrlhub.wire.errors import InvalidRequest
from ctrlhub.wire.ids import Ranges, count
from ctrlhub.wire.limits import MAX_ID

MOST_PRIORITY = (1 << 31) - 1
"""Priorities lie between this and its negative."""

LONGEST = 1e9
"""The longest timeout, time limit and grace (seconds)."""

MOST_RESOURCES = 64
"""So many resources a task may ask for, and an engine may have."""

LONGEST_RESOURCE = 64
"""The longest name (bytes) of a resource: each client is told those of every engine."""

MOST_AMOUNT = 1e15
"""The largest amount of a resource: whole numbers up to it are exact, and every one can be said."""

LONGEST_TRACE = 128
"""The longest traceparent (characters)."""

LONGEST_STATE = 512
"""The longest tracestate (characters)."""

MOST_DEPENDENCIES = 1_000_000
"""So many requests a task may depend on."""

MOST_RANGES = 100_000
"""In so many ranges of ids a client lets them lie: of options with many more lists (`MAX_CONTAINERS`) a hub reads nothing,
not even which task they are of."""

MOST_PLACES = 4096
"""Of so many of them a client says where they ran."""

MOST_ARGUMENTS = 16_384
"""With the values of so many requests a task may be called: each may be a frame of its message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must have become of other requests.

    Attributes
    ----------
    requests
        Which, as ranges of ids.
    all
        Whether it takes all of them, or any one.
    success, failure
        Whether one that ended well counts, and one that did not.
    places
        Requests among them of which the client knows that they ended well, each with its engine (-1
        for none). The hub goes by it where it knows nothing.
    """

    requests: Ranges
    all: bool = True
    success: bool = True
    failure: bool = False
    places: tuple[tuple[int, int], ...] = ()

    def to_wire(self) -> tuple[Any, ...]:
        """Return it as it travels."""
        told = self.requests, self.all, self.success, self.failure
        return (*told, self.places) if self.places else told

    @classmethod
    def from_wire(cls, value: Any) -> Condition:
        """Read what `to_wire` gave; what follows it is ignored.

        Raises
        ------
        InvalidRequest
            It is something else.
        """
        if type(value) is not tuple or len(value) < 4:
            raise InvalidRequest("a dependency is [requests, all, success, failure]")
        requests, *flags = value[:4]
        if not all(type(flag) is bool for flag in flags) or not (flags[1] or flags[2]):
            raise InvalidRequest("a dependency is met by success, by failure, or by both")
        places = _checked_places(value[4:5])
        return cls(_checked_requests(requests), flags[0], flags[1], flags[2], places)


_PLAIN = ("priority", "timeout", "time_limit", "grace", "targets", "arguments", "trace", "trace_state")
"""Options that travel as they are, if they are not the default."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """What a task asks for.

    Attributes
    ----------
    priority
        Higher goes first, among the tasks of one client.
    timeout
        How long (seconds) it may wait for an engine; None is for ever.
    time_limit
        How long (seconds) it may run, before it is interrupted; None is for ever.
    grace
        How long (seconds) it may go on after an interrupt, before its engine is restarted; None is
        for ever.
    targets
        The engines that may run it; None is any.
    resources
        What its engine must have, by name, in alphabetical order.
    after
        What it waits for.
    follow
        What it waits for, and where it then runs: where that ran.
    arguments
        Requests whose values it is called with.
    trace
        The span that it belongs to, as W3C's ``traceparent``; empty for none.
    trace_state
        What goes with that, as W3C's ``tracestate``; empty for nothing.
    """

    priority: int = 0
    timeout: float | None = None
    time_limit: float | None = None
    grace: float | None = None
    targets: tuple[int, ...] | None = None
    resources: tuple[tuple[str, float], ...] = ()
    after: tuple[Condition, ...] = ()
    follow: tuple[Condition, ...] = ()
    arguments: Ranges = ()
    trace: str = ""
    trace_state: str = ""

    @property
    def waits(self) -> bool:
        """Whether it depends on other requests."""
        return bool(self.after or self.follow or self.arguments)

    def to_wire(self) -> dict[str, Any]:
        """Return the map that travels."""
        found: dict[str, Any] = {}
        for name in _PLAIN:
            value = getattr(self, name)
            if value != _DEFAULTS[name]:
                found[name] = value
        if self.resources:
            found["resources"] = dict(self.resources)
        for name in ("after", "follow"):
            if conditions := getattr(self, name):
                found[name] = [condition.to_wire() for condition in conditions]
        return found

    @classmethod
    def from_wire(cls, value: Mapping[str, Any]) -> TaskOptions:
        """Read a map; what it does not know is ignored.

        Raises
        ------
        InvalidRequest
            A value is not what it should be; the message says which.
        """
        return cls(
            priority=_checked_priority(value.get("priority", 0)),
            timeout=_checked_seconds("timeout", value.get("timeout")),
            time_limit=_checked_seconds("time_limit", value.get("time_limit")),
            grace=_checked_seconds("grace", value.get("grace")),
            targets=_checked_targets(value.get("targets")),
            resources=checked_resources(value.get("resources", {})),
            after=_checked_conditions("after", value.get("after", ())),
            follow=_checked_conditions("follow", value.get("follow", ())),
            arguments=_checked_arguments(value.get("arguments", ())),
            trace=_checked_trace(value.get("trace", ""), LONGEST_TRACE, "a trace is a traceparent"),
            trace_state=_checked_trace(value.get("trace_state", ""), LONGEST_STATE, "a trace_state is a tracestate"),
        )


PLAIN = TaskOptions()
"""The options of a task that asks for nothing."""

_DEFAULTS: Mapping[str, Any] = {name: getattr(PLAIN, name) for name in _PLAIN}


def is_priority(value: Any) -> bool:
    """Say whether this can be a priority."""
    return type(value) is int and -MOST_PRIORITY <= value <= MOST_PRIORITY


def is_duration(value: Any) -> bool:
    """Say whether this can be a timeout, a time limit or a grace, in seconds."""
    return type(value) in (int, float) and 0 <= value <= LONGEST


def checked_resources(value: Any) -> tuple[tuple[str, float], ...]:
    """Return resources, by name in alphabetical order.

    Raises
    ------
    InvalidRequest
        They are not a map of names to positive numbers.
    """
    if not isinstance(value, Mapping) or len(value) > MOST_RESOURCES:
        raise InvalidRequest(
            f"resources are a map of at most {MOST_RESOURCES} names to amounts, "
            f"such as {{'gpu': 1}}, not {value!r:.80}"
        )
    for name, amount in value.items():
        if type(name) is not str or not 0 < len(name.encode("utf-8", "replace")) <= LONGEST_RESOURCE:
            raise InvalidRequest(
                f"a resource has a name of at most {LONGEST_RESOURCE} bytes, which {name!r:.80} is not"
            )
        if type(amount) not in (int, float) or not 0 < amount <= MOST_AMOUNT:
            raise InvalidRequest(
                f"the amount of {name!r} is a positive number up to {MOST_AMOUNT:g}, not {amount!r:.80}"
            )
    return tuple(sorted(value.items()))


def _checked_priority(value: Any) -> int:
    if not is_priority(value):
        raise InvalidRequest(
            f"a priority is a whole number up to {MOST_PRIORITY}, positive or negative, "
            f"not {value!r:.80}"
        )
    return int(value)


def _checked_seconds(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not is_duration(value):
        raise InvalidRequest(f"{name} is a time in seconds up to {LONGEST:g}, not {value!r:.80}")
    return float(value)


def _checked_targets(value: Any) -> tuple[int, ...] | None:
    if value is None:
        return None
    if type(value) is not tuple or not value or not all(type(n) is int for n in value):
        raise InvalidRequest("targets are a list of at least one engine id")
    return value


def _checked_conditions(name: str, value: Any) -> tuple[Condition, ...]:
    if type(value) is not tuple:
        raise InvalidRequest(f"{name} is a list of dependencies")
    return tuple(Condition.from_wire(each) for each in value)


def _checked_places(value: Any) -> tuple[tuple[int, int], ...]:
    places = value[0] if value else ()
    if (
        type(places) is not tuple
        or len(places) > MOST_PLACES
        or not all(
            type(pair) is tuple and len(pair) == 2 and all(type(n) is int for n in pair)
            for pair in places
        )
    ):
        raise InvalidRequest(f"places are a list of at most {MOST_PLACES} pairs [request, engine]")
    return places


def _checked_arguments(value: Any) -> Ranges:
    requests = _checked_requests(value)
    if count(requests) > MOST_ARGUMENTS:
        raise InvalidRequest(
            f"a task may be called with the values of {MOST_ARGUMENTS} others at most: "
            "gather them in steps"
        )
    return requests


def _checked_trace(value: Any, most: int, what: str) -> str:
    if type(value) is not str or len(value) > most or not value.isascii():
        raise InvalidRequest(f"{what}, as W3C writes it")
    return value


def _checked_requests(value: Any) -> Ranges:
    if type(value) is not tuple or not all(_is_range(pair) for pair in value):
        raise InvalidRequest("requests are a list of pairs [first, last]")
    if count(value) > MOST_DEPENDENCIES:
        raise InvalidRequest(f"a task may depend on {MOST_DEPENDENCIES} requests at most")
    return value


def _is_range(pair: Any) -> bool:
    return (
        type(pair) is tuple
        and len(pair) == 2
        and type(pair[0]) is int
        and type(pair[1]) is int
        and 0 <= pair[0] <= pair[1] <= MAX_ID
    )
