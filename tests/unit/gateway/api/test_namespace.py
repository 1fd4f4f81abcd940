"""What the gateway says to engines of values that come and go in pieces, and what it keeps of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from ctrlhub.client.rows import Row
from ctrlhub.engine.pieces import PIECES, give_up_writing
from ctrlhub.gateway.api.namespace import PIECE, Upload, leaving
from ctrlhub.gateway.api.outcomes import NotAsSaid
from ctrlhub.gateway.api.submissions import Submissions
from ctrlhub.wire.encoded import Encoded
from ctrlhub.wire.serialize import dumps


class Written:
    """Writes down what is called, and has rows of all of it until somebody has them."""

    def __init__(self) -> None:
        self.called: list[Callable[..., Any]] = []
        self.left: dict[int, Row] = {}
        self._number = 0

    async def call(self, engines: Sequence[int], function: Callable[..., Any], *_: Any, label: str) -> list[int]:
        """Have it done by all engines at once."""
        self.called.append(function)
        numbers = [self._number + place for place in range(len(engines))]
        self._number += len(engines)
        self.left |= {number: (number, 0, dumps(None), 0, 1.0, 0.0, None) for number in numbers}
        return numbers

    async def rows(self, numbers: Sequence[int], timeout: float) -> list[Row | None]:
        """Return rows, and keep them no longer."""
        return [self.left.pop(number) for number in numbers]


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_what_is_given_up_is_told_and_leaves_no_rows(pieces: int) -> None:
    """Where nothing of it is there, nothing is said."""
    written = Written()

    async def give_up() -> None:
        upload = Upload(cast(Submissions, written), [0, 1])
        for _ in range(pieces):
            await upload.add(bytes(PIECE))
        await upload.add(b"some more")
        upload.give_up()
        async with asyncio.timeout(20):
            while asyncio.all_tasks() != {asyncio.current_task()}:
                await asyncio.sleep(0)

    asyncio.run(give_up())
    assert (give_up_writing in written.called) == (pieces > 0)
    assert written.left == {}


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"media_type": "text/html", "bytes": 5}', b'{"media_type": "application/json"}',
     b'{"media_type": "application/json", "bytes": -5}', b'{"media_type": "application/json", "bytes": true}'],
)  # fmt: skip
def test_what_an_engine_says_of_a_value_is_looked_at(data: bytes) -> None:
    """It becomes headers; code on the engine can have it say anything."""
    with pytest.raises(NotAsSaid):
        leaving(Encoded(PIECES, data))
    assert leaving(Encoded(PIECES, b'{"media_type": "application/json", "bytes": 5}')) == ("application/json", 5)
