"""Questions of any thread: to the hub, by way of the I/O thread, and to that thread itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from ctrlhub.client.acceptance import Told
from ctrlhub.client.call_list import Answered, check_call, heed_nothing
from ctrlhub.client.detaching import Detaching
from ctrlhub.client.intake import Intake
from ctrlhub.client.io_thread import ask
from ctrlhub.client.session import ClientSession
from ctrlhub.client.waiting import Waiting
from ctrlhub.client.watch import Watch
from ctrlhub.link.base import Link
from ctrlhub.link.runner import Runner
from ctrlhub.wire.errors import (
    AuthenticationError,
    CtrlHubError,
    HubUnavailable,
    SessionClosed,
    error_for,
)
from ctrlhub.wire.messages import Answer, Call

T = TypeVar("T")


class Asking:
    """Asks, and waits for the answer.

    Parameters
    ----------
    session, runner, link
        What the I/O thread runs.
    intake
        Knows whether anything can be asked at all.
    watch, waiting
        How to wait.
    timeout
        The deadline (seconds), if none is said.
    """

    def __init__(
        self,
        session: ClientSession,
        runner: Runner,
        link: Link,
        intake: Intake,
        watch: Watch,
        waiting: Waiting,
        timeout: float,
    ) -> None:
        self._session = session
        self._runner = runner
        self._link = link
        self._intake = intake
        self._watch = watch
        self._wait_at_most = waiting.at_most
        self._timeout = timeout

    def call(
        self,
        interface: str,
        method: str,
        arguments: Mapping[str, Any],
        timeout: float | None = None,
    ) -> Any:
        """Call a method of an interface of the hub, and return its value.

        Parameters
        ----------
        interface, method
            What to call.
        arguments
            Plain data: numbers, text, bytes, lists and dicts of these.
        timeout
            How long (seconds) to wait for the answer; None takes the client's.

        Raises
        ------
        HubUnavailable
            There was no answer.
        SerializationError
            The arguments are not plain data.
        LimitExceeded
            They are too large for a call.
        CtrlHubError
            Whatever the hub answered.
        """
        session = self._session
        message = Call(next(session.calls.numbers), interface, method, arguments)
        check_call(message)
        what = f"did not answer {interface}.{method}()"
        forget = lambda _: session.calls.forget(message.id)  # noqa: E731
        return self._ask(partial(session.call, message), forget, what, timeout)

    def call_later(self, interface: str, method: str, arguments: Mapping[str, Any]) -> None:
        """Call a method of an interface of the hub, and do not wait for its answer."""
        self._intake.check()
        session = self._session
        message = Call(next(session.calls.numbers), interface, method, arguments)
        self._runner.post(lambda now: session.call(message, heed_nothing))

    def detach(self, keep: float | None, timeout: float | None = None) -> None:
        """Leave the session to another process; errors as of `call`."""
        session, what = self._session, "did not take everything that was submitted"
        begin = lambda answered: session.detach(Detaching(keep, answered))  # noqa: E731
        self._ask(begin, lambda _: session.detach(None), what, timeout)

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the hub has accepted everything; errors as of `call`."""
        session, what = self._session, "did not accept everything that was submitted"
        self._ask(session.flushing.add, session.flushing.forget, what, timeout)

    def keep_acceptance(self) -> None:
        """Keep from now on what the hub has yet to store, for `tell_stored`."""
        self.in_io_thread(self._session.keep_acceptance)

    def tell_stored(self, numbers: Sequence[int], told: Told) -> None:
        """Have somebody told, in the I/O thread, once the hub has stored requests, ended or not."""
        self._intake.check()
        self._runner.post(lambda now: self._session.tell_stored(numbers, told))

    def forget_stored(self, numbers: Sequence[int], told: Told) -> None:
        """Have somebody told no more."""
        self._runner.post(lambda now: self._session.forget_stored(numbers, told))

    def _ask(
        self, begin: Callable[[Answered], None], forget: Callable[[Answered], None], what: str,
        timeout: float | None,
    ) -> Any:  # fmt: skip
        """Have the session ask the hub, and return the value of the answer."""
        self.check_wait()
        self._intake.check()
        watch, answers = self._watch, []

        def answered(answer: Answer) -> None:
            answers.append(answer)
            watch.bells.ring()

        self._runner.post(lambda now: begin(answered))
        limit = self._timeout if timeout is None else timeout
        if not self._wait_at_most(lambda: bool(answers), limit):
            self._runner.post(lambda now: forget(answered))
            raise self.unanswered(what, limit)
        if not answers:
            raise (self._intake.refusal or SessionClosed("this client was closed"))
        answer: Answer = answers[0]
        if answer.code:
            raise error_for(answer.code)(answer.message)
        return answer.value

    def in_io_thread(self, action: Callable[[], T]) -> T:
        """Have the session do something, and return (or raise) what it returns (or raises)."""
        if self._intake.forked:
            self._intake.check()
        if self._runner.leads or self._watch.over:
            return action()
        return ask(self._runner, self._watch, action, self._timeout)

    def check_wait(self) -> None:
        """Raise an error where waiting would be in vain."""
        if self._intake.forked:
            self._intake.check()
        if self._runner.leads:
            raise RuntimeError(
                "a done callback runs in the thread that brings the results, and must not wait "
                "for one: submit from there, and wait elsewhere"
            )

    def unanswered(self, what: str, timeout: float) -> CtrlHubError:
        """Return the error that says what the hub has not done in time."""
        failure = self._link.failure()
        if failure is not None and "connection file" in failure:  # it is about our key
            return AuthenticationError(failure)
        return HubUnavailable(
            f"the hub {what} within {timeout:g} s ({failure or 'it does not answer'}): look "
            "at it with `ctrl-hub status`, start it with `ctrl-hub start`, or give it more time "
            "with Client(timeout=...)"
        )
