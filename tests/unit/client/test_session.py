"""The client's session as a machine: what it says, and what it says again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.client.handing_over import has_put_out, is_bare
from ctrlhub.client.outgoing import MESSAGES_PER_TURN
from ctrlhub.client.requests import Function, Portion, Template
from ctrlhub.wire.codec import decode, encode
from ctrlhub.wire.errors import ControllerStopped, HubUnavailable, InvalidRequest, SessionClosed
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.limits import BATCH_BYTES, BATCH_ROWS, INLINE_BYTES, MAX_TEXT
from ctrlhub.wire.messages import (
    Answer,
    Beat,
    Call,
    Command,
    Completed,
    EngineEvent,
    Functions,
    Goodbye,
    Hello,
    NeedFunctions,
    Received,
    Refused,
    Register,
    Stream,
    SubmitTasks,
    Subscribed,
)
from tests.unit.client.support import SESSION, Bench, registered


def split(frames: list[Any]) -> tuple[Any, list[Any]]:
    """Return the header of a message, and the frames behind it."""
    return frames[0], frames[1:]


def ids(message: SubmitTasks) -> list[int]:
    """Return the ids of a batch."""
    return [row[0] for row in message.rows]


def test_what_has_gathered_leaves_as_one_message() -> None:
    """Tasks submitted between two turns travel together, in order, with their function once."""
    bench = Bench()
    results = [bench.task() for _ in range(3)]

    (message,) = bench.drain(SubmitTasks)

    assert ids(message) == [r._number for r in results]
    assert len(message.templates) == 1
    assert message.functions == [(b"d" * 16, b"blob")]


def test_a_function_travels_once_on_each_stream() -> None:
    """Later batches name the function by its digest alone."""
    bench = Bench()
    bench.task()
    bench.drain()
    bench.task()

    (message,) = bench.drain(SubmitTasks)

    assert message.functions == []


def test_two_templates_of_one_function_carry_it_once() -> None:
    """Tasks with other retries share the function's serialized form."""
    bench = Bench()
    bench.task()
    bench.task(template=Template("f", "other", bench.function, retries=2))

    (message,) = bench.drain(SubmitTasks)

    assert [row[1] for row in message.rows] == [0, 1]
    assert message.templates == [(b"d" * 16, 0, 3, ""), (b"d" * 16, 2, 3, "other")]
    assert len(message.functions) == 1


def test_what_is_out_can_be_told_while_others_submit() -> None:
    """A thread may leave a request while the I/O thread goes through them."""
    bench = Bench()
    first = bench.command()

    class Late:
        """Submits another one as it is looked at."""

        def _numbers(self) -> range:
            bench.command()
            return range(1, 2)

    bench.session.submissions.append(Late())  # type: ignore[arg-type]
    assert bench.session.outstanding_numbers() == {first.first, 1}


def test_a_request_that_is_out_is_told_once() -> None:
    """However many rows it has: whoever looks at the rows of each would take the square of that."""
    bench = Bench()
    sent = bench.command(targets=(0, 1, 2))
    task = bench.task()
    bench.drain()
    waiting = bench.command(targets=(0, 1))
    assert bench.session.outstanding() == [sent, task, waiting]


def test_batches_are_limited_in_rows() -> None:
    """A map of many items becomes several messages, none with too many rows."""
    bench = Bench()
    for _ in range(BATCH_ROWS + 1):
        bench.task()

    first, second = bench.drain(SubmitTasks)

    assert (len(first.rows), len(second.rows)) == (BATCH_ROWS, 1)


def test_batches_are_limited_in_bytes() -> None:
    """A batch closes once its payloads exceed the limit, also if they travel as frames."""
    bench = Bench()
    for _ in range(3):
        bench.task((b"pickle", b"x" * BATCH_BYTES))

    messages = bench.drain(SubmitTasks)

    assert [len(m.rows) for m in messages] == [1, 1, 1]
    assert messages[0].rows[0][2] == (0, 2)


