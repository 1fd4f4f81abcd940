"""Cells on real engines: IPython's shell, rich output, interrupts."""

from __future__ import annotations

import base64
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from ctrlhub import Client, Cluster, RemoteError
from ctrlhub.client.execute_reply import ExecuteReply
from tests.support.processes import until
from tests.support.state import own_state

WAIT = 60.0


def run(client: Client, code: str, silent: bool = False) -> Any:
    """Run a cell on the first engine, and return its result once it is done."""
    result = client[0].execute(code, silent=silent)
    assert result.wait(WAIT)
    return result


def has_ipython() -> bool:
    """Run on an engine: say whether it has loaded IPython."""
    import sys

    return "IPython" in sys.modules


def test_an_engine_that_sees_no_cell_has_no_ipython(tmp_path: Path) -> None:
    """Whatever else it does, mistakes in plain code included; the first cell brings it."""
    with own_state(tmp_path), Cluster(n=1) as client:
        client[0].push({"x": 1}, block=True)
        client[0].execute("y = x + 1", block=True)
        assert run(client, "1 +", silent=True).error is not None
        assert client[0].apply_sync(has_ipython) is False

        assert run(client, "x").get().data == {"text/plain": "1"}
        assert client[0].apply_sync(has_ipython) is True


def test_a_cell_ends_with_its_value(client: Client) -> None:
    """Rich, counted, and remembered in the engine's history."""
    first = run(client, "a = 20\na + 1").get()
    second = run(client, "_ * 2").get()
    history = run(client, f"In[-2], Out[{first.execution_count}]").get()

    assert isinstance(first, ExecuteReply)
    assert (first.data["text/plain"], second.data["text/plain"]) == ("21", "42")
    assert second.execution_count == first.execution_count + 1
    assert history.data["text/plain"] == "('_ * 2', 21)"
    assert client[0]["a"] == 20


def test_a_value_that_is_silenced_is_not_shown(client: Client) -> None:
    """By a semicolon, by None, or by running silently."""
    results = [run(client, "5;"), run(client, "None"), run(client, "5", silent=True)]

    assert [result.execute_result for result in results] == [None, None, None]


def test_rich_values_come_by_type(client: Client) -> None:
    """HTML and whatever else an object has."""
    reply = run(
        client,
        "class Rich:\n    def _repr_html_(self): return '<b>1</b>'\n"
        "    def _repr_png_(self): return b'png'\nRich()",
    ).get()

    assert reply.data["text/html"] == reply._repr_html_() == "<b>1</b>"
    assert base64.b64decode(reply.data["image/png"]) == b"png"


def test_what_is_displayed_is_among_the_outputs_in_order(client: Client) -> None:
    """Of cells, of functions that import IPython, and between what is printed."""

    def show() -> None:
        from IPython.display import HTML, display

        display(HTML("<i>2</i>"))

    cell = run(client, "print('a')\ndisplay('b')\nprint('c')")
    function = client[0].apply_async(show)
    function.get(WAIT)

    assert cell.stdout == "a\nc\n"
    assert [each["data"] for each in cell.outputs] == [{"text/plain": "'b'"}]
    assert [each["data"]["text/html"] for each in function.outputs] == ["<i>2</i>"]


def test_figures_are_displayed_at_the_end_of_their_cell(client: Client) -> None:
    """As images."""
    pytest.importorskip("matplotlib")

    result = run(client, "import matplotlib.pyplot as plt\nplt.plot([1, 2]);")

    [figure] = result.outputs
    assert base64.b64decode(figure["data"]["image/png"]).startswith(b"\x89PNG")


def test_a_repr_that_raises_harms_nothing(client: Client) -> None:
    """What went wrong is on the error stream; what follows runs."""
    result = run(
        client,
        "class Bad:\n    def __repr__(self): raise OSError('bad repr')\n"
        "display(Bad())\nprint('on')\n5",
    )

    assert result.get().data["text/plain"] == "5"
    assert result.stdout == "on\n"
    assert "bad repr" in result.stderr


def test_a_huge_value_or_display_is_left_out(client: Client) -> None:
    """With its size in its place."""
    result = run(client, "display('x' * 20_000_000)\n'y' * 20_000_000")

    assert "not shown: a display of 2000" in result.outputs[0]["data"]["text/plain"]
    assert "not shown: a value of 2000" in result.get().data["text/plain"]


