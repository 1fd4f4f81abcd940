"""PROTOCOL.md says what the code does: kinds, fields, limits, codes, methods, bytes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

from ctrlhub.controller.interfaces.finding import BUILT_IN, find_interfaces
from ctrlhub.controller.switchboard import PERMITTED
from ctrlhub.link.states import UNKNOWN_SESSION
from ctrlhub.wire import errors, limits, messages
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.functions import digest_of
from ctrlhub.wire.messages import KINDS, Message, SubmitTasks

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "PROTOCOL.md").read_text(encoding="utf-8")

TYPE_NAMES: Mapping[str, str] = {
    "int": "int",
    "str": "str",
    "bytes": "bytes",
    "bool": "bool",
    "float": "float",
    "Any": "any",
    "Ranges": "ranges",
    "PayloadRef": "payload",
    "Mapping[str, str]": "map of str",
    "Mapping[str, Any]": "map",
    "Sequence[str]": "list of str",
    "Sequence[int]": "list of int",
    "Sequence[bytes]": "list of bytes",
    "Sequence[PayloadRef]": "list of payload",
    "Sequence[Mapping[str, Any]]": "list of map",
    "Sequence[FunctionRow]": "function rows",
    "Sequence[TemplateRow]": "template rows",
    "Sequence[ValueRow]": "value rows",
    "Sequence[ResourceRow]": "resource rows",
    "Sequence[UsageRow]": "usage rows",
    "Sequence[SubmitRow]": "task rows",
    "Sequence[RunRow]": "run rows",
    "Sequence[ResultRow]": "result rows",
    "Sequence[CompletedRow]": "completed rows",
    "Sequence[OutputItem]": "output items",
    "Sequence[WatchedRow]": "watched rows",
}
"""What the document calls an annotation."""

DEFAULTS = {"True": "true", "''": '""', "b''": 'b""', "False": "false", "None": "null", "()": "[]"}
"""What the document calls a default, by Python's text for it, where that is another."""


def _sections() -> dict[str, str]:
    """Return the text below each heading of a message, by its kind."""
    found = re.split(r"^### `([a-z_]+)`\n", TEXT, flags=re.MULTILINE)[1:]
    return {
        kind: re.split(r"^#", body, maxsplit=1, flags=re.MULTILINE)[0]
        for kind, body in zip(found[::2], found[1::2], strict=True)
    }


def _rows(section: str) -> list[list[str]]:
    """Return the cells of a section's table, without its head."""
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def _below(heading: str) -> str:
    """Return the text below a heading of the second rank."""
    body = TEXT.partition(f"\n## {heading}\n")[2]
    assert body, f"there is no heading {heading!r}"
    return re.split(r"^##? ", body, maxsplit=1, flags=re.MULTILINE)[0]


SECTIONS = _sections()


def _default(each: Field[Any]) -> str:
    if each.default is MISSING:
        return "-"
    text = repr(each.default)
    return f"`{DEFAULTS.get(text, text)}`"


def _directions(kind: str) -> list[tuple[set[str], set[str], set[str], bool]]:
    """Return (senders, receivers, streams, frames) of each direction of a kind."""
    found = []
    for line in SECTIONS[kind].splitlines():
        if "→" in line:
            way, streams, *frames = (part.strip() for part in line.split("·"))
            senders, receivers = (_roles(side) for side in way.split("→"))
            found.append((senders, receivers, set(streams.split(", ")), frames == ["frames"]))
    return found


ROLES_OF = {
    "client": ("admin", "submit", "view"), "submitter": ("admin", "submit"),
}  # fmt: skip
"""The roles that a word of the document stands for, where they are several."""


def _roles(side: str) -> set[str]:
    words = side.strip().split(", ")
    return {role for word in words for role in ROLES_OF.get(word, (word,))}