def test_a_turn_sends_a_few_batches_and_asks_to_come_back() -> None:
    """However much is submitted, incoming messages are not kept waiting."""
    bench = Bench()
    for _ in range(6):
        bench.task((b"pickle", b"x" * BATCH_BYTES))

    first = bench.drain(SubmitTasks)
    deadline = bench.session.next_deadline()
    second = bench.drain(SubmitTasks)

    assert (len(first), len(second)) == (4, 2)
    assert deadline is not None
    assert deadline <= bench.now


def test_a_large_payload_leaves_the_header() -> None:
    """Bytes above the limit travel in a frame of their own."""
    bench = Bench()
    bench.task(b"x" * (INLINE_BYTES + 1))

    (message,) = bench.drain(SubmitTasks)

    assert message.rows[0][2] == (0, 1)
    assert message.frames == [b"x" * (INLINE_BYTES + 1)]


def functions_of_a_batch(size: int) -> list[Function]:
    """Return as many functions as a batch has tasks, each of its own."""
    return [Function(b"%016d" % n, bytes(size)) for n in range(BATCH_ROWS)]


def test_a_batch_of_many_functions_can_be_read() -> None:
    """Each task with a closure and the longest label of its own: together too much for a header."""
    bench = Bench()
    label = "\N{SNAKE}" * MAX_TEXT
    for function in functions_of_a_batch(50_000):
        bench.task(template=Template("f", label, function))

    messages = bench.drain(SubmitTasks)
    read = [decode(*split(encode(message))) for message in messages]

    assert sum(len(m.functions) for m in read if isinstance(m, SubmitTasks)) == BATCH_ROWS


# ---------------------------------------------------------------- order


def test_tasks_name_the_command_before_them() -> None:
    """A batch never spans a command, and says after which one it runs."""
    bench = Bench()
    bench.task()
    command = bench.command([0, 1])
    bench.task()

    one, middle, two = bench.drain()

    assert (one.after, two.after) == (0, command.first)
    assert isinstance(middle, Command)
    assert (middle.first, middle.targets) == (command.first, (0, 1))


def test_tasks_do_not_name_a_command_that_has_ended() -> None:
    """What has run need not be waited for, and a restarted hub would not know it."""
    bench = Bench()
    command = bench.command()
    bench.drain()
    bench.complete([command.first], Stream.MULTIENGINE)
    bench.task()

    (message,) = bench.drain(SubmitTasks)

    assert message.after == 0


def test_the_highest_command_counts_even_if_it_was_submitted_first() -> None:
    """Two threads may submit in another order than they took their ids."""
    bench = Bench()
    early, late = bench.command(), bench.command()
    bench.session.submissions.reverse()
    bench.task()

    (message,) = bench.drain(SubmitTasks)

    assert early.first < late.first
    assert message.after == late.first


# ---------------------------------------------------------------- results


def test_results_are_acknowledged_together_after_a_moment() -> None:
    """However many messages bring them, one acknowledgement goes back on their stream."""
    bench = Bench()
    results = [bench.task() for _ in range(4)]
    bench.drain()
    bench.complete([r._number for r in results[:2]])
    bench.complete([r._number for r in results[2:]])
    assert bench.drain(Received) == []
    bench.pass_time(0.1)

    (message,) = bench.drain(Received)

    assert sorted(n for a, b in message.requests for n in range(a, b + 1)) == [
        r._number for r in results
    ]
    assert len(message.requests) == 2
    assert all(r.done() for r in results)


def test_a_result_that_comes_twice_is_acknowledged_twice_and_changes_nothing() -> None:
    """The first result is final; the hub wants to know that it may forget the second too."""
    bench = Bench()
    result = bench.task()
    bench.drain()
    bench.complete([result._number])
    bench.pass_time(0.1)
    bench.drain()
    row = (result._number, 1, b"not read", 0, 0.0, 0.0, None)
    bench.receive(Stream.TASK, Completed([row]))
    bench.pass_time(0.1)

    (message,) = bench.drain(Received)

    assert message.requests == ((result._number, result._number),)
    assert result.get(0) is None


def test_bulk_data_is_acknowledged_at_once() -> None:
    """The hub holds it until then."""
    bench = Bench()
    result = bench.task()
    bench.drain()
    row = (result._number, 0, (0, 1), 0, 0.0, 0.0, None)
    bench.receive(Stream.TASK, Completed([row], frames=[b"N."]))
    bench.pass_time(0)

    assert len(bench.drain(Received)) == 1


