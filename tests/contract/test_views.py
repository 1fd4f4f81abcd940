"""Views beyond one call: decorators, executors, lazy maps, imports, files, parts of all kinds."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import (
    BroadcastView,
    Client,
    CompositeError,
    ParallelFunction,
    RemoteFunction,
    SerializationError,
    parallel,
    remote,
)
from tests.contract.conftest import ENGINES
from tests.support.interruption import interrupted_once, within
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0


def local(source: str) -> Callable[..., Any]:
    """Return a function that engines need not be able to import."""
    function: Callable[..., Any] = eval(source)
    return function


# ---------------------------------------------------------------- functions


def test_a_remote_function(client: Client) -> None:
    """It is applied when it is called, as the view's flags say at that time."""
    view = client[:]

    @view.remote()
    def add(a: int, b: int = 2) -> int:
        """Add."""
        return a + b

    assert isinstance(add, RemoteFunction)
    assert add(1).get(WAIT) == [3] * ENGINES
    view.block = True
    assert add(1, b=1) == [2] * ENGINES
    assert str(inspect.signature(add)) == "(a: 'int', b: 'int' = 2) -> 'int'"
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    assert remote(client[0], block=True)(local("lambda: 7"))() == 7
    assert remote(client[0], label="mine")(local("lambda: 7"))().label == "mine"
    with pytest.raises(TypeError, match="no flag 'colour'"):
        view.remote(colour="red")(abs)
    with pytest.raises(TypeError, match="function"):
        view.remote()(3)  # type: ignore[arg-type]


def test_a_remote_function_that_calls_itself(client: Client) -> None:
    """On the engine it is the plain function."""

    @client[0].remote(block=True)
    def fibonacci(n: int) -> Any:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert fibonacci(10) == 55
    assert client[1].map_sync(fibonacci, range(4)) == [0, 1, 1, 2]


@pytest.mark.parametrize("dist", ["b", "r"])
def test_a_parallel_function(client: Client, dist: str) -> None:
    """It is called with parts, or by `map` with items."""

    def double(part: Any) -> Any:
        return [2 * n for n in part] if isinstance(part, list) else 2 * part

    for view in (client[:], client.load_balanced_view()):
        function = view.parallel(dist=dist, block=True)(double)
        assert isinstance(function, ParallelFunction)
        assert function(list(range(7))) == [0, 2, 4, 6, 8, 10, 12]
        assert function([1]) == [2]
        assert function.map(range(7)) == [0, 2, 4, 6, 8, 10, 12]
        later = parallel(view, dist=dist)(double)([1, 2, 3])
        assert list(later) == later.get(WAIT) == [2, 4, 6]
    with pytest.raises(ValueError, match="dist"):
        client[:].parallel(dist="z")(double)
    with pytest.raises(TypeError, match="at least one"):
        client[:].parallel()(double)()


def test_a_parallel_function_of_unequal_sequences(client: Client) -> None:
    """It loses nothing: it is not called; its map ends with the shortest, as every map."""
    for view in (client[:], client.load_balanced_view()):
        function = view.parallel(block=True)(local("lambda a, b: a"))
        with pytest.raises(ValueError, match=r"one length.*\[4, 1\]"):
            function([1, 2, 3, 4], [9])
        assert function.map([1, 2, 3, 4], [9]) == [1]


def test_a_parallel_function_of_arrays(client: Client) -> None:
    """Parts are slices, and what comes back is joined."""
    np = pytest.importorskip("numpy")
    square = client[:].parallel(block=True)(local("lambda a, b: a * b"))
    result = square(np.arange(10), np.arange(10))
    assert isinstance(result, np.ndarray)
    assert result.tolist() == [n * n for n in range(10)]


# ---------------------------------------------------------------- maps


