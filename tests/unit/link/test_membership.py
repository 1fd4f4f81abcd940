# ruff: noqa: D102 -- the hooks below are documented where they come from
from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ctrlhub.link.membership import LinkAction, Membership, Patience, State
from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import (
    Beat,
    Enrol,
    Enrolled,
    Goodbye,
    Hello,
    Message,
    Refused,
    Register,
    Registered,
    SayHello,
    Shutdown,
    Stored,
    Stream,
    Welcome,
)

REGISTER = Register(
    role="engine", key="k" * 40, incarnation=b"i", pid=7, host="node", versions={"python": "3.11"}, parts=True
)
REGISTERED = Registered(
    session=5,
    token=b"token",
    engine_id=3,
    epoch="hub-1",
    resumed=False,
    beat=1.0,
    suspect=3.0,
    lease=600.0,
)
STEADY = Patience(jitter=0.0)
UNKNOWN = Refused("unknown_session", "no such session")


class Peer(Membership):
    """A membership that notes which hooks were called."""

    def __init__(self, role: str = "engine", patience: Patience = STEADY) -> None:
        super().__init__(replace(REGISTER, role=role), patience=patience, seed=1)
        self.calls: list[Any] = []

    def on_joined(self, registered: Registered, now: float) -> None:
        self.calls.append(("joined", registered.resumed, self.same_epoch))
        self.send(Stream.TASK, Stored(((1, 1),)))

    def on_welcome(self, stream: Stream, now: float) -> None:
        self.calls.append(("welcome", stream))

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        self.calls.append((stream, message))

    def on_silent(self, now: float) -> None:
        self.calls.append(("silent", now))

    def on_refused(self, refused: Refused) -> None:
        self.calls.append(("refused", refused.code))

    def held(self, stream: Stream) -> Ranges:
        return ((9, 9),) if stream is Stream.TASK else ()


def joined(role: str = "engine", enrolling: bool = False, **changes: Any) -> Peer:
    """A peer that joined at time 0, with nothing left to send."""
    peer = Peer(role)
    peer.start(0.0, enrolling)
    if enrolling:
        peer.receive(Stream.HUB, Enrolled(REGISTER.key), 0.0)
    peer.receive(Stream.HUB, replace(REGISTERED, **changes), 0.0)
    peer.receive(Stream.MULTIENGINE, Welcome("hub-1"), 0.0)
    peer.receive(Stream.TASK, Welcome("hub-1"), 0.0)
    peer.drain()
    peer.take_link_actions()
    peer.calls.clear()
    return peer


def run(peer: Membership, until: float) -> list[tuple[float, Stream, Message]]:
    """Tick at each deadline up to a time; return what was sent, and when."""
    sent = []
    while (due := peer.next_deadline()) is not None and due <= until:
        peer.tick(due)
        sent += [(due, *each) for each in peer.drain()]
    return sent


def kinds(sent: list[tuple[Stream, Message]]) -> list[tuple[Stream, type]]:
    """The streams and kinds of messages."""
    return [(stream, type(message)) for stream, message in sent]


# ---------------------------------------------------------------- joining


def test_registers_at_once() -> None:
    """A peer with an open link asks to be let in, with its wishes, before anything else."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    assert peer.state is State.REGISTERING
    assert peer.drain() == [(Stream.HUB, REGISTER)]
    assert peer.drain() == []


def test_asks_again_ever_more_slowly() -> None:
    """An unanswered registration is repeated after 0.5 s, growing by half up to 5 s."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.drain()
    times = [at for at, _, message in run(peer, 40.0) if isinstance(message, Register)]
    waits = [b - a for a, b in zip([0.0, *times], times, strict=False)]
    assert waits[:3] == pytest.approx([0.5, 0.75, 1.125])
    assert waits[-1] == pytest.approx(5.0)
    assert peer.state is State.REGISTERING


def test_nothing_is_due_before_the_start() -> None:
    """A membership that was not started, or has ended, never wants to be woken."""
    peer = Peer()
    assert peer.next_deadline() is None
    peer.tick(100.0)
    peer.goodbye(100.0)
    assert (peer.state, peer.drain(), peer.next_deadline()) == (State.GONE, [], None)