def test_a_failure_is_acknowledged_behind_what_was_submitted_before_it_was_known() -> None:
    """So the hub can stop all that nobody submitted in full knowledge, however late it leaves."""
    bench = Bench()
    failing = bench.command()
    bench.drain()
    before = [bench.command() for _ in range(MESSAGES_PER_TURN + 2)]
    row = (failing.first, 1, b"not read", 0, 0.0, 0.0, None)
    bench.receive(Stream.MULTIENGINE, Completed([row]))
    after = bench.command()

    said = bench.drain()
    while bench.session._outgoing.waits:
        said += bench.drain()

    told = [m.first if isinstance(m, Command) else m for m in said]
    assert told == [*(c.first for c in before), Received(((failing.first,) * 2,)), after.first]


class Shelf:
    """Keeps what is handed over, but for one request."""

    def __init__(self, not_wanted: int) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self._not_wanted = not_wanted

    def wants(self, number: int) -> bool:
        """Want all others."""
        return number != self._not_wanted

    def take(self, stream: Stream, row: tuple[Any, ...]) -> bool:
        """Keep it."""
        self.rows.append(row)
        return True


def test_what_is_handed_over_is_acknowledged_once_it_is_kept() -> None:
    """Its result has come and holds no value; what its keeper does not want is as ever, and all counts as ours."""
    bench = Bench()
    results = [bench.task() for _ in range(3)]
    one, two = (result._number for result in results[:2])
    keeper = bench.session.handing.keeper = Shelf(two)
    bench.drain()
    before = bench.session.load
    rows = [(one, 0, (0, 1), 0, 1.0, 2.0, {"stdout": "x"}), (two, 0, b"N.", 0, 0.0, 0.0, None)]
    bench.receive(Stream.TASK, Completed(rows, frames=[b"N."]))
    bench.pass_time(0.1)

    assert bench.drain(Received) == [Received(((two, two),))]
    assert keeper.rows == [(one, 0, (b"N.",), 0, 1.0, 2.0, {"stdout": "x"})]
    assert [result.done() for result in results] == [True, True, False]
    [bare] = results[0]._rows()
    assert bare is not None
    assert is_bare(bare)
    assert has_put_out(bare)
    assert results[1].get(0) is None
    assert bench.session.load == before - 1

    bench.session.acknowledge(Stream.TASK, [one], bench.now)
    bench.pass_time(0)
    assert bench.drain(Received) == [Received(((one, one),))]
    assert bench.session.load == before - 2


def test_a_failure_that_is_handed_over_is_acknowledged_once_it_is_kept() -> None:
    """Others that come with it as well; what its keeper does not want is as ever."""
    bench = Bench()
    failing, well, passing = (bench.command().first for _ in range(3))
    bench.session.handing.keeper = Shelf(passing)
    bench.drain()
    rows = [(number, int(number != well), b"not read", 0, 0.0, 0.0, None) for number in (failing, well, passing)]
    bench.receive(Stream.MULTIENGINE, Completed(rows))
    bench.pass_time(0.1)

    assert bench.drain(Received) == [Received(((passing, passing),))]

    bench.session.acknowledge(Stream.MULTIENGINE, [failing, well], bench.now)
    bench.pass_time(0)
    assert bench.drain(Received) == [Received(((failing, well),))]


def test_what_is_handed_over_twice_counts_once() -> None:
    """As where the hub has lost its connection before it was acknowledged, however often: there is room once it is."""
    bench = Bench()
    number = bench.task()._number
    bench.session.handing.keeper = Shelf(0)
    bench.drain()
    for _ in range(3):
        bench.receive(Stream.TASK, Completed([(number, 0, b"N.", 0, 0.0, 0.0, None)]))
    assert bench.session.load == 1
    bench.session.acknowledge(Stream.TASK, [number], bench.now)
    bench.pass_time(0)
    assert bench.drain(Received) == [Received(((number, number),))]
    assert bench.session.load == 0


