"""Maps in asyncio over sequences that come in their own time."""

from __future__ import annotations

from asyncio import CancelledError, Event, Task, ensure_future
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing, suppress
from typing import Any

from ctrlhub.client.lazy_map import LazyMapIterator
from ctrlhub.client.room import without_waiting

Row = tuple[Any, ...]


def is_async(sequence: Any) -> bool:
    """Say whether a sequence is read with ``async for``."""
    return hasattr(sequence, "__aiter__")


async def rows_of(sequences: Iterable[Any]) -> AsyncIterator[Row]:
    """Yield the rows of sequences of both kinds, up to the end of the shortest."""
    iterators = [aiter(each) if is_async(each) else iter(each) for each in sequences]
    try:
        while True:
            row = []
            for each in iterators:
                try:
                    row.append(await anext(each) if is_async(each) else next(each))
                except (StopIteration, StopAsyncIteration):
                    return
            yield tuple(row)
    finally:
        for each in iterators:
            if hasattr(each, "aclose"):
                await each.aclose()


async def as_rows_come(
    values: LazyMapIterator, rows: AsyncIterator[Row], news: Event
) -> AsyncIterator[Any]:
    """Make a call of each row as it comes, and yield the values.

    Parameters
    ----------
    values
        Takes the rows; it has none of its own.
    rows
        The rows. They are read no faster than calls may be out, and closed in the end.
    news
        Set whenever a value has come.
    """

    async def read() -> Row | None:
        return await anext(rows, None)

    reading: Task[Row | None] | None = None
    ended = False
    async with aclosing(rows):  # type: ignore[type-var]
        try:
            while not (ended and values.over):
                if reading is None and not ended and not values.full:
                    reading = ensure_future(read())
                    reading.add_done_callback(lambda _: news.set())
                if reading is not None and reading.done():
                    read_before, reading = reading, None
                    try:
                        row = read_before.result()
                        ended = row is None
                        if row is not None:
                            with without_waiting():
                                values.take(row)
                    except Exception as error:  # raised in its turn, after the values before
                        ended = True
                        values.fail(error)
                elif values.ready:
                    yield next(values)
                else:
                    await news.wait()
                    news.clear()
        finally:
            if reading is not None:
                reading.cancel()
                with suppress(CancelledError, Exception):  # nobody wants that row any more
                    await reading