def test_every_kind_is_documented_and_no_other() -> None:
    """A new message needs a section, and a section a message."""
    assert set(SECTIONS) == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_fields_are_those_of_the_code(kind: str) -> None:
    """Names, order, types and defaults of a message's fields."""
    expected = [
        [f"`{each.name}`", TYPE_NAMES[str(each.type)], _default(each)]
        for each in fields(KINDS[kind])
        if each.name != "frames"
    ]
    rows = _rows(SECTIONS[kind])
    assert [row[:3] for row in rows] == expected
    assert all(len(row) == 4 and row[3] for row in rows), "every field has a meaning"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_directions_are_well_formed(kind: str) -> None:
    """Every message has a hub at one end, a stream, and frames exactly if its class has."""
    directions = _directions(kind)
    assert directions
    for senders, receivers, streams, frames in directions:
        assert (senders == {"hub"}) != (receivers == {"hub"})
        assert senders | receivers <= {"hub", *messages.Role}
        assert streams <= set(messages.Stream)
        assert frames == any(each.name == "frames" for each in fields(KINDS[kind]))


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_hub_hears_what_the_document_says(kind: str) -> None:
    """Roles and streams of what goes to the hub are those it permits."""
    to_hub = [d for d in _directions(kind) if d[1] == {"hub"}]
    permitted = PERMITTED.get(KINDS[kind])
    if kind == "enrol":  # heard from keys that have no role yet
        permitted = (frozenset({messages.Stream.HUB}), frozenset(messages.Role))
    if permitted is None:
        assert not to_hub
        return
    streams, roles = permitted
    [(senders, _, documented, _)] = to_hub
    assert (documented, senders) == (set(streams), set(roles))


def test_limits_are_those_of_the_code() -> None:
    """Every limit of the wire with its value."""
    expected = {n: v for n, v in vars(limits).items() if n.isupper() and isinstance(v, int)}
    documented = {row[0].strip("`"): int(row[1]) for row in _rows(_below("Limits"))}
    assert documented == expected


def _classes(cls: type[errors.CtrlHubError]) -> Iterator[type[errors.CtrlHubError]]:
    for each in cls.__subclasses__():
        if getattr(errors, each.__name__, None) is each:
            yield each
            yield from _classes(each)


def test_error_codes_are_those_of_the_code() -> None:
    """Every code, and the class it stands for."""
    expected = {c.code: c.__name__ for c in _classes(errors.CtrlHubError) if "code" in vars(c)}
    documented = {row[0].strip("`"): row[1] for row in _rows(_below("Errors"))}
    assert documented.pop(UNKNOWN_SESSION).startswith("none")
    assert documented == expected


def test_calls_are_those_of_the_built_in_interfaces() -> None:
    """Every exposed method, the names of its arguments, and the role that it needs."""
    expected = {}
    for cls in find_interfaces(list(BUILT_IN)):
        for name, method in inspect.getmembers(cls):
            needed = getattr(method, "__ctrlhub_exposed__", None)
            if needed is not None:
                _, _, *arguments = inspect.signature(method).parameters
                expected[f"{cls.name}.{name}({', '.join(arguments)})"] = needed.value
    assert {row[0].strip("`"): row[1] for row in _rows(_below("Calls"))} == expected


# ---------------------------------------------------------------- the bytes

EXAMPLES = re.findall(r"```python\n(.*?)```\n((?:```hex\n.*?```\n)+)", TEXT, re.DOTALL)


def _message(source: str) -> Message:
    found = eval(source, dict(vars(messages)))
    assert isinstance(found, Message)
    return found


def _frames(blocks: str) -> list[bytes]:
    return [bytes.fromhex(block) for block in re.findall(r"```hex\n(.*?)```", blocks, re.DOTALL)]


def test_there_are_examples() -> None:
    """The pattern above finds them."""
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(("source", "blocks"), EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_bytes_are_the_message(source: str, blocks: str) -> None:
    """Bytes decode to the message beside them, and the message is sent as these bytes."""
    message, frames = _message(source), _frames(blocks)
    assert decode(frames[0], frames[1:]) == message
    assert [bytes(frame) for frame in encode(message)] == frames


def test_the_function_of_the_example_has_its_digest() -> None:
    """A digest made as the document says is the one it shows."""
    [message] = [m for m in (_message(s) for s, _ in EXAMPLES) if isinstance(m, SubmitTasks)]
    [(digest, form)] = message.functions
    assert isinstance(form, bytes)
    assert digest_of(form) == digest == message.templates[0][0]


def test_the_links_lead_somewhere() -> None:
    """Every link within the page has its heading."""
    headings = re.findall(r"^#+ (.*)$", TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", TEXT)) <= anchors