def test_imap_reads_as_needed(client: Client) -> None:
    """A sequence without an end, in order or as values come."""
    view = client.load_balanced_view()
    read = []

    def numbers() -> Any:
        for n in itertools.count():
            read.append(n)
            yield n

    values = view.imap(local("lambda n: 2 * n"), numbers(), max_outstanding=2)
    assert list(itertools.islice(values, 5)) == [0, 2, 4, 6, 8]
    assert len(read) <= 7
    values.cancel()
    assert list(values) == []
    unordered = view.imap(local("lambda n: 2 * n"), range(9), ordered=False)
    assert sorted(unordered) == list(range(0, 18, 2))
    assert list(view.imap(abs, [-1, -2], max_outstanding=0)) == [1, 2]
    assert list(client[:].imap(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


def test_imap_raises_what_a_sequence_raises_in_its_turn(client: Client) -> None:
    """After the values of what came before it, in order or not; and so what cannot be sent."""

    def broken() -> Iterator[int]:
        yield -1
        yield -2
        raise RuntimeError("on purpose")

    view = client.load_balanced_view()
    for ordered in (True, False):
        values = view.imap(abs, broken(), ordered=ordered, max_outstanding=9)
        assert {next(values), next(values)} == {1, 2}
        with pytest.raises(RuntimeError, match="on purpose"):
            next(values)
        assert list(values) == []
    values = view.imap(abs, [-1, threading.Lock()])
    assert next(values) == 1
    with pytest.raises(SerializationError):
        next(values)


def test_imap_stops_what_is_out_with_its_iterator(client: Client, work: Work) -> None:
    """Where that is dropped, closed, or the wait interrupted: nothing runs that nobody waits for."""
    view = client.load_balanced_view()

    def left(values: Iterator[object]) -> None:
        del values

    def interrupted(values: Iterator[object]) -> None:
        with interrupted_once(within(type(values))), pytest.raises(KeyboardInterrupt):
            next(values)

    def closed(values: Any) -> None:
        values.close()
        assert list(values) == []

    for end in (closed, left, interrupted):
        endless = work.endless(end.__name__)
        values = [view.imap(lambda _, endless=endless: endless(), range(9))]
        work.begun(end.__name__)
        end(values.pop())
        assert client.wait(timeout=WAIT)


def test_what_is_interrupted_as_it_is_sent_is_stopped(client: Client, work: Work) -> None:
    """Nobody has the result of a call that did not return."""
    view, endless = client.load_balanced_view(), work.endless()
    submit = view._submit

    def interrupted(request: Any) -> None:
        submit(request)
        raise KeyboardInterrupt

    running = view.apply_async(endless)
    view._submit = interrupted
    for arguments in ((), (running,)):
        with pytest.raises(KeyboardInterrupt):
            view.apply_async(lambda *_: endless(), *arguments)
    running.cancel()
    assert client.wait(timeout=WAIT)


def test_imap_stops_at_an_error(client: Client) -> None:
    """Or yields it, if asked to."""
    view = client.load_balanced_view()
    values = view.imap(int, ["1", "x", "3"])
    assert next(values) == 1
    with pytest.raises(ValueError, match="'x'"):
        next(values)
    assert list(values) == []
    found = list(view.imap(int, ["1", "x", "3"], return_exceptions=True))
    assert found[::2] == [1, 3]
    assert isinstance(found[1], ValueError)
    for wrong in (-1, "many", 1.5):
        with pytest.raises(ValueError, match="max_outstanding"):
            view.imap(abs, [1], max_outstanding=wrong)  # type: ignore[arg-type]


def test_an_executor_that_is_shut_down_while_a_call_is_made(client: Client, work: Work) -> None:
    """The call is refused, and nothing of it runs on: nobody would wait for it, or stop it."""
    executor, endless = client.executor(), work.endless()

    class Late:
        def __reduce__(self) -> tuple[Any, ...]:
            executor.shutdown(wait=False)
            return int, ()

    with pytest.raises(RuntimeError, match="after shutdown"):
        executor.submit(lambda _: endless(), Late())
    assert client.wait(timeout=WAIT)


def test_an_executor(client: Client, work: Work) -> None:
    """What takes an executor takes a view; engines stay when it is shut down."""
    with client.executor() as executor:
        assert executor.submit(pow, 2, 5).result(WAIT) == 32
        assert list(executor.map(pow, [1, 2], [3, 4], timeout=WAIT)) == [1, 16]
        assert list(executor.map(abs, range(-5, 0), chunksize=2)) == [5, 4, 3, 2, 1]
        assert executor._max_workers == ENGINES
        with pytest.raises(ValueError, match="'x'"):
            list(executor.map(int, ["1", "x"]))
    with pytest.raises(RuntimeError, match="shutdown"):
        executor.submit(abs, 1)
    assert len(client) == ENGINES
    executor = client[0].executor
    held, waits = executor.submit(work.held()), executor.submit(abs, -1)
    work.begun("held")
    work.release()
    executor.shutdown(wait=True)
    assert (held.result(0), waits.result(0)) == ("held", 1)


def test_an_executor_that_gives_up(client: Client, work: Work) -> None:
    """A late item is a TimeoutError; `cancel_futures` cancels what waits."""
    executor = client[0].executor
    held, waits = executor.submit(work.held()), executor.submit(abs, -1)
    work.begun("held")
    with pytest.raises(TimeoutError, match="in time"):
        next(executor.map(abs, [-1], timeout=0.01))
    executor.shutdown(wait=False, cancel_futures=True)
    until(waits.cancelled, "what waits is cancelled")
    work.release()
    assert held.wait(WAIT)


@pytest.mark.parametrize("how", ["raises", "closed", "dropped"])
@pytest.mark.parametrize("chunksize", [1, 2])
def test_an_executor_map_that_ends_early(
    client: Client, work: Work, how: str, chunksize: int
) -> None:
    """What engines have of it, also ahead of time, is withdrawn, and what runs is interrupted."""
    held = work.held()
    executor = client.load_balanced_view().executor

    def act(n: int) -> int:
        if n < chunksize:
            return 1 // n if how == "raises" else n
        held()
        return n

    values = executor.map(act, range(60), chunksize=chunksize)
    if how == "raises":
        with pytest.raises(ZeroDivisionError):
            next(values)
    else:
        assert next(values) == 0
    if how == "closed":
        values.close()  # type: ignore[attr-defined]
    del values

    until(lambda: not client.outstanding, "nothing is out")
    status = client.queue_status()
    assert [status[n]["tasks"] for n in range(ENGINES)] == [0] * ENGINES
    assert status["unassigned"] == 0


def test_an_executor_map_nobody_looks_at(client: Client) -> None:
    """It runs, as with other executors."""
    name = "looked_at"
    client[:].push({name: []}, block=True)
    client.executor().map(lambda n: looked_at.append(n), range(20))  # type: ignore[name-defined]  # noqa: F821

    assert client.wait(timeout=WAIT)
    assert sorted(n for numbers in client[:][name] for n in numbers) == list(range(20))


# ---------------------------------------------------------------- engines made ready


def test_imports_on_engines(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """What the block imports, here and there, and nothing that this imports in turn."""
    view = client[:]
    original = __import__
    with view.sync_imports():
        import colorsys
        from string import ascii_lowercase, digits
    assert capsys.readouterr().out.splitlines() == [
        "importing colorsys on engine(s)",
        "importing ascii_lowercase, digits from string on engine(s)",
    ]
    assert (digits, ascii_lowercase[:2], colorsys.__name__) == ("0123456789", "ab", "colorsys")
    assert view["colorsys.__name__ + digits[:2]"] == ["colorsys01"] * ENGINES
    assert __import__ is original
    with view.importer:
        import keyword
    assert view["keyword.iskeyword('if')"] == [True] * ENGINES
    assert keyword.iskeyword("if")


def test_imports_on_engines_only(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    """The name here cannot be used, which it says."""
    with client[:].sync_imports(local=False, quiet=True):
        import colorsys
        from string import digits
    with pytest.raises(
        RuntimeError, match=r"colorsys\.hsv_to_rgb was imported on the engines only"
    ):
        colorsys.hsv_to_rgb(1, 1, 1)
    with pytest.raises(RuntimeError, match=r"string\.digits"):
        digits()  # type: ignore[operator]
    assert client[0]["digits"] == "0123456789"
    assert capsys.readouterr().out == ""
    missing = client[:].sync_imports(local=False, quiet=True)
    with pytest.raises(CompositeError, match="no_such_module"), missing:
        import no_such_module  # type: ignore[import-not-found]  # noqa: F401


def test_a_file_is_run(client: Client, tmp_path: Path) -> None:
    """Its text is sent, in its own encoding."""
    path = tmp_path / "prepare.py"
    path.write_bytes("# coding: latin-1\nword = 'süß'\n".encode("latin-1"))
    client[:].run(path, block=True)
    assert client[:]["word"] == ["süß"] * ENGINES
    with pytest.raises(FileNotFoundError):
        client[:].run(str(tmp_path / "none.py"))


def test_names_with_dots(client: Client) -> None:
    """Attributes and items are set and read as names are; other text is refused here."""
    view = client[:]
    view.execute("class Model: pass\nmodel = Model(); table = {}", block=True)
    view["model.alpha"] = 5
    view.push({"table['x']": 7}, block=True)
    assert view[["model.alpha", "table"]] == [[5, {"x": 7}]] * ENGINES
    for wrong in ("a b", "1", "f()", "", "if"):
        with pytest.raises(ValueError, match="is no name"):
            view.push({wrong: 1})
    with pytest.raises(TypeError, match="dict"):
        view.push([1])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a name or several"):
        view.pull(5)  # type: ignore[arg-type]


def test_serialization_needs_no_choice(client: Client) -> None:
    """Programs that choose one run."""
    view = client[:]
    for choose in (view.use_cloudpickle, view.use_dill, view.use_pickle):
        choose().get(WAIT)
    assert view.apply_sync((lambda k: lambda: k)(7)) == [7] * ENGINES


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize("dist", ["b", "r"])
def test_parts_of_frames(client: Client, dist: str) -> None:
    """By rows, and together again with their labels."""
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": range(7), "b": list("abcdefg")}, index=list("tuvwxyz"))
    view = client[:]
    for whole in (frame, frame.a, frame.index):
        view.scatter("part", whole, dist=dist, block=True)
        assert view.gather("part", dist=dist, block=True).equals(whole)
    view.scatter("item", frame.a[:ENGINES], flatten=True, block=True)
    assert view["item"] == list(range(ENGINES))
    column = view.parallel(dist=dist, block=True)(local("lambda part: part.b"))(frame)
    assert column.equals(frame.b)
    assert view.map_sync(local("lambda name: name * 2"), frame) == ["aa", "bb"]


def test_parts_come_one_by_one(client: Client) -> None:
    """A gather can be iterated over, indexed, and has the metadata of its parts."""
    view = client[:]
    view.scatter("part", (n for n in range(7)), block=True)
    result = view.gather("part")
    assert list(result) == result.get(WAIT) == list(range(7))
    assert (result[5], result[-2:]) == (5, [5, 6])
    assert result.engine_id == list(range(ENGINES))
    for wrong in (5, None):
        with pytest.raises(TypeError, match="not iterable"):
            view.scatter("part", wrong)  # type: ignore[arg-type]
    with pytest.raises(CompositeError, match=r"\[0:pull\]: NameError"):
        view.gather("nowhere", block=True)


# ---------------------------------------------------------------- views


def test_a_broadcast_view(client: Client) -> None:
    """A view like others: results in order, with labels, and maps."""
    view = client.broadcast_view(is_coalescing=True, label="wide")
    assert isinstance(view, BroadcastView)
    result = view.apply_async(local("lambda: 7"))
    assert result.get(WAIT) == [7] * ENGINES
    assert (result.engine_id, result.label) == (list(range(ENGINES)), ["wide"] * ENGINES)
    assert view.map_sync(abs, range(-5, 0)) == [5, 4, 3, 2, 1]
    assert client.broadcast_view(0).apply_sync(int, "7") == 7
    with pytest.raises(TypeError, match="is_coalescing"):
        view.is_coalescing = 3  # type: ignore[assignment]


def test_a_misspelt_flag_is_an_error(client: Client) -> None:
    """Else it would be taken, and change nothing."""
    view: Any = client.load_balanced_view()
    with pytest.raises(AttributeError, match=r"no flag 'retry'; it has: .*retries"):
        view.retry = 3
    view.retries = 3
    view._mine = 1
    direct: Any = client[:]
    with pytest.raises(AttributeError, match="blok"):
        direct.blok = True
    direct.block = True


def test_a_view_follows_its_client(client: Client) -> None:
    """New views block if the client says so; a view is not sent."""
    client.block = True
    try:
        assert client[0].apply(int, "7") == 7
        assert client.load_balanced_view().apply(int, "7") == 7
    finally:
        client.block = False
    with pytest.raises(SerializationError, match="DirectView belongs to its client"):
        client[0].apply(len, client[:])


def test_a_view_remembers_its_own_calls(client: Client) -> None:
    """Also maps, and what its decorated functions do; other views have theirs, the client has all."""
    direct, balanced = client[:], client.load_balanced_view()
    first = direct.apply_async(int, "1")
    mapped = balanced.map_async(abs, range(-3, 0))
    one = balanced.apply_async(int, "2")
    pushed = direct.push({"a": 1}, block=False)
    called = balanced.remote(block=False)(abs)(-4)
    assert client.wait(timeout=WAIT)

    assert direct.history == [*first.msg_ids, *pushed.msg_ids]
    assert balanced.history == [*mapped.msg_ids, *one.msg_ids, *called.msg_ids]
    assert client[:].history == []
    assert len(client.history) == len(direct.history) + len(balanced.history)
    assert balanced.get_result(-2).get(WAIT) == 2
    assert direct.get_result().msg_ids == pushed.msg_ids[-1:]
    assert balanced.get_result([0, 1]).get(WAIT) == [3, 2]
    with pytest.raises(IndexError, match="no request 99 in a history of 5"):
        balanced.get_result(99)


def test_a_view_waits_for_its_own_calls(client: Client, work: Work) -> None:
    """Where none are named; what other views have out goes on."""
    held = client[1].apply_async(work.held())
    view = client[0]
    result = view.apply_async(int, "7")

    assert view.wait(timeout=WAIT)
    assert result.done()
    assert view.outstanding == set()
    assert not held.done()
    work.release()
    assert held.get(WAIT) == "held"


def test_what_views_know_of_their_client(client: Client, work: Work) -> None:
    """Waiting, stopping and looking are the client's, with the view's engines by default."""
    view = client[0]
    held = view.apply_async(work.held())
    work.begun("held")
    queued, elsewhere = view.apply_async(int, "7"), client[1].apply_async(int, "7")
    assert set(view.queue_status()) == {0, "unassigned"}
    assert set(view.outstanding) >= {held.msg_id, queued.msg_id}
    assert not view.wait([queued], timeout=0)
    view.abort([queued])
    assert queued.cancelled()
    assert elsewhere.get(WAIT) == 7
    work.release()
    assert view.wait(timeout=WAIT)
    assert view.history == [held.msg_id, queued.msg_id]
    assert view.get_result(elsewhere.msg_id).get(WAIT) == 7
    view.purge_results("all")
    with pytest.warns(DeprecationWarning, match="come by themselves"):
        view.spin()


@pytest.mark.usefixtures("needs_processes")
def test_a_view_stops_what_its_engines_do(client: Client, work: Work) -> None:
    """Commands to other engines go on."""
    here, there = client[0].apply_async(work.endless("here")), client[1].apply_async(work.held())
    work.begun("here")
    work.begun("held")
    client[0].abort()
    assert here.wait(WAIT)
    assert here.cancelled()
    assert not there.done()
    work.release()
    assert there.get(WAIT) == "held"