def test_says_hello_before_anything_else() -> None:
    """On joining, hello with what is held goes out on both streams, and then the peer's own."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.drain()
    peer.receive(Stream.HUB, REGISTERED, 0.1)
    assert peer.drain() == [
        (Stream.MULTIENGINE, Hello(b"token", ())),
        (Stream.TASK, Hello(b"token", ((9, 9),))),
        (Stream.TASK, Stored(((1, 1),))),
    ]
    assert (peer.session, peer.token, peer.engine_id, peer.epoch) == (5, b"token", 3, "hub-1")
    assert peer.calls == [("joined", False, False)]


def test_a_nanny_says_no_hello() -> None:
    """A nanny carries nothing on the other streams, so it does not greet there."""
    peer = Peer("nanny")
    peer.start(0.0, enrolling=False)
    peer.drain()
    peer.receive(Stream.HUB, REGISTERED, 0.1)
    assert [type(message) for _, message in peer.drain()] == [Stored]


def test_a_repeated_answer_changes_nothing() -> None:
    """The answer to a registration that was sent twice does not make the peer join twice."""
    peer = joined()
    peer.receive(Stream.HUB, REGISTERED, 0.2)
    assert (peer.calls, peer.drain()) == ([], [])


def test_refusal_while_joining_is_final() -> None:
    """A hub that does not let the peer in says why, and that is the end."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.drain()
    peer.receive(Stream.HUB, Refused("too_many_engines", "full"), 0.1)
    assert peer.state is State.GONE
    assert peer.calls == [("refused", "too_many_engines")]
    assert peer.refused == Refused("too_many_engines", "full")
    assert peer.next_deadline() is None
    peer.receive(Stream.HUB, REGISTERED, 0.2)
    assert peer.state is State.GONE


def test_refusal_after_joining_is_the_sessions_affair() -> None:
    """A member that is refused something stays a member."""
    peer = joined()
    refused = Refused("limit_exceeded", "no")
    peer.receive(Stream.HUB, refused, 0.1)
    assert peer.state is State.JOINED
    assert peer.calls == [(Stream.HUB, refused)]


# ---------------------------------------------------------------- staying


def test_beats_as_the_hub_asked() -> None:
    """A member beats at the hub's interval; the echo keeps the silence away."""
    peer = joined()
    for second in (1.0, 2.0, 3.0, 4.0):
        assert run(peer, second) == [(second, Stream.HUB, Beat())]
        peer.receive(Stream.HUB, Beat(), second + 0.1)
    assert peer.state is State.JOINED
    assert peer.calls == []


def test_any_message_is_a_sign_of_life() -> None:
    """A message on any stream counts as heard from the hub, and reaches the session."""
    peer = joined()
    run(peer, 2.5)
    peer.receive(Stream.TASK, Stored(((2, 2),)), 2.5)
    run(peer, 5.4)
    assert peer.state is State.JOINED
    assert peer.calls == [(Stream.TASK, Stored(((2, 2),)))]
    run(peer, 5.6)
    assert peer.state is State.SILENT


def test_silence_is_told_once_and_asked_about() -> None:
    """After the suspect time the peer says so, and registers again with its token, by and by."""
    peer = joined()
    sent = run(peer, 5.0)
    assert peer.calls == [("silent", 3.0)]
    again = [(at, m) for at, _, m in sent if isinstance(m, Register)]
    assert [at for at, _ in again] == pytest.approx([3.0, 3.5, 4.25])
    assert {(m.token, m.session, m.engine_id) for _, m in again} == {(b"token", 5, 3)}
    assert not any(isinstance(m, Beat) for at, _, m in sent if at > 3.0)


def test_a_silence_ends_with_a_joining() -> None:
    """When the hub answers again the peer joins, learns what was kept, and can fall silent anew."""
    peer = joined()
    run(peer, 4.0)
    peer.calls.clear()
    peer.receive(Stream.HUB, replace(REGISTERED, resumed=True), 4.0)
    assert peer.state is State.JOINED
    assert kinds(peer.drain())[:2] == [(Stream.MULTIENGINE, Hello), (Stream.TASK, Hello)]
    assert peer.calls == [("joined", True, True)]
    run(peer, 7.0)
    assert peer.calls[-1] == ("silent", 7.0)


def test_silence_while_registering_again_is_noticed() -> None:
    """A hub that said "say hello" and then fell silent is reported like any other."""
    peer = joined()
    peer.receive(Stream.HUB, SayHello(), 1.0)
    run(peer, 4.5)
    assert peer.state is State.SILENT
    assert peer.calls == [("silent", 4.0)]


