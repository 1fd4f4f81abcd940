"""Start hooks, as clients make, see and remove them: see `ctrlhub.controller.core.start_hooks`."""

from __future__ import annotations

import logging
from operator import itemgetter
from typing import Any

from ctrlhub.controller.core.commands import CommandRecord, CommandState
from ctrlhub.controller.core.effects import Commit, Drop, Keep
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.former import Former
from ctrlhub.controller.core.sessions import Session
from ctrlhub.controller.core.start_hooks import MOST_HOOKS, HookRun, StartHook, StartHooks
from ctrlhub.controller.interfaces.base import Context, Interface, exposed, need
from ctrlhub.controller.interfaces.multiengine import MultiEngine
from ctrlhub.controller.service import IControllerBase
from ctrlhub.wire import messages as m
from ctrlhub.wire.codec import resolve
from ctrlhub.wire.errors import FailedBefore, InvalidRequest, ResultLost, UnknownInterface
from ctrlhub.wire.failure import failure_of
from ctrlhub.wire.ids import Ranges, session_of, to_ranges
from ctrlhub.wire.messages import Action, HooksGone, Payload, Role, Status, Stream

MAX_NAME = 256
"""The longest name (characters) of a hook."""

MAX_CAUSE = 1000
"""So many characters of a failure are kept."""

MOST_TOLD = 1024 * 1024
"""So many characters of failures are told at a time."""

NONE = b"N."
"""Python's None, pickled: the value of a hook that was kept."""

_ACTIONS = frozenset(action.value for action in Action) - {Action.PULL.value, Action.CLEAR.value}

HOOKS = "hook/"
"""Hooks are stored under this and the id of the request that brought them."""

log = logging.getLogger(__name__)


