"""What many ask for at a time leaves the loop to others in between."""

from __future__ import annotations

import asyncio

import pytest

from ctrlhub.gateway.api.turns import Turns

DEADLINE = 10.0


def test_who_asks_on_and_on_lets_others_of_the_loop_do_theirs() -> None:
    """Behind each turn, although nobody else wants one, and it has nothing to wait for."""

    async def test() -> None:
        turns, done, seen = Turns(), 0, []

        async def others() -> None:
            while done < 20:
                seen.append(done)
                await asyncio.sleep(0)

        looks = asyncio.create_task(others())
        for _ in range(20):
            async with turns.next():
                done += 1
        async with asyncio.timeout(DEADLINE):
            await looks
        assert set(range(1, 20)) <= set(seen)

    asyncio.run(test())


def test_turns_come_in_order_and_one_at_a_time() -> None:
    """Who asks for many has one, and then the others have theirs; also where one fails."""

    async def test() -> None:
        turns, order = Turns(), list[str]()

        async def asks(name: str) -> None:
            for _ in range(3):
                async with turns.next():
                    order.append(name)

        async def fails() -> None:
            with pytest.raises(ZeroDivisionError):
                async with turns.next():
                    raise ZeroDivisionError

        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(asks("a"), fails(), asks("b"), asks("c"))
        assert order == ["a", "b", "c"] * 3

    asyncio.run(test())
