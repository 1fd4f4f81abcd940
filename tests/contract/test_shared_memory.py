"""Large data between processes of one host goes through shared memory, and nobody notices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import ctrlhub
from ctrlhub import Client
from ctrlhub.wire import segments
from ctrlhub.wire.limits import SEGMENT_BYTES, SEGMENTS
from ctrlhub.wire.segments import share
from ctrlhub.wire.untouched import remembered
from tests.contract.conftest import ENGINES, AnyCluster
from tests.support.processes import until
from tests.support.work import Work

WAIT = 60.0
ITEMS = 500_000
"""Of 8 bytes each: some way above the size from which memory is shared."""

needs_segments = pytest.mark.skipif(
    not segments.AVAILABLE, reason="this system has no memory files"
)


def numbers() -> Any:
    """An array that is large enough to be shared."""
    return np.arange(ITEMS, dtype=float)


def segments_of() -> Callable[[Any], list[str]]:
    """A function, which travels by value, for the shared segments that an array's data lies in, as
    the kernel lists them for the process that has the array.
    """

    def found(array: Any) -> list[str]:
        first = array.ctypes.data
        with open("/proc/self/maps") as maps:
            shared = [line for line in maps if "/memfd:ctrlhub" in line]
        ends = [[int(end, 16) for end in line.split()[0].split("-")] for line in shared]
        return [line for line, (low, high) in zip(shared, ends, strict=True) if low <= first < high]

    return found


def mapping() -> Callable[[str], bool]:
    """A function, which travels by value, for whether a process has a segment mapped."""

    def mapped(segment: str) -> bool:
        with open("/proc/self/maps") as maps:
            return segment in maps

    return mapped


segments_under, is_mapped = segments_of(), mapping()


@needs_segments
def test_what_is_pushed_is_mapped(client: Client) -> None:
    """On every engine; and it is unmapped once no name holds it any more."""
    view = client[:]
    view.push({"a": numbers()}, block=True)
    for number in client.ids:
        engine = client[number]
        [segment] = engine.apply_sync(segments_under, ctrlhub.Reference("a"))
        engine.execute("del a", block=True)
        until(lambda e=engine, s=segment: not e.apply_sync(is_mapped, s), "the array is let go")


@needs_segments
def test_what_is_pulled_is_mapped(client: Client, transport: str) -> None:
    """Here; and it is unmapped with the array. Over HTTP the bytes come."""
    client[0].execute("import numpy; b = numpy.ones(500_000)", block=True)
    got = client[0].pull("b", block=True)
    if transport == "http":
        assert (segments_under(got), got.sum()) == ([], ITEMS)
        return
    [segment] = segments_under(got)
    assert got.sum() == ITEMS
    del got
    until(lambda: not is_mapped(segment), "the array is let go")


def test_each_engine_writes_into_its_own(client: Client) -> None:
    """One copy for all, until somebody writes; then the others, and the sender, keep theirs."""
    view, sent = client[:], numbers()
    view.push({"a": sent}, block=True)
    client[1].execute("a[:] = -1", block=True)
    sums = view.pull("float(a.sum())", block=True)

    total = float(sent.sum())
    assert sums == [total, -float(ITEMS), *[total] * (ENGINES - 2)]
    assert sent[-1] == ITEMS - 1


@pytest.mark.parametrize("way", ["push", "apply", "task", "map", "scatter"])
def test_the_sender_may_write_at_once(client: Client, work: Work, way: str) -> None:
    """What is sent is what it was when the call returned."""
    view, balanced, sent = client[0], client.load_balanced_view(), numbers()
    held = view.apply_async(work.held())

    def last(array: Any) -> float:
        return float(array[-1])

    if way == "push":
        result = view.push({"a": sent}, block=False)
    elif way == "apply":
        result = view.apply_async(last, sent)
    elif way == "task":
        result = balanced.apply_async(last, sent)
    elif way == "map":
        result = balanced.map_async(last, [sent])
    else:
        result = view.scatter("a", sent, block=False)
    sent[:] = -1
    work.release()
    got = result.get(WAIT)
    held.get(WAIT)
    if way in ("push", "scatter"):
        got = view.pull("float(a[-1])", block=True)
    assert got in (ITEMS - 1.0, [ITEMS - 1.0])


def test_results_are_ours_to_write(client: Client) -> None:
    """Of commands and of tasks; what the engine still has does not change."""
    client[0].execute("import numpy; c = numpy.arange(500_000.0)", block=True)
    got = client[0].pull("c", block=True)
    got[:] = 0
    assert client[0].pull("float(c[-1])", block=True) == ITEMS - 1
    got = client.load_balanced_view().apply_sync(lambda a: a + 1, numbers())
    got += 1
    assert got[-1] == ITEMS + 1


def test_read_only_arrays_stay_so(client: Client) -> None:
    """Whoever marked an array finds the mark on the other side."""
    sent = numbers()
    sent.flags.writeable = False
    flags, got = client[0].apply_sync(lambda a: (a.flags.writeable, a), sent)
    assert not flags
    assert got[-1] == ITEMS - 1


def test_scattered_and_gathered(client: Client) -> None:
    """Every engine has its part, and the whole comes back."""
    view, sent = client[:], np.arange(3_000_000.0)
    view.scatter("part", sent, block=True)
    view.execute("part *= 2", block=True)
    got = view.gather("part", block=True)
    np.testing.assert_array_equal(got, 2 * np.arange(3_000_000.0))
    assert sent[-1] == 2_999_999


def test_bytes_and_several_in_one(client: Client) -> None:
    """Whatever offers its memory to pickle is shared, as often as it occurs."""
    blob = bytearray(b"x" * SEGMENT_BYTES * 2)
    first, second, third = client[0].apply_sync(lambda *a: a, numbers(), blob, [numbers()])
    assert (first[-1], bytes(second), third[0][0]) == (ITEMS - 1, bytes(blob), 0)


@needs_segments
@pytest.mark.parametrize(
    "value",
    [b"x" * 3_000_000, "täxt" * 500_000, list(range(500_000)), np.arange(1_000_000.0)[::2]],
    ids=["bytes", "text", "list", "strided"],
)
def test_large_things_of_every_kind(
    client: Client, monkeypatch: pytest.MonkeyPatch, value: Any
) -> None:
    """Also what is pickled as a whole is handed over in shared memory, both ways."""
    shared = []
    monkeypatch.setattr(
        "ctrlhub.wire.serialize.share_warm", lambda view: shared.append(view.nbytes) or share(view)
    )
    view = client[0]
    got = view.apply_sync(lambda v: v, value)
    assert np.array_equal(got, value)
    assert max(shared) > 1_000_000
    view["v"] = value
    assert view.apply_sync(lambda: len(v)) == len(value)  # type: ignore[name-defined] # noqa: F821
    assert np.array_equal(client.load_balanced_view().apply_sync(lambda v: v, value), value)


def test_more_than_may_be_shared(client: Client) -> None:
    """Beyond the limit bytes are sent: all calls get what is theirs."""
    view, size = client.load_balanced_view(), SEGMENT_BYTES // 8
    results = [
        view.apply_async(lambda a: a + 1, np.full(size, float(n))) for n in range(SEGMENTS + 40)
    ]
    for n, result in enumerate(results):
        got = result.get(WAIT)
        assert (got.shape, got[0], got[-1]) == ((size,), n + 1, n + 1)


@needs_segments
def test_nothing_is_kept(client: Client) -> None:
    """Of what is more than the hub remembers, once the request has ended."""
    large = np.zeros(1_500_000)
    before = segments.count_held() - len(remembered())
    client[:].push({"a": large}, block=True)
    client.load_balanced_view().apply_sync(lambda a: a, large)
    until(lambda: segments.count_held() - len(remembered()) <= before, "all is let go")


@pytest.fixture
def outsider(cluster: AnyCluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Client]:
    """Connects a client that shares no memory, as one on another host would be."""

    def connect() -> Client:
        with monkeypatch.context() as patch:
            patch.setattr("ctrlhub.link.sharing.share", lambda buffer: None)
            return cluster.connect_client_sync()

    return connect


@needs_segments
def test_one_copy_of_what_comes_from_elsewhere(
    outsider: Callable[[], Client], client: Client
) -> None:
    """What a client on another host sends to several engines of one, these share."""

    def where() -> str:
        address = far.__array_interface__["data"][0]  # type: ignore[name-defined] # noqa: F821
        with open("/proc/self/maps") as maps:
            for line in maps:
                begin, end = (int(each, 16) for each in line.split()[0].split("-"))
                if begin <= address < end:
                    return line.split()[4]  # the file's inode
        return "nowhere"

    with outsider() as remote:
        remote[:].push({"far": numbers()}, block=True)
    inodes = set(client[:].apply_sync(where))
    assert len(inodes) == 1
    assert inodes.isdisjoint({"0", "nowhere"}), "they have memory of their own"
    client[0].execute("far[:] = 0", block=True)
    assert client[1].pull("float(far[-1])", block=True) == ITEMS - 1


def test_a_client_elsewhere(outsider: Callable[[], Client], client: Client) -> None:
    """It sends and gets bytes, while engines and hub share memory."""
    with outsider() as far:
        sent = numbers()
        far[:].push({"far": sent}, block=True)
        client[0].execute("far[0] = 5", block=True)
        assert client[:].pull("float(far[0])", block=True) == [5.0] + [0.0] * (ENGINES - 1)
        got = far[0].pull("far", block=True)
        got[1] = 9
        assert (got[0], got[-1]) == (5, ITEMS - 1)
        assert far.load_balanced_view().apply_sync(lambda a: a * 2, sent)[-1] == 2 * (ITEMS - 1)


def test_large_messages_go_in_parts(outsider: Callable[[], Client]) -> None:
    """Both ways, through commands and tasks, whatever the transport."""
    large = np.arange(2_000_000.0)
    with outsider() as remote:
        remote[:].push({"far": large}, block=True)
        for got in remote[:].pull("far", block=True):
            assert np.array_equal(got, large)
        got = remote.load_balanced_view().apply_sync(lambda a: -a, large)
        assert np.array_equal(got, -large)
