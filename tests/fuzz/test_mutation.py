"""What is said follows from the seed, and is of every kind."""

from __future__ import annotations

from random import Random

from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import InvalidRequest, ProtocolMismatch
from ctrlhub.wire.ids import request_id, session_of
from ctrlhub.wire.messages import Stream
from tests.fuzz.mutation import Mutator
from tests.fuzz.traffic import Corpus, Recorded
from tests.support.target import every_message

OLD, NEW = 7, 9


def a_corpus() -> Corpus:
    """Some messages, as if recorded."""
    number = request_id(OLD, 3)
    submit = m.SubmitTasks(((b"f", 0, 0, ""),), ((number, 0, b"x"),), ((b"f", b"code"),))
    said = [(Stream.TASK, submit), *((Stream.HUB, each) for each in every_message())]
    recorded = [Recorded(s, tuple(map(bytes, encode(each)))) for s, each in said]
    return Corpus(recorded, {OLD})


def test_the_same_seed_says_the_same() -> None:
    """Byte by byte; another one says something else."""
    first, again, other = (Mutator(a_corpus(), Random(seed)) for seed in (1, 1, 2))
    said = [first.next(NEW) for _ in range(300)]
    assert said == [again.next(NEW) for _ in range(300)]
    assert said != [other.next(NEW) for _ in range(300)]


def test_some_of_it_is_right_and_most_is_not() -> None:
    """Requests have the ids of whoever speaks; nothing that can be sent fails to be refused."""
    mutator = Mutator(a_corpus(), Random(3))
    right, sessions = 0, set()
    for _ in range(3000):
        _, (header, *frames) = mutator.next(NEW)
        try:
            message = decode(header, frames)
        except (InvalidRequest, ProtocolMismatch):
            continue
        right += 1
        if isinstance(message, m.SubmitTasks):
            sessions.update(session_of(row[0]) for row in message.rows)
    assert 300 < right < 2500
    assert NEW in sessions
