"""What a request put out, from the wire to its metadata.

The extras of a row hold the complete output. Its order is told apart from the text: ``outputs`` names
each piece of a stream by its length, and holds what was displayed itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ctrlhub.wire.messages import OUTPUT_STREAMS
from ctrlhub.wire.serialize import loads

STREAM, DISPLAY, CLEAR = "stream", "display_data", "clear_output"
"""The types of an output, as in a notebook."""


class PublishedData(Mapping[str, Any]):
    """What an engine published (`ctrlhub.datapub.publish_data`): values by name.

    Each is unpickled when it is first asked for, so that one which cannot be is nobody else's trouble.
    """

    def __init__(self, pickled: Mapping[str, bytes]) -> None:
        self._pickled = pickled
        self._values: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            self._values[name] = loads(self._pickled[name])
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._pickled)

    def __len__(self) -> int:
        return len(self._pickled)

    def __repr__(self) -> str:
        return repr(dict(self.items()))


def output_metadata(extras: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the metadata of a request says of its output.

    Parameters
    ----------
    extras
        Of its row, or of what has come so far.
    """
    known: dict[str, Any] = {
        name: extras[name] for name in ("stdout", "stderr", "execute_result") if name in extras
    }
    kinds = STREAM, CLEAR
    displayed = [each for each in extras.get("outputs", ()) if each.get("output_type") not in kinds]
    if displayed:
        known["outputs"] = displayed
    if extras.get("data"):
        known["data"] = PublishedData(extras["data"])
    return known


def in_order(extras: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what was put out, in order: stream pieces with their ``text``, and what was displayed."""
    texts = {name: extras.get(name, "") for name in OUTPUT_STREAMS}
    begun = dict.fromkeys(texts, 0)
    for each in extras.get("outputs", ()):
        if each.get("output_type") != STREAM:
            yield each
            continue
        name = each.get("name")
        if name in texts:
            start = begun[name]
            begun[name] = start + each.get("length", 0)
            yield _stream(name, texts[name][start : begun[name]])
    for name, text in texts.items():  # what was printed without a record of its order
        if text[begun[name] :]:
            yield _stream(name, text[begun[name] :])


def _stream(name: str, text: str) -> Mapping[str, Any]:
    return {"output_type": STREAM, "name": name, "text": text}
