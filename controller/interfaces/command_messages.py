"""Commands on the wire: the payloads that a client sends, and what an engine is sent. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from ctrlhub.controller.core.commands import CommandRecord
from ctrlhub.controller.core.engines import Engine
from ctrlhub.controller.core.functions import FunctionTable, function_rows
from ctrlhub.controller.core.relays import have_one_copy
from ctrlhub.wire.codec import FrameList, resolve
from ctrlhub.wire.messages import Command, Payload, RunCommand


class CommandMessages:
    """Reads commands out of their clients' messages, and writes those for engines.

    Parameters
    ----------
    functions
        All functions, and who has them.
    engines
        The ids of the engines that are there.
    engine
        Returns one of these.
    keep
        Puts large buffers where several engines can read one copy; None where that is not possible.
    """

    def __init__(
        self,
        functions: FunctionTable,
        engines: Container[int],
        engine: Callable[[int], Engine],
        keep: Callable[[Payload], Payload] | None,
    ) -> None:
        self._functions = functions
        self._engines = engines
        self._engine = engine
        self._keep = keep

    def payloads_of(self, message: Command, fresh: Sequence[int]) -> dict[int, Payload]:
        """Return the payloads of those commands of a message that are not known yet, by place.

        What is known has its payload, and its client may have let go of what it lent since.
        """
        refs, frames = message.payloads, message.frames
        if len(refs) > 1:
            return {k: resolve(refs[k], frames) for k in fresh}
        if not fresh:
            return {}
        payload = resolve(refs[0], frames)
        if len(fresh) > 1 and type(payload) is tuple and self._keep is not None:
            there = [message.targets[k] for k in fresh if message.targets[k] in self._engines]
            if have_one_copy([self._engine(target).session for target in there]):
                payload = self._keep(payload)
        return dict.fromkeys(fresh, payload)

    def to_run(self, engine: Engine, command: CommandRecord) -> RunCommand:
        """Return the message that gives a command to an engine, with its function if that lacks it."""
        frames = FrameList()
        functions = [command.function] if command.function is not None else []
        fresh = self._functions.unknown_to(engine.id, functions)
        return RunCommand(
            id=command.id,
            action=command.action,
            payload=frames.add(command.payload),
            function=command.function.digest if command.function is not None else b"",
            functions=function_rows(fresh, frames),
            frames=frames.frames,
        )