def test_payload_frames_reach_the_result() -> None:
    """A large value arrives as frames of the message, whatever else the message brings."""
    bench = Bench()
    small, large = bench.task(), bench.task()
    bench.drain()
    frames = [
        b"unrelated",
        b"\x80\x05" + b"\x8e" + (70_000).to_bytes(8, "little") + b"y" * 70_000 + b".",
    ]
    row = (large._number, 0, (1, 1), 0, 0.0, 0.0, None)
    bench.receive(Stream.TASK, Completed([row], frames=frames))
    bench.complete([small._number])

    assert large.get(0) == b"y" * 70_000


def test_items_of_a_portion_settle_one_by_one() -> None:
    """Each item of a map has its own id and its own row."""
    bench = Bench()
    taken: list[tuple[int, int]] = []

    class Owner:
        def _future(self):
            raise AssertionError

        def _take(self, index, row, now):
            taken.append((index, row[0]))

    first = bench.take_ids(3)
    portion = Portion(first, [b"a", b"b", b"c"], bench.template, Owner(), offset=10)
    bench.session.submissions.append(portion)
    (message,) = bench.drain(SubmitTasks)
    bench.complete([first + 2, first])

    assert [row[2] for row in message.rows] == [b"a", b"b", b"c"]
    assert taken == [(12, first + 2), (10, first)]


# ---------------------------------------------------------------- saying it again


def test_the_same_hub_gets_again_what_it_had_not_accepted() -> None:
    """After a silence only what may be lost is sent a second time."""
    bench = Bench()
    kept, lost = bench.task(), bench.task()
    bench.drain()
    bench.accept([kept._number])

    (message,) = [m for m in bench.rejoin(resumed=True) if isinstance(m, SubmitTasks)]

    assert ids(message) == [lost._number]
    assert message.rows[0][2] == b"args"


def test_another_hub_gets_everything_again_in_order() -> None:
    """After the hub's restart all that has not ended is sent, with its functions."""
    bench = Bench()
    tasks = [bench.task() for _ in range(3)]
    bench.drain()
    bench.accept([r._number for r in tasks])
    bench.complete([tasks[1]._number])

    (message,) = [m for m in bench.rejoin(epoch="second") if isinstance(m, SubmitTasks)]

    assert ids(message) == [tasks[0]._number, tasks[2]._number]
    assert message.functions == [(b"d" * 16, b"blob")]


def test_commands_are_said_again_before_the_tasks_that_follow_them() -> None:
    """The order of a client's own requests survives the hub's restart."""
    bench = Bench()
    before, command, after = bench.task(), bench.command([0, 1]), bench.task()
    bench.drain()

    said = bench.rejoin(epoch="second")
    first, *batches = [m for m in said if isinstance(m, Command | SubmitTasks)]

    assert isinstance(first, Command)
    assert [(ids(b), b.after) for b in batches] == [
        ([before._number], 0),
        ([after._number], command.first),
    ]


def test_a_command_is_said_again_only_to_targets_that_have_not_answered() -> None:
    """What of a command has ended is not run a second time."""
    bench = Bench()
    command = bench.command([4, 5, 6])
    bench.drain()
    bench.complete([command.first + 1], Stream.MULTIENGINE)

    said = [m for m in bench.rejoin(epoch="second") if isinstance(m, Command)]

    assert [(m.first, m.targets) for m in said] == [
        (command.first, (4,)),
        (command.first + 2, (6,)),
    ]


def test_what_is_submitted_during_a_silence_leaves_with_the_hubs_return() -> None:
    """Nothing is sent while we have not joined, and nothing is forgotten."""
    bench = Bench()
    bench.pass_time(3.5)
    result = bench.task()
    assert bench.drain(SubmitTasks) == []

    bench.receive(Stream.HUB, registered(token=b"t2", resumed=True))

    (message,) = bench.drain(SubmitTasks)
    assert ids(message) == [result._number]


def test_a_restarted_hub_that_gave_our_number_away_ends_the_session() -> None:
    """Ids of another session would be somebody else's: everything fails, and says so."""
    bench = Bench()
    result = bench.task()
    bench.drain()

    bench.rejoin(epoch="second", session=99)

    assert isinstance(result.exception(0), SessionClosed)
    assert bench.watched.told[-1][0] == "ended"


