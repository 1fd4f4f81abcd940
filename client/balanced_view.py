"""LoadBalancedView: tasks, which go to whichever engine has room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ctrlhub.client.async_result import AsyncResult
from ctrlhub.client.chunk_requests import ChunkPortion, ChunkTemplate
from ctrlhub.client.chunks import chunked, tables_of
from ctrlhub.client.function_book import name_of
from ctrlhub.client.lazy_map import LazyMapIterator
from ctrlhub.client.map_result import AsyncJoinedResult, AsyncMapResult
from ctrlhub.client.partition import split
from ctrlhub.client.requests import ENGINE_RETRIES, Portion, Template
from ctrlhub.client.result_of_results import PortionOfResults, ResultOfResults, with_results
from ctrlhub.client.targets import chosen
from ctrlhub.client.task_options import FLAGS, check, options_of
from ctrlhub.client.view import View, check_label
from ctrlhub.wire.each_row import EachRow
from ctrlhub.wire.errors import LimitExceeded, SerializationError
from ctrlhub.wire.ids import to_ranges
from ctrlhub.wire.limits import BATCH_ROWS
from ctrlhub.wire.messages import Payload, Stream
from ctrlhub.wire.options import PLAIN
from ctrlhub.wire.serialize import detached, dumps_call

if TYPE_CHECKING:
    from ctrlhub.client.client import Client

M = TypeVar("M", bound=AsyncMapResult)

MAX_TEMPLATES = 256
"""So many functions' templates are kept by a view."""
MAX_RETRIES = (1 << 31) - 1