def test_goodbye_is_the_last_word() -> None:
    """A peer that leaves says so, and wants nothing more."""
    peer = joined()
    peer.goodbye(1.0, "done")
    peer.goodbye(1.1)
    assert peer.drain() == [(Stream.HUB, Goodbye("done"))]
    assert (peer.state, peer.next_deadline()) == (State.GONE, None)
    peer.receive(Stream.HUB, Shutdown(), 1.2)
    assert peer.calls == []


def test_leaving_in_a_hook_is_heeded() -> None:
    """A session may give up when the hub falls silent: nothing is asked after its goodbye."""

    class Impatient(Peer):
        def on_silent(self, now: float) -> None:
            self.goodbye(now)

    peer = Impatient()
    peer.start(0.0, enrolling=True)
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 0.0)
    peer.receive(Stream.HUB, REGISTERED, 0.0)
    peer.drain()
    peer.take_link_actions()
    peer.tick(100.0)
    assert type(peer.drain()[-1][1]) is Goodbye
    assert peer.take_link_actions() == []
    assert peer.state is State.GONE


# ---------------------------------------------------------------- a hub that forgot


def test_say_hello_on_hub_registers_again_once() -> None:
    """A hub that does not know the connection gets one registration with the token, at once."""
    peer = joined()
    peer.receive(Stream.HUB, SayHello(), 1.0)
    peer.receive(Stream.HUB, SayHello(), 1.0)
    assert peer.state is State.REGISTERING
    assert [(s, m.token) for s, m in peer.drain() if isinstance(m, Register)] == [
        (Stream.HUB, b"token")
    ]


def test_new_connections_are_joined_before_anything_else() -> None:
    """A peer whose connections were all opened anew registers at once, unless it does already."""
    peer = joined()
    peer.reopened(1.0)
    assert peer.state is State.REGISTERING
    assert kinds(peer.drain()) == [(Stream.HUB, Register)]
    peer.reopened(1.0)
    assert peer.drain() == []


def test_say_hello_does_not_end_joining() -> None:
    """What answers an older message leaves a registration that is under way alone."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.drain()
    for stream in (Stream.HUB, Stream.TASK):
        peer.receive(stream, SayHello(), 0.3)
    assert (peer.state, peer.drain(), peer.last_heard) == (State.REGISTERING, [], 0.3)


def test_unknown_session_registers_anew_with_the_old_numbers() -> None:
    """A hub that lost the session gets a registration without token that wishes the same ids."""
    peer = joined()
    peer.receive(Stream.HUB, SayHello(), 1.0)
    peer.drain()
    peer.receive(Stream.HUB, UNKNOWN, 1.1)
    [(stream, message)] = peer.drain()
    assert stream is Stream.HUB
    assert message == replace(REGISTER, token=b"", session=5, engine_id=3)
    peer.receive(Stream.HUB, replace(REGISTERED, token=b"new", epoch="hub-2"), 1.2)
    assert peer.calls == [("joined", False, False)]
    assert {m.token for _, m in peer.drain() if isinstance(m, Hello)} == {b"new"}


def test_repeated_unknown_session_is_heeded_once() -> None:
    """Registrations that piled up while the hub was away are refused one by one; one is enough."""
    peer = joined()
    run(peer, 6.0)
    for _ in range(3):
        peer.receive(Stream.HUB, UNKNOWN, 6.1)
    assert [m.token for _, m in peer.drain() if isinstance(m, Register)] == [b""]


def test_unknown_session_on_another_stream_asks_the_hub_stream() -> None:
    """A refused hello may be an old one: the beat finds out, and the session is not given up."""
    peer = joined()
    peer.receive(Stream.TASK, UNKNOWN, 0.5)
    assert peer.drain() == [(Stream.HUB, Beat())]
    assert (peer.state, peer.token) == (State.JOINED, b"token")


# ---------------------------------------------------------------- hello on a stream


def test_say_hello_on_a_stream_greets_there_again() -> None:
    """A new connection of one stream is bound again, and the session told when it is."""
    peer = joined()
    peer.receive(Stream.TASK, SayHello(), 1.0)
    assert peer.drain() == [(Stream.TASK, Hello(b"token", ((9, 9),)))]
    assert peer.state is State.JOINED
    peer.receive(Stream.TASK, Welcome("hub-1"), 1.1)
    assert peer.calls == [("welcome", Stream.TASK)]
    peer.receive(Stream.TASK, Welcome("hub-1"), 1.2)
    assert peer.calls == [("welcome", Stream.TASK)]


def test_one_unanswered_hello_a_second() -> None:
    """Many messages that met an unbound connection cost one hello."""
    peer = joined()
    for _ in range(50):
        peer.receive(Stream.TASK, SayHello(), 1.0)
    peer.receive(Stream.TASK, SayHello(), 1.9)
    assert len(peer.drain()) == 1
    peer.receive(Stream.TASK, SayHello(), 2.0)
    assert len(peer.drain()) == 1


def test_a_lost_hello_is_said_again() -> None:
    """A hello whose connection broke under it is repeated, and the stream not forgotten."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.receive(Stream.HUB, REGISTERED, 0.0)
    peer.receive(Stream.MULTIENGINE, Welcome("hub-1"), 0.0)
    peer.drain()
    assert [(at, s) for at, s, m in run(peer, 2.6) if isinstance(m, Hello)] == [
        (1.0, Stream.TASK),
        (2.5, Stream.TASK),
    ]
    peer.receive(Stream.TASK, Welcome("hub-1"), 2.6)
    assert peer.calls == [("joined", False, False), ("welcome", Stream.TASK)]