def test_an_error_comes_with_ipythons_traceback(client: Client) -> None:
    """As text without colours, without IPython's own frames; the statements behind it do not run."""
    result = run(client, "before = 1\n1 / 0\nafter = 1")

    with pytest.raises(ZeroDivisionError) as caught:
        result.get()
    assert isinstance(caught.value, RemoteError)
    text = caught.value.traceback or ""
    assert "----> 2 1 / 0" in text
    assert "\x1b" not in text
    assert "run_code" not in text
    assert run(client, "before, 'after' in globals()").get().data["text/plain"] == "(1, False)"


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "exit()", "import sys; sys.exit()"])
def test_leaving_a_cell_does_not_end_the_engine(client: Client, code: str) -> None:
    """It is an error of the cell, namespace and all stay."""
    run(client, "kept = 1")
    with pytest.raises(RemoteError, match="SystemExit"):
        run(client, code).get()

    assert client[0]["kept"] == 1


def test_magics_and_commands_of_the_system(client: Client) -> None:
    """Silent or not; what they print is output."""
    assert run(client, "!echo one; echo two >&2", silent=True).stdout == "one\ntwo\n"
    assert run(client, "words = !echo a; echo b\nwords").get().data["text/plain"] == "['a', 'b']"
    assert "Wall time" in run(client, "%time x = 1").stdout
    with pytest.raises(RemoteError, match="nomagic"):
        run(client, "%nomagic").get()


@pytest.mark.parametrize(
    "code",
    [
        "{begun}\nwhile True: time.sleep(0.01)",
        "{begun}\nimport asyncio\nawait asyncio.sleep(600)",
        "{begun}\n!sleep 600",
        "{begun}\nx = !sleep 600",
    ],
)
def test_a_cell_is_interrupted(client: Client, tmp_path: Path, code: str) -> None:
    """Whatever it waits in; nothing of it goes on, and the engine is as before."""
    begun = tmp_path / "begun"
    setup = f"import pathlib, time; pathlib.Path({str(begun)!r}).touch()"
    run(client, "kept = 1")
    result = client[0].execute(code.format(begun=setup), silent=False)
    until(begun.exists, "the cell has begun")

    result.cancel()

    until(result.done, "the cell has ended")
    assert result.status == "aborted"
    assert run(client, "import asyncio; await asyncio.sleep(0); kept").get().data["text/plain"] == "1"


def test_an_engine_that_runs_ever_other_code_does_not_grow(client: Client) -> None:
    """The sources of old cells go."""
    run(client, "1")

    def run_many() -> int:
        import linecache

        from IPython import get_ipython

        for number in range(1500):
            get_ipython().run_cell(f"x = {number}", silent=True)
        return sum(name.startswith("<ipython-input") for name in linecache.cache)

    assert client[0].apply_sync(run_many) <= 1000


def test_clearing_leaves_the_shell_usable(client: Client) -> None:
    """Names are gone, history and magics are not."""
    run(client, "gone = 1")
    client[0].clear(block=True)

    with pytest.raises(NameError):
        run(client, "gone").get()
    assert run(client, "len(In) > 1").get().data["text/plain"] == "True"


def test_published_data_is_there_while_the_code_runs(client: Client, tmp_path: Path) -> None:
    """The last of each name; an object that cannot be pickled is an error of its own."""
    released = tmp_path / "released"

    def publish(released: str) -> None:
        import pathlib
        import time

        from ctrlhub.datapub import publish_data

        publish_data({"step": 1, "state": "early"})
        publish_data({"step": 2})
        while not pathlib.Path(released).exists():
            time.sleep(0.01)
        publish_data({"step": 3})

    result = client[0].apply_async(publish, str(released))
    until(lambda: result.data == {"step": 2, "state": "early"}, "the data has come")
    released.touch()
    result.get(WAIT)

    assert result.data == {"step": 3, "state": "early"}


def test_publishing_elsewhere_is_refused() -> None:
    """It says where it works."""
    from ctrlhub.datapub import publish_data

    with pytest.raises(RuntimeError, match="on an engine"):
        publish_data({"x": 1})


@pytest.mark.slow
def test_a_storm_of_interrupts_leaves_the_shell_whole(client: Client) -> None:
    """At whatever moment a cell is cancelled: it ends, and the next one runs, magics and all."""
    codes = [
        "for number in range(10**9): pass",
        "import asyncio\nawait asyncio.sleep(600)",
        "%time sum(range(1000))",
        "!sleep 600",
        "display(1)\n5",
        "1 / 0",
    ]
    run(client, "count = 0")
    for number in range(150):
        result = client[0].execute(codes[number % len(codes)], silent=number % 5 == 0)
        Event().wait(0.001 * (number % 7))
        result.cancel()
        following = client[0].execute("count += 1\ncount", silent=False)

        assert following.get(WAIT).data["text/plain"] == str(number + 1)
        assert result.done()
        if number % len(codes) in (0, 1, 3):  # they would go on for ever
            assert result.status == "aborted"