@given(st.data())
def test_nothing_is_lost_and_nothing_ended_is_repeated(data: st.DataObject) -> None:
    """Whatever was accepted or ended before a restart: exactly what is outstanding is said again."""
    bench = Bench()
    kinds = data.draw(st.lists(st.sampled_from(["task", "command"]), min_size=1, max_size=30))
    requests = {}
    for kind in kinds:
        request = bench.task() if kind == "task" else bench.command([0])
        requests[request._numbers()[0]] = kind
    while bench.session._outgoing.waits:
        bench.drain()
    accepted = data.draw(st.sets(st.sampled_from(sorted(requests))))
    ended = data.draw(st.sets(st.sampled_from(sorted(requests))))
    for kind, stream in (("task", Stream.TASK), ("command", Stream.MULTIENGINE)):
        bench.accept([n for n in sorted(accepted) if requests[n] == kind], stream)
        bench.complete([n for n in sorted(ended) if requests[n] == kind], stream)
    same = data.draw(st.booleans())

    said = bench.rejoin(resumed=True) if same else bench.rejoin(epoch="second")

    again = [n for m in said if isinstance(m, SubmitTasks) for n in ids(m)]
    again += [m.first for m in said if isinstance(m, Command)]
    assert sorted(again) == sorted(set(requests) - ended - (accepted if same else set()))


# ---------------------------------------------------------------- functions


def test_the_hub_gets_the_functions_it_asks_for() -> None:
    """A hub that has forgotten a function is sent it again, on the same stream."""
    bench = Bench()
    other = Function(b"e" * 16, b"other")
    bench.task()
    bench.task(template=Template("g", None, other))
    bench.drain()

    bench.receive(Stream.TASK, NeedFunctions((b"e" * 16, b"unknown")))

    (message,) = bench.drain(Functions)
    assert message.functions == [(b"e" * 16, b"other")]


def test_a_function_nobody_needs_any_more_is_not_answered() -> None:
    """An answer without functions would only be asked again."""
    bench = Bench()

    bench.receive(Stream.TASK, NeedFunctions((b"e" * 16,)))

    assert bench.drain() == []


def test_many_functions_that_are_asked_for_can_be_read() -> None:
    """A restarted hub may lack all of them at once."""
    bench = Bench()
    functions = functions_of_a_batch(50_000)
    for function in functions:
        bench.task(template=Template("f", None, function))
    bench.drain()

    bench.receive(Stream.TASK, NeedFunctions([f.digest for f in functions]))

    (message,) = bench.drain(Functions)
    answer = decode(*split(encode(message)))
    assert isinstance(answer, Functions)
    assert len(answer.functions) == BATCH_ROWS


# ---------------------------------------------------------------- engines


def test_engines_follow_events() -> None:
    """Engines come, change and go by numbered events."""
    bench = Bench()
    bench.receive(Stream.IOPUB, EngineEvent(3, "registered", {"id": 5}))
    bench.receive(Stream.IOPUB, EngineEvent(4, "suspect", {"id": 1, "state": "suspect"}))
    bench.receive(Stream.IOPUB, EngineEvent(5, "unregistered", {"id": 0}))

    assert sorted(bench.watched.by_id) == [1, 5]
    assert bench.watched.by_id[1]["state"] == "suspect"


def test_a_gap_in_the_events_is_asked_about_once() -> None:
    """A lost event shows by the next one; the hub's answer takes the place of both."""
    bench = Bench()
    bench.receive(Stream.IOPUB, EngineEvent(4, "registered", {"id": 5}))
    bench.receive(Stream.IOPUB, EngineEvent(5, "registered", {"id": 6}))
    (call,) = bench.drain(Call)
    answer = {"engines": [{"id": 6}], "events": 5}
    bench.receive(Stream.HUB, Answer(call.id, answer))
    bench.receive(Stream.IOPUB, EngineEvent(6, "registered", {"id": 7}))

    assert sorted(bench.watched.by_id) == [6, 7]