def test_welcome_of_a_joining_is_not_reported() -> None:
    """After a joining everything is on its way already: the first welcome asks for nothing."""
    peer = Peer()
    peer.start(0.0, enrolling=False)
    peer.receive(Stream.HUB, REGISTERED, 0.0)
    peer.calls.clear()
    peer.receive(Stream.TASK, Welcome("hub-1"), 0.1)
    assert peer.calls == []


def test_welcome_by_another_hub_registers_again() -> None:
    """A stream that leads to a later life of the hub shows that we have to join that one."""
    peer = joined()
    peer.receive(Stream.TASK, SayHello(), 1.0)
    peer.drain()
    peer.receive(Stream.TASK, Welcome("hub-2"), 1.1)
    assert peer.state is State.REGISTERING
    assert kinds(peer.drain()) == [(Stream.HUB, Register)]


# ---------------------------------------------------------------- enrolment


def test_enrols_then_registers() -> None:
    """Under the enrolment key the peer has its key accepted, switches over, and registers."""
    peer = Peer()
    peer.start(0.0, enrolling=True)
    assert peer.drain() == [(Stream.HUB, Enrol(REGISTER.key))]
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 0.1)
    assert peer.take_link_actions() == [LinkAction.ENROLLED]
    assert kinds(peer.drain()) == [(Stream.HUB, Register)]
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 0.2)
    assert (peer.take_link_actions(), peer.drain()) == ([], [])


def test_an_answer_about_another_key_is_not_ours() -> None:
    """Only the acceptance of the peer's own key opens the streams."""
    peer = Peer()
    peer.start(0.0, enrolling=True)
    peer.receive(Stream.HUB, Enrolled("x" * 40), 0.1)
    assert (peer.state, peer.take_link_actions()) == (State.ENROLLING, [])


def test_enrolment_is_repeated_and_can_be_refused() -> None:
    """Enrolment is asked for like registration, and its refusal is final."""
    peer = Peer()
    peer.start(0.0, enrolling=True)
    peer.drain()
    assert [(at, type(m)) for at, _, m in run(peer, 1.3)] == [(0.5, Enrol), (1.25, Enrol)]
    peer.receive(Stream.HUB, Refused("authentication", "revoked"), 1.3)
    assert peer.calls == [("refused", "authentication")]


def test_a_long_silence_over_tcp_enrols_again() -> None:
    """After five times the suspect time the key may be forgotten; what was to be sent is not."""
    peer = joined(enrolling=True)
    assert not any(isinstance(m, Enrol) for _, _, m in run(peer, 14.9))
    peer.tick(15.0)
    assert peer.state is State.ENROLLING
    assert peer.take_link_actions() == [LinkAction.ENROL_AGAIN]
    assert peer.drain() == [(Stream.HUB, Enrol(REGISTER.key))]
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 16.0)
    assert [m.token for _, m in peer.drain() if isinstance(m, Register)] == [b"token"]


def test_a_hub_that_stays_silent_is_asked_to_take_the_key_ever_more_seldom() -> None:
    """It may be busy with thousands of others; who begins anew each time gives it more to do."""
    peer = joined(enrolling=True)
    times, now = [], 0.0
    while len(times) < 5:
        now += 0.05
        peer.tick(now)
        peer.drain()
        if LinkAction.ENROL_AGAIN in peer.take_link_actions():
            times.append(now)
            peer.receive(Stream.HUB, Enrolled(REGISTER.key), now)
            peer.take_link_actions()
    waits = [later - earlier for earlier, later in pairwise([0.0, *times])]
    assert waits[0] == pytest.approx(15.0, abs=0.1)
    assert waits == sorted(waits)
    assert 100.0 < waits[-1] < 150.0
    peer.receive(Stream.HUB, REGISTERED, now)
    now += 14.5
    peer.tick(now)
    assert LinkAction.ENROL_AGAIN not in peer.take_link_actions()
    peer.tick(now + 0.6)
    assert LinkAction.ENROL_AGAIN in peer.take_link_actions()