class StartHookInterface(Interface):
    """The interface for start hooks. Engines get them as commands, from `MultiEngine`."""

    name = "start_hooks"
    streams = frozenset({Stream.MULTIENGINE})
    handlers = {m.StartHook: "add"}  # noqa: RUF012 - a constant; the base class types it

    def __init__(self, controller: IControllerBase, context: Context) -> None:
        super().__init__(controller, context)
        self._hooks = StartHooks()
        self._gone: dict[Session, dict[int, None]] = {}
        self._places: dict[int, int] = {}  # of those that are stored, by request
        self._commands.watch_hooks(self)
        self.follow_engines(self._engine_came, self._engine_went)

    @property
    def _commands(self) -> MultiEngine:
        commands = self.context.interfaces.get("multiengine")
        if not isinstance(commands, MultiEngine):
            raise UnknownInterface(
                "start hooks need the interface 'multiengine', exposed before them"
            )
        return commands

    # ------------------------------------------------------------ from clients

    def add(self, session: Session, message: m.StartHook, stream: Stream, now: float) -> None:
        """Try a hook on all engines that are there; it is answered when all have run it."""
        if message.action not in _ACTIONS:
            raise InvalidRequest(f"no action for a start hook: {message.action[:40]!r}")
        if not 0 < len(message.name) <= MAX_NAME:
            raise InvalidRequest(f"the name of a start hook has 1 to {MAX_NAME} characters")
        if session_of(message.id) != session.number:
            raise InvalidRequest("a request id of another session")
        kept = self._hooks.of_maker(message.id)
        if kept is not None:
            self._confirm(kept, session)
            return
        commands = self._commands
        # What is known was sent again: its client may have let go of what it lent since.
        known = commands.knows(message.id)
        payload = b"" if known else resolve(message.payload, message.frames)
        function = commands.function(message.function, message.functions, message.frames)
        if message.function and function is None:
            raise InvalidRequest("a start hook must bring its function along")
        if not known:
            self._check_owner(session, message, payload)
        request = CommandRecord(message.id, session, message.action, payload, function)
        request.state = CommandState.RUNNING
        hook = StartHook(message.name, request, payload)
        if not known:
            self._hooks.check_room(hook)
        if not commands.take_in(request):
            return
        stay = [number for number in sorted(self.engines) if not self.engine(number).drains]
        self._hooks.begin(hook, stay)
        for number in stay:
            commands.queue_hooks(number, [self._run(hook, self.engine(number))], first=False)
        self._settle(hook)

    def _check_owner(self, session: Session, message: m.StartHook, payload: Payload) -> None:
        """See that a hook replaces one of its own client's, if any, or one that is the same."""
        for former in self._hooks:
            digest = former.request.function.digest if former.request.function else b""
            is_same = (former.request.action, digest) == (message.action, message.function)
            if former.name == message.name and not (is_same and former.payload == payload):
                self._need_owner(session, former)

    def _need_owner(self, caller: Session, hook: StartHook) -> None:
        """See that a hook is a client's own, or that it may dispose of those of others."""
        if session_of(hook.request.id) != caller.number:
            need(caller, Role.ADMIN, f"to replace or remove the start hook {hook.name!r} of another client")

    def _confirm(self, hook: StartHook, maker: Session) -> None:
        """Tell the maker of a hook that this hub, too, has it: it was kept by the one before."""
        former = hook.request
        again = CommandRecord(
            former.id, maker, former.action, b"", former.function, state=CommandState.RUNNING
        )
        hook.request = again
        if self._commands.take_in(again):
            self._commands.conclude(again, Status.OK, NONE)

    def _run(self, hook: StartHook, engine: Engine) -> HookRun:
        request = hook.request
        return HookRun(
            request.id, request.session, request.action, hook.payload, request.function,
            hook=hook, engine=engine,
        )  # fmt: skip

    def stop(self, number: int) -> bool:
        """Give up a hook that is on trial, since its client wants that; False if there is none."""
        hook = self._hooks.of_request(number)
        if hook is None:
            return False
        self._hooks.drop(hook)
        self._clean_up(hook)
        return True

    def has_hook(self, number: int) -> bool:
        """Tell whether a request has brought a hook, which engines run under its id."""
        return any(hook.request.id == number for hook in self._hooks)

    # ------------------------------------------------------------ from engines

    def ended(self, run: HookRun, status: int, failure: Payload) -> None:
        """Take note of how a run of a hook has ended."""
        hook, engine = run.hook, run.engine
        assert hook is not None
        assert engine is not None
        if hook not in self._hooks:
            return  # it was removed meanwhile
        if (engine.cause or engine.drains) and engine.blamed != run.id:
            why = ""  # the engine has not ended of this, or takes no more work anyway
        elif engine.cause:
            why = engine.end_of(run.id)
            self._hooks.killed(hook, engine)
        else:
            why = _story(status, failure)
            self._hooks.survived(hook, engine)
        # An engine on which it failed once, under another hub, is unprepared still: no trial.
        if why and hook.trying and (engine.cause or not _failed_before(failure)):
            self._reject(hook, engine, failure)
            return
        if why and not engine.cause:
            self._unprepared(hook, engine, why)
        hook.trying.discard(engine.id)
        self._settle(hook)

    def _settle(self, hook: StartHook) -> None:
        """Keep a hook that was tried everywhere."""
        if hook.trying or self._hooks.of_request(hook.request.id) is not hook:
            return
        former = self._hooks.keep(hook)
        if former is not None:
            self._clean_up(former)
            self._tell_maker(former, hook.request.session)
        log.info("start hook %.80r is kept (%d bytes)", hook.name, hook.size)
        self._save(hook, former)
        self._commands.conclude(hook.request, Status.OK, NONE)

    def _reject(self, hook: StartHook, engine: Engine, failure: Payload) -> None:
        self._hooks.drop(hook)
        hook.trying.clear()
        self._commands.conclude(hook.request, Status.ERROR, failure, engine.id)
        self._clean_up(hook)

    def _unprepared(self, hook: StartHook, engine: Engine, why: str) -> None:
        hook.failed[engine.id] = why
        engine.failed_hooks[hook.name] = why
        log.warning("engine %d gets no tasks: start hook %.80r failed: %s", engine.id, hook.name, why)
        self.context.announce(engine.id, "unprepared", f"start hook {hook.name!r} failed: {why}")

    def _clean_up(self, hook: StartHook) -> None:
        """Stop the runs of a hook that is no more, and forgive its failures."""
        self._commands.stop_runs(hook)
        for number in tuple(hook.failed):
            if number in self.engines:
                self._forgive_failure(hook, self.engine(number))
        hook.failed.clear()

    def _forgive_failure(self, hook: StartHook, engine: Engine) -> None:
        engine.failed_hooks.pop(hook.name, None)
        if not engine.failed_hooks:
            self.context.announce(engine.id, "prepared", "")
            engine.became_available()

    # ------------------------------------------------------------ the store

    def _save(self, hook: StartHook, former: StartHook | None) -> None:
        """Store a hook that is kept, in place of a former one."""
        places, number = self._places, hook.request.id
        place = max(places.values(), default=0) + 1
        if former is not None and hook.keeps_place:
            place = places[former.request.id]
        places[number] = place
        request, function = hook.request, hook.request.function
        digest, blob = (b"", b"") if function is None else (function.digest, function.blob)
        value = (place, hook.name, number, request.action, hook.payload, digest, blob)
        self.outbox.add(Commit((Keep(f"{HOOKS}{number}", value),)))
        if former is not None and former.request.id != number:
            self._unsave(former)

    def _unsave(self, hook: StartHook) -> None:
        number = hook.request.id
        if self._places.pop(number, None) is not None:
            self.outbox.add(Commit((Drop(f"{HOOKS}{number}"),)))

    def restore(self, former: Former) -> None:
        """Take back the hooks that were kept."""
        kept = former.saved.kept
        values = sorted((kept[name] for name in kept if name.startswith(HOOKS)), key=itemgetter(0))
        for place, name, number, action, payload, digest, blob in values:
            function = self._commands.functions_again(digest, blob) if digest else None
            maker = former.sessions.get(session_of(number)) or _nobody(number)
            request = CommandRecord(number, maker, action, b"", function)
            request.end()
            self._hooks.take_back(StartHook(name, request, payload))
            self._places[number] = place

    # ------------------------------------------------------------ the engines

    def _engine_came(self, number: int) -> None:
        engine = self.engine(number)
        if engine.drains:
            return  # it begins nothing
        runs = []
        for hook in self._hooks:
            deadly = self._hooks.deadly(hook, engine)
            if deadly:
                self._unprepared(hook, engine, deadly[:MAX_CAUSE])
            else:
                runs.append(self._run(hook, engine))
        self._commands.queue_hooks(number, runs, first=True)

    def _engine_went(self, number: int) -> None:
        for hook in tuple(self._hooks):
            hook.failed.pop(number, None)
            if number in hook.trying:
                hook.trying.discard(number)
                self._settle(hook)

    def forgive(self, engine: Engine) -> None:
        """Let the next process in an engine's place try again what has ended others."""
        self._hooks.forgive(engine.key)

    # ------------------------------------------------------------ calls

    def described(self) -> list[dict[str, Any]]:
        """Return what is known of each hook, in order: of its failures as much as fits into an answer."""
        told = [hook.describe() for hook in self._hooks]
        room = MOST_TOLD
        for failed in (each["failed"] for each in told):
            for number, why in failed.items():
                failed[number] = why[:room]
                room -= len(failed[number])
        return told

    @exposed(Role.VIEW)
    def list(self, caller: Session) -> list[dict[str, Any]]:
        """Return what is known of each hook, in the order in which engines run them."""
        return self.described()

    @exposed(Role.SUBMIT)
    def remove(self, caller: Session, name: str) -> bool:
        """Remove a hook: engines that come do not run it any more; False if there is none."""
        if type(name) is not str:
            raise InvalidRequest("a start hook is removed by its name")
        for hook in self._hooks:
            if hook.name == name:
                self._need_owner(caller, hook)
        hooks = self._hooks.remove(name)
        for hook in hooks:
            self._unsave(hook)
            if hook.request.state is not CommandState.ENDED:  # it is still on trial
                self._commands.conclude(hook.request, Status.CANCELLED, b"")
            self._clean_up(hook)
            self._tell_maker(hook, caller)
        return bool(hooks)

    def _tell_maker(self, hook: StartHook, who: Session) -> None:
        """Have a client give to no other hub what somebody else has removed."""
        maker = hook.request.session
        if maker is who or maker.ended:
            return
        gone = self._gone.setdefault(maker, {})
        gone[hook.request.id] = None
        if len(gone) > MOST_HOOKS:
            del gone[next(iter(gone))]
        self._tell_gone(maker)

    def _tell_gone(self, maker: Session) -> None:
        gone = HooksGone(to_ranges(sorted(self._gone[maker])))
        maker.send(self.outbox, Stream.MULTIENGINE, gone)

    def bound(self, session: Session, stream: Stream, held: Ranges, now: float) -> None:
        """Say again what a lost connection may have swallowed."""
        if stream is Stream.MULTIENGINE and session in self._gone:
            self._tell_gone(session)

    def handed_over(self, session: Session, now: float) -> None:
        """Forget what was meant for the process that had the session."""
        self.session_ended(session, now)

    def session_ended(self, session: Session, now: float) -> None:
        """Forget a client."""
        self._gone.pop(session, None)

    def check(self) -> None:
        """Assert that hooks, engines and their failures agree."""
        self._hooks.check()
        assert not any(maker.ended for maker in self._gone)
        for hook in self._hooks:
            assert hook.trying <= set(self.engines)
            for number in hook.failed:
                assert hook.name in self.engine(number).failed_hooks


def _nobody(number: int) -> Session:
    """Return a client that has ended: the maker of a hook, of which nothing else is known."""
    return Session(
        session_of(number), Role.SUBMIT, "", b"", b"", 0, "", {}, False, ended=True
    )


def _story(status: int, failure: Payload) -> str:
    """Say how a run of a hook failed; empty if it did not."""
    if status == Status.OK:
        return ""
    if status == Status.CANCELLED:
        return "it was cancelled"
    found = failure_of(failure)
    if found.code == FailedBefore.code:
        return found.evalue[:MAX_CAUSE]
    # The engine has run it before, and lived on when the hub was restarted.
    return "" if found.code == ResultLost.code else f"{found.ename}: {found.evalue}"[:MAX_CAUSE]


def _failed_before(failure: Payload) -> bool:
    return failure_of(failure).code == FailedBefore.code