def test_news_missed_before_the_subscription_are_asked_for() -> None:
    """The hub says what was published before, and the rest comes by itself."""
    bench = Bench()
    assert bench.session.may_miss_engines
    bench.receive(Stream.IOPUB, Subscribed(3))
    (call,) = bench.drain(Call)
    assert bench.session.may_miss_engines
    bench.receive(Stream.HUB, Answer(call.id, {"engines": [{"id": 6}], "events": 3}))

    assert not bench.session.may_miss_engines
    assert sorted(bench.watched.by_id) == [6]


def test_results_tell_of_engines_whose_news_are_on_their_way() -> None:
    """They come on another stream, perhaps earlier."""
    bench = Bench()
    bench.receive(Stream.IOPUB, Subscribed(2))
    assert not bench.session.may_miss_engines
    bench.receive(Stream.TASK, Completed([], 3))
    assert bench.session.may_miss_engines
    bench.receive(Stream.IOPUB, EngineEvent(3, "registered", {"id": 5}))

    assert not bench.session.may_miss_engines
    assert bench.drain(Call) == []


def test_an_answer_older_than_an_event_is_ignored() -> None:
    """Questions and events take different ways, and may overtake each other."""
    bench = Bench()
    bench.session.look_at_engines()
    (call,) = bench.drain(Call)
    bench.receive(Stream.IOPUB, EngineEvent(3, "registered", {"id": 5}))
    bench.receive(Stream.HUB, Answer(call.id, {"engines": [], "events": 2}))

    assert sorted(bench.watched.by_id) == [0, 1, 5]


def test_the_engines_are_asked_for_again_soon_after_joining() -> None:
    """An event that came before the subscription was in force has no successor to betray it."""
    bench = Bench()

    bench.pass_time(1.1)

    assert [c.method for c in bench.drain(Call)] == ["engines_now"]


def test_a_failed_answer_does_not_end_the_questions() -> None:
    """A hub that cannot tell now may be able to later."""
    bench = Bench()
    bench.pass_time(1.1)
    (call,) = bench.drain(Call)
    bench.receive(Stream.HUB, Answer(call.id, None, "internal", "not now"))
    assert bench.drain(Call) == []

    for _ in range(11):
        bench.pass_time(1.0)
        bench.receive(Stream.HUB, Beat())

    assert [c.method for c in bench.drain(Call)] == ["engines_now"]


def test_a_lost_answer_does_not_end_the_questions() -> None:
    """It was lost with the connection; the hub that is found again is asked anew."""
    bench = Bench()
    bench.pass_time(1.1)
    assert len(bench.drain(Call)) == 1
    bench.rejoin(resumed=True)

    bench.pass_time(1.1)

    assert [c.method for c in bench.drain(Call)] == ["engines_now"]


# ---------------------------------------------------------------- calls


def test_a_call_is_answered_once() -> None:
    """The answer reaches whoever called; a second one nobody."""
    bench = Bench()
    answers: list[Answer] = []
    bench.session.call(Call(5, "query", "status", {}), answers.append)
    assert [c.id for c in bench.drain(Call)] == [5]

    bench.receive(Stream.HUB, Answer(5, 1))
    bench.receive(Stream.HUB, Answer(5, 2))

    assert [a.value for a in answers] == [1]


def test_a_call_goes_to_the_next_hub_but_not_twice_to_one() -> None:
    """A method may do something that must not be done twice."""
    bench = Bench()
    bench.session.call(Call(5, "mine", "increment", {}), lambda answer: None)
    bench.drain()

    same = [m for m in bench.rejoin(resumed=True) if isinstance(m, Call) and m.id == 5]
    other = [m for m in bench.rejoin(epoch="second") if isinstance(m, Call) and m.id == 5]

    assert (len(same), len(other)) == (0, 1)


# ---------------------------------------------------------------- the end


def test_closing_says_goodbye_and_fails_what_is_out() -> None:
    """Sent or not: nothing waits for ever."""
    bench = Bench()
    sent = bench.task()
    bench.drain()
    unsent = bench.task()
    bench.session.close(SessionClosed("closed"), bench.now)
    bench.session.reject(SessionClosed("closed"), bench.now)

    assert [type(m) for m in bench.drain()] == [Goodbye]
    assert isinstance(sent.exception(0), SessionClosed)
    assert isinstance(unsent.exception(0), SessionClosed)


