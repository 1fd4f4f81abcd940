"""Refusals name the requests they are about."""

from __future__ import annotations

import pytest

from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.refusals import requests_of
from ctrlhub.wire import messages as m
from ctrlhub.wire.ids import request_id
from ctrlhub.wire.limits import BATCH_ROWS, MAX_ID
from tests.support.exchange import Exchange, Line
from tests.support.taskqueue import client, exchange

__all__ = ["client", "exchange"]


def tasks(*ids: int) -> m.SubmitTasks:
    """Return a batch without templates, which no hub accepts."""
    return m.SubmitTasks((), tuple((number, 0, b"") for number in ids))


def test_a_refused_batch_is_named(client: Line) -> None:
    """All of its tasks, and no others."""
    [refused] = client.say(m.Stream.TASK, tasks(*(client.id(n) for n in (1, 2, 5))))

    assert isinstance(refused, m.Refused)
    assert refused.requests == ((client.id(1), client.id(2)), (client.id(5), client.id(5)))


def test_a_refused_command_is_named(client: Line) -> None:
    """With all of its targets."""
    [refused] = client.command(1, 0, 1, 2, action="dance")

    assert isinstance(refused, m.Refused)
    assert refused.requests == ((client.id(1), client.id(3)),)


def test_a_batch_is_named_that_had_to_wait(client: Line) -> None:
    """Refused once its function has come: those behind it are not meant."""
    foreign = m.SubmitTasks(((b"f", 0, 3, ""),), ((request_id(12345, 1), 0, b""),))
    client.say(m.Stream.TASK, foreign)
    client.submit(1, functions=())
    client.heard()

    answers = client.say(m.Stream.TASK, m.Functions(((b"f", b"code"),)))

    [refused] = [each for each in answers if isinstance(each, m.Refused)]
    assert refused.requests == ((request_id(12345, 1),) * 2,)


def test_a_command_is_named_that_had_to_wait() -> None:
    """Likewise."""
    client = Line(Exchange(HubConfig(max_outstanding=10)), "client")
    client.register(m.Role.ADMIN)
    client.command(1, *[0] * 10_000, action="apply", function=b"f")
    client.heard()

    answers = client.say(m.Stream.MULTIENGINE, m.Functions(((b"f", b"code"),)))

    [refused] = [each for each in answers if isinstance(each, m.Refused)]
    assert refused.requests == ((client.id(1), client.id(10_000)),)


def test_what_cannot_be_read_is_refused_without_names(client: Line) -> None:
    """The hub does not guess."""
    [refused] = client.say_bytes(m.Stream.TASK, b"not a header")

    assert isinstance(refused, m.Refused)
    assert refused.requests == ()


@pytest.mark.parametrize(
    "message",
    [
        None,
        m.Beat(),
        m.Command(-1, (0,), "push", (b"",)),
        m.Command(1, (), "push", (b"",)),
        m.Command(MAX_ID, (0, 1), "push", (b"",)),
        tasks(),
        tasks(MAX_ID + 1),
        tasks(*range(0, 2 * BATCH_ROWS + 2, 2)),
    ],
)
def test_ids_that_fit_no_answer_are_not_repeated(message: m.Message | None) -> None:
    """Peers say what they like: the refusal can be sent and read all the same."""
    assert requests_of(message) == ()


def test_the_hub_refuses_any_ids_in_words_that_can_be_read(exchange: Exchange) -> None:
    """Also one beyond all that an answer may hold."""
    line = Line(exchange, "anybody")
    line.register(m.Role.ADMIN)

    [refused] = line.say(m.Stream.TASK, tasks((1 << 64) - 1))

    assert isinstance(refused, m.Refused)