def test_a_long_silence_over_ipc_enrols_nothing() -> None:
    """Where no keys are used, none are enrolled, however long the silence."""
    peer = joined()
    assert not any(isinstance(m, Enrol) for _, _, m in run(peer, 60.0))
    assert peer.state is State.SILENT


def test_a_stall_judges_everything_at_once() -> None:
    """A tick that comes very late goes straight to enrolling, and sends nothing to a closed link."""
    peer = joined(enrolling=True)
    peer.tick(100.0)
    assert peer.state is State.ENROLLING
    assert kinds(peer.drain()) == [(Stream.HUB, Enrol)]


def test_a_refused_key_is_enrolled_at_once_but_not_in_a_loop() -> None:
    """A key that worked and is refused is enrolled again at once; one that never worked, later."""
    peer = joined(enrolling=True)
    peer.enrol_again(1.0)
    assert kinds(peer.drain()) == [(Stream.HUB, Enrol)]
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 1.0)
    peer.drain()
    peer.enrol_again(1.1)
    assert peer.drain() == []
    [(at, stream, message), *_] = run(peer, 3.0)
    assert (at > 1.5, stream, type(message)) == (True, Stream.HUB, Enrol)


FORGOTTEN = Refused("authentication", "this key is not registered, or was revoked: enrol again")


def test_a_key_that_was_forgotten_is_enrolled_again() -> None:
    """It was good, and the hub refuses what comes with it: registering goes on under it again."""
    peer = joined(enrolling=True)
    peer.receive(Stream.HUB, FORGOTTEN, 1.0)
    peer.receive(Stream.HUB, FORGOTTEN, 1.0)  # the answer to something sent before
    assert peer.state is State.ENROLLING
    assert peer.take_link_actions() == [LinkAction.ENROL_AGAIN]
    assert kinds(peer.drain()) == [(Stream.HUB, Enrol)]
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 1.1)
    peer.receive(Stream.HUB, replace(REGISTERED, token=b"other"), 1.2)
    assert peer.state is State.JOINED
    assert peer.refused is None


def test_a_revoked_key_ends_a_peer() -> None:
    """The hub refuses to enrol it again, and says why."""
    peer = joined(enrolling=True)
    peer.receive(Stream.HUB, FORGOTTEN, 1.0)
    peer.take_link_actions()
    peer.receive(Stream.HUB, Refused("authentication", "this key was revoked"), 1.1)
    assert peer.state is State.GONE
    assert peer.calls == [("refused", "authentication")]


def test_a_key_is_not_enrolled_again_and_again() -> None:
    """A hub that enrols a key and refuses it all the same has its reasons."""
    peer = joined(enrolling=True)
    peer.receive(Stream.HUB, FORGOTTEN, 1.0)
    peer.take_link_actions()
    peer.receive(Stream.HUB, Enrolled(REGISTER.key), 1.1)
    peer.take_link_actions()
    peer.receive(Stream.HUB, FORGOTTEN, 1.2)
    assert peer.state is State.GONE


# ---------------------------------------------------------------- the machine itself


def test_jitter_spreads_peers_and_repeats_by_seed() -> None:
    """Peers of different seeds ask at different times, those of one seed at the same."""

    def times(seed: int) -> list[float]:
        peer = Membership(REGISTER, patience=Patience(), seed=seed)
        peer.start(0.0, enrolling=False)
        return [at for at, _, _ in run(peer, 20.0)]

    assert times(1) == times(1) != times(2)
    assert 0.4 <= times(1)[0] <= 0.5


def test_starts_once() -> None:
    """A membership that has begun cannot begin again."""
    peer = joined()
    with pytest.raises(RuntimeError, match="starts once"):
        peer.start(1.0, enrolling=False)


def test_an_illegal_step_raises_with_the_story() -> None:
    """A step that is not in the table is a fault here: the error names who, from where, to where."""
    peer = joined()
    peer.goodbye(1.0)
    with pytest.raises(RuntimeError, match=r"engine of session 5: State.GONE -> State.JOINED"):
        peer._enter(State.JOINED)