def test_a_hub_that_stops_fails_what_is_out() -> None:
    """A clean stop of the hub is the end of its clients' requests, with that reason."""
    bench = Bench()
    result = bench.task()
    bench.drain()

    bench.receive(Stream.HUB, Goodbye("asked by a client"))

    with pytest.raises(ControllerStopped, match="asked by a client"):
        result.get(0)


def test_a_refused_batch_fails_what_was_not_accepted() -> None:
    """The hub's reason reaches every request it may be about, and no other."""
    bench = Bench()
    safe = bench.task()
    bench.drain()
    bench.accept([safe._number])
    bad = bench.task()
    bench.drain()

    bench.receive(Stream.TASK, Refused("invalid_request", "too odd"))

    assert isinstance(bad.exception(0), InvalidRequest)
    assert not safe.done()


def test_a_refusal_that_names_its_requests_fails_no_others() -> None:
    """What was sent before and after the refused message the hub has taken in, and will run."""
    bench = Bench()
    before = bench.task()
    bench.drain()
    bad = [bench.task() for _ in range(2)]
    bench.drain()
    after = bench.task()
    bench.drain()

    refusal = Refused("invalid_request", "too odd", to_ranges(r._number for r in bad))
    bench.receive(Stream.TASK, refusal)

    assert [isinstance(r.exception(0), InvalidRequest) for r in bad] == [True, True]
    assert not before.done()
    assert not after.done()


def test_a_refusal_to_join_ends_the_session_with_its_reason() -> None:
    """A hub that does not let us in says why, and the shell hears it."""
    bench = Bench(join=False)

    bench.receive(Stream.HUB, Refused("version_mismatch", "python 3.9"))

    kind, error = bench.watched.told[-1]
    assert (kind, type(error).__name__, str(error)) == ("ended", "VersionMismatch", "python 3.9")


@pytest.mark.parametrize("is_stopped", [True, False])
def test_what_becomes_of_requests_at_the_end_of_a_hub_that_stores(is_stopped: bool) -> None:
    """What it had accepted can be had from the next one; of the rest nobody says that it can."""
    bench = Bench(durable=True)
    kept = bench.task()
    bench.drain()
    bench.accept([kept._number])
    sent = bench.task()
    bench.drain()
    if is_stopped:
        bench.receive(Stream.HUB, Goodbye("enough"))
    else:
        bench.watched.despairs_of = HubUnavailable("it has ended")
        bench.pass_time(30.0)
        bench.pass_time(30.0)

    kind = ControllerStopped if is_stopped else HubUnavailable
    errors = [each.exception(0) for each in (kept, sent)]
    assert [type(error) for error in errors] == [kind, kind]
    of_kept, of_sent = map(str, errors)
    assert f"Client(session={SESSION}) has it" in of_kept
    assert "had accepted" in of_kept
    assert "submit" not in of_kept
    assert "submit it again" in of_sent
    assert "had not said that it has accepted" in of_sent
    _, rest = next(each for each in bench.watched.told if each[0] == "ended")
    assert "submitted again" in str(rest)


def test_a_silent_hub_is_reported_and_asked_again() -> None:
    """The shell is told after the time the hub gave, and registering starts over."""
    bench = Bench()
    bench.pass_time(3.5)

    assert bench.watched.told[-1][0] == "silent"
    assert bench.drain(Register)
    assert not bench.drain(Hello)


def test_a_hub_that_is_gone_for_good_ends_the_wait() -> None:
    """While it may come back we keep trying; then what is out fails with the reason."""
    bench = Bench()
    result = bench.task()
    bench.drain()
    bench.pass_time(30.0)
    bench.pass_time(30.0)
    assert not result.done()

    bench.watched.despairs_of = HubUnavailable("it has ended")
    bench.pass_time(30.0)

    with pytest.raises(HubUnavailable, match="it has ended; what it held is lost: submit again"):
        result.result(0)
    assert bench.session.next_deadline() is None
    assert bench.watched.told[-1][0] == "ended"