class LoadBalancedView(View):
    """Engines as one: each task runs on whichever engine has room.

    Attributes
    ----------
    retries : int
        How often a task that raised is run again (default 0).
    engine_retries : int
        How often a task is run again that was running on an engine which was lost (default 3).
    targets : tuple of int or None
        The engines that may run tasks; None is all there are, also those that come later.
    after, follow : AsyncResult, str, Dependency, several of these, or None
        What tasks wait for: results, or the ids of requests. With `follow` they also run on the engine
        where that ran. What can never be met any more fails with `ImpossibleDependency`, at once.
    timeout : float or None
        How long (seconds) a task may wait for an engine; then it fails with `TaskTimeout`.
    time_limit : float or None
        How long (seconds) a task may run; then it is interrupted, and fails with
        `TimeLimitExceeded`.
    grace : float or None
        How long (seconds) a task may go on after it was interrupted, because it was cancelled or by
        its time limit; then its engine is killed and started again. None lets it go on.
    priority : int
        Tasks of a higher one go first, among those of this client. Clients share evenly.
    resources : dict or None
        What an engine must have to run tasks, such as ``{"gpu": 1}``: see the `resources` of
        `Cluster`, and ``ctrl-hub engine --resources``.
    """

    flag_names = (*View.flag_names, "retries", "engine_retries", *FLAGS)

    is_balanced = True

    retries: int
    engine_retries: int
    targets: tuple[int, ...] | None
    after: Any
    follow: Any
    timeout: float | None
    time_limit: float | None
    grace: float | None
    priority: int
    resources: dict[str, float] | None

    def __init__(self, client: Client, **flags: Any) -> None:
        self._templates: dict[bytes, Template] = {}
        self._options = PLAIN
        defaults = {"retries": 0, "engine_retries": ENGINE_RETRIES, **FLAGS}
        super().__init__(client, **{**defaults, **flags})
        home = self._home
        self._encode, self._next_id, self._submit = home.functions.encode, home.next_id, home.submit
        self._note = self._given.append

    def __len__(self) -> int:
        targets = self._flags["targets"]
        return len(self.client) if targets is None else len(targets)

    def __repr__(self) -> str:
        return f"<LoadBalancedView of {len(self)} engines>"

    def set_flags(self, **flags: Any) -> LoadBalancedView:
        """Set flags by name, and return the view.

        Raises
        ------
        TypeError, ValueError
            There is no such flag, or it cannot have that value.
        """
        if "targets" in flags:
            targets = flags["targets"]
            anywhere = targets is None or (isinstance(targets, str) and targets == "all")
            named = None if anywhere else tuple(chosen(targets, self.client.ids))
            flags = {**flags, "targets": named}
        return super().set_flags(**flags)

    def _check_flag(self, name: str, value: Any) -> None:
        super()._check_flag(name, value)
        if name in FLAGS:
            check(name, value)
        if name in ("retries", "engine_retries") and (
            type(value) is not int or not 0 <= value <= MAX_RETRIES
        ):
            raise TypeError(f"{name} must be a number from 0 on, not {value!r}")

    def _flags_changed(self) -> None:
        self._templates = {}
        self._options = options_of(self._flags)

    def apply_async(self, f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call ``f(*args, **kwargs)`` on some engine; return its result to come.

        Results to come may be among the arguments, also within lists and the like: the task waits
        until they have ended well, and is called with their values, which go from the hub to the
        engine. Those that are here already go along with the call.

        Raises
        ------
        SerializationError
            The function or an argument cannot be pickled; nothing was sent.
        SessionClosed
            The client was closed.
        """
        encoded = self._encode(f)
        template = self._templates.get(encoded[0]) or self._template(f, encoded)
        tracer = self._home.tracer
        if tracer is None:
            return self._applied(args, kwargs, template)
        with tracer.span(template) as (template, noted):
            noted.tasks = 1
            return self._applied(args, kwargs, template)

    def _applied(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], template: Template
    ) -> AsyncResult:
        try:
            payload = dumps_call(args, kwargs)
        except SerializationError:  # of a result, maybe
            return self._apply_to_results(args, kwargs, template)
        if type(payload) is not bytes:
            payload = detached(payload)
        number = self._next_id()
        result = AsyncResult(self._home, number, payload, template)
        self._note(number)
        try:
            self._submit(result)
        except KeyboardInterrupt:
            self._take_back(result)
            raise
        return result

    def _apply_to_results(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], template: Template
    ) -> AsyncResult:
        payload, own, needed = with_results(args, kwargs, template)
        number = self._next_id()
        result = ResultOfResults(self._home, number, detached(payload), own, needed)
        self._note(number)
        try:
            self._submit(result)
        except KeyboardInterrupt:
            self._take_back(result)
            raise
        return result

    def map_async(  # type: ignore[override]
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        chunksize: int = 1,
        ordered: bool = True,
        return_exceptions: bool = False,
        label: str | None = None,
    ) -> AsyncMapResult:
        """Call `f` with each row of items of the sequences; return the results to come.

        Every item (or chunk of items) is a task of its own. Tasks start while the sequences are
        still being read: all of them, so for what has no end there is `imap`.

        Parameters
        ----------
        f
            The function.
        *sequences
            Its arguments: one sequence for each parameter. They end with the shortest.
        chunksize
            How many items make a task.
        ordered
            Iterate over the values in the order of the items, not in that of arrival.
        return_exceptions
            Have exceptions among the values instead of raising them.
        label
            A label for the tasks; None takes the view's.

        Raises
        ------
        LimitExceeded
            More of its tasks are outstanding than the hub takes; they are cancelled.
        """
        if not sequences:
            raise TypeError("map needs at least one sequence")
        if type(chunksize) is not int or chunksize < 1:
            raise ValueError(f"chunksize must be a number from 1 on, not {chunksize!r}")
        check_label(label)
        rows: Iterable[tuple[Any, ...]] = zip(*sequences)  # noqa: B905 - up to the shortest
        call: Any = f
        if chunksize > 1:
            call, rows = EachRow(f, self._flags["retries"]), chunked(rows, chunksize)
        kind = ChunkTemplate if chunksize > 1 else Template
        template = self._template(f, self._encode(call), label, name_of(f), kind)
        result = AsyncMapResult(
            self._home,
            template,
            ordered=ordered,
            return_exceptions=return_exceptions,
            sizes=[] if chunksize > 1 else None,
        )
        return self._sent(rows, template, result)

    def imap(  # type: ignore[override]
        self,
        f: Callable[..., Any],
        /,
        *sequences: Iterable[Any],
        ordered: bool = True,
        max_outstanding: int | str = "auto",
        return_exceptions: bool = False,
    ) -> LazyMapIterator:
        """Map sequences of any length, a few tasks at a time; return an iterator over the values.

        Parameters
        ----------
        f, *sequences
            The function, and its arguments: one sequence for each parameter.
        ordered
            Yield values in order, not as they come.
        max_outstanding
            How many tasks are out at a time; ``'auto'`` is two for each engine, 0 is all at once.
        return_exceptions
            Yield exceptions instead of raising them.
        """
        return self._lazy_map(
            f,
            sequences,
            ordered=ordered,
            max_outstanding=max_outstanding,
            return_exceptions=return_exceptions,
        )

    def _lazy_map(
        self,
        f: Callable[..., Any],
        sequences: Sequence[Iterable[Any]],
        *,
        ordered: bool,
        max_outstanding: int | str,
        return_exceptions: bool,
        on_arrival: Callable[[AsyncResult], object] | None = None,
    ) -> LazyMapIterator:
        if not sequences:
            raise TypeError("imap needs at least one sequence")
        most = max(2, 2 * len(self)) if max_outstanding == "auto" else max_outstanding
        if type(most) is not int or most < 0:
            raise ValueError(f"max_outstanding is 'auto' or a number from 0 on, not {most!r}")
        rows = zip(*sequences)  # noqa: B905 - up to the shortest
        return LazyMapIterator(
            lambda row: self.apply_async(f, *row),
            rows,
            most,
            ordered,
            return_exceptions,
            on_arrival,
        )

    def _call_parts(
        self,
        f: Callable[..., Any],
        sequences: Sequence[Iterable[Any]],
        dist: str,
        chunksize: int | None,
        *,
        ordered: bool,
        return_exceptions: bool,
    ) -> AsyncJoinedResult:
        if not sequences:
            raise TypeError("a parallel function needs at least one sequence")
        columns = tables_of(sequences)
        count = max(1, -(-len(columns[0]) // (chunksize or 1)))
        rows = zip(*(split(column, count, dist) for column in columns), strict=True)
        template = self._template(f, self._encode(f))
        result = AsyncJoinedResult(
            self._home, template, ordered=ordered, return_exceptions=return_exceptions, dist=dist
        )
        return self._sent(rows, template, result)

    def _sent(self, rows: Iterable[tuple[Any, ...]], template: Template, result: M) -> M:
        """Send the tasks of a map, all or none."""
        tracer = self._home.tracer
        try:
            if tracer is None:
                self._send_rows(rows, template, result)
            else:
                with tracer.span(template) as (template, noted):
                    self._send_rows(rows, template, result)
                    noted.tasks = len(result._numbers())
        except BaseException:
            self._take_back(result)
            raise
        return result

    def _take_back(self, result: AsyncResult) -> None:
        """Stop what may have been sent of a call that failed, if by Ctrl-C: nobody can ask for it."""
        if result._numbers() and not self._home.closed:
            self._home.cancel_later(Stream.TASK, to_ranges(result._numbers()))

    def _send_rows(
        self, rows: Iterable[tuple[Any, ...]], template: Template, result: AsyncMapResult
    ) -> None:
        intake, sizes = self._home.intake, result._sizes
        payloads: list[Payload] = []
        for args in rows:
            if sizes is not None:
                sizes.append(len(args[1]))
            try:
                payload = dumps_call(args, {})
            except SerializationError:  # of a result, maybe
                payload, own, needed = with_results(args, {}, template)
                if payloads:
                    self._send_portion(payloads, template, result)
                self._send_portion([detached(payload)], own, result, needed)
                payloads = []
                continue
            payloads.append(payload if type(payload) is bytes else detached(payload))
            # While the I/O thread is on its way more gathers; when it has been here, it gets more.
            if not intake.busy or len(payloads) >= BATCH_ROWS:
                self._send_portion(payloads, template, result)
                payloads = []
        if payloads:
            self._send_portion(payloads, template, result)

    def _send_portion(
        self,
        payloads: list[Payload],
        template: Template,
        result: AsyncMapResult,
        needed: tuple[AsyncResult, ...] = (),
    ) -> None:
        most = self._home.intake.room.most
        if 0 < most < len(result._cells) - result._settled + len(payloads):
            raise LimitExceeded(
                f"a map may have {most} tasks outstanding (the hub's max_outstanding): give it a "
                "chunksize, which makes fewer tasks of the items, or use imap, which reads a few at a time"
            )
        first = self._home.next_ids(len(payloads))
        self._note(range(first, first + len(payloads)))
        offset = result._extend(first, len(payloads))
        if needed:
            self._submit(PortionOfResults(first, payloads, template, result, offset, needed))
            return
        portion = ChunkPortion if isinstance(template, ChunkTemplate) else Portion
        self._submit(portion(first, payloads, template, result, offset))

    def _template(
        self,
        f: Callable[..., Any],
        encoded: tuple[bytes, bytes],
        label: str | None = None,
        what: str | None = None,
        kind: type[Template] = Template,
    ) -> Template:
        if not callable(f):
            raise TypeError(f"a function is needed, not {type(f).__name__}")
        flags = self._flags
        function = self._home.functions.of(*encoded)
        own = flags["label"] if label is None else label
        name = name_of(f) if what is None else what
        template = kind(
            name, own, function, flags["retries"], flags["engine_retries"], self._options
        )
        if label is None and what is None:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates = {}
            self._templates[encoded[0]] = template
        return template
