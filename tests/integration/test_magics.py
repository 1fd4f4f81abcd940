"""`%px` and its family, in a real Jupyter kernel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notebook import Kernel, new_kernel
from tests.support.processes import until
from tests.support.state import own_state

START = """
import ctrlhub as ipp
cluster = ipp.Cluster(n=3)
rc = cluster.start_and_connect_sync()
view = rc[:]
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A notebook with a cluster of three engines, whose client was the first."""
    directory = tmp_path_factory.mktemp("state")
    with own_state(directory), pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        with new_kernel() as kernel:
            assert kernel.run(START).status == "ok"
            yield kernel
            assert kernel.run("cluster.stop()").status == "ok"


@pytest.fixture(autouse=True)
def _defaults(kernel: Kernel) -> Iterator[None]:
    """Leave the magics as they were."""
    yield
    kernel.run("rc.activate()")


def value(kernel: Kernel, expression: str) -> str:
    """Return the repr of an expression in the notebook."""
    ran = kernel.run(expression)
    assert ran.status == "ok", ran.evalue
    text: str = ran.data("text/plain")[-1]
    return text


def test_the_first_client_brings_the_magics(kernel: Kernel) -> None:
    """In IPython `%px` works as soon as there is a client, on all of its engines, and waits."""
    ran = kernel.run("%px import os; a = os.getpid()")
    assert (ran.status, ran.outputs) == ("ok", [])
    assert value(kernel, "len(set(view['a']))") == "3"


def test_a_second_client_leaves_them_alone(kernel: Kernel) -> None:
    """The magics stay those of the first client, as long as that is open."""
    code = "magics = get_ipython().magics_manager.magics['line']\nother = cluster.connect_client_sync()"
    kernel.run(code)
    assert value(kernel, "magics['px'].__self__.view.client is rc") == "True"
    kernel.run("other.close()")


def test_a_client_replaces_one_that_is_closed(kernel: Kernel) -> None:
    """Once the client of `%px` is closed the next one takes its place."""
    kernel.run("gone = cluster.connect_client_sync(); gone.activate(); gone.close()")
    kernel.run("other = cluster.connect_client_sync()")
    assert kernel.run("%px print(5)").text().count("5") == 3
    kernel.run("other.close()")


def test_output_says_where_it_is_from(kernel: Kernel) -> None:
    """Each engine's text is labelled; standard output and error stay apart."""
    ran = kernel.run("%%px\nimport sys\nprint('hello')\nprint('oh', file=sys.stderr)")
    for engine in range(3):
        assert f"[stdout:{engine}] hello" in ran.text()
        assert f"[stderr:{engine}] oh" in ran.text("stderr")


def test_targets(kernel: Kernel) -> None:
    """A cell can name its engines: one, several, a slice, all; and a wrong name is an error."""
    for text, count in (("0", 1), ("0,2", 2), ("[1,2]", 2), ("::2", 2), ("1:", 2), ("all", 3)):
        kernel.run("view['n'] = 0")
        assert kernel.run(f"%%px -t {text}\nn = 1").status == "ok"
        assert value(kernel, "sum(view['n'])") == str(count)
    for text in ("9", "nothing", "'x'"):
        assert "--targets" in kernel.run(f"%%px --targets {text}\nn = 1").text("stderr")


def test_not_waiting(kernel: Kernel) -> None:
    """With -a a cell gives an `AsyncResult`, which -o keeps; %pxresult shows its output."""
    ran = kernel.run("%%px -a -o res\nimport time\ntime.sleep(0.2)\nprint('later')")
    assert ran.data("text/html")
    assert value(kernel, "rc.wait(res)") == "True"
    assert kernel.run("%pxresult").text().count("later") == 3
    assert kernel.run("%result").text().count("later") == 3
    kernel.run("%pxresult -o kept")
    assert value(kernel, "kept is res") == "True"


def test_an_error_is_shown_once(kernel: Kernel) -> None:
    """What came live is not shown again; without streaming the traceback is the engine's."""
    ran = kernel.run("%px 1/0")
    assert ran.ename == "AlreadyDisplayedError"
    assert "division by zero" in ran.text("stderr")
    ran = kernel.run("%%px --no-stream\n1/0")
    assert ran.ename == "CompositeError"
    traceback = "\n".join(ran.outputs[-1]["traceback"])
    assert "ZeroDivisionError" in traceback
    assert "magics.py" not in traceback


def test_the_death_of_an_engine_is_shown_once(kernel: Kernel) -> None:
    """It is told how the engine ended, and the next one in its place is used."""
    ran = kernel.run("%%px -t 2\nimport os\nos._exit(3)")
    assert ran.ename == "AlreadyDisplayedError"
    assert ran.text("stderr").count("exit code 3") == 1
    assert kernel.run("rc.wait_for_engines(3, timeout=60)").status == "ok"
    assert kernel.run("%px print('alive')").text().count("alive") == 3


def test_a_value_is_shown(kernel: Kernel) -> None:
    """The value that a cell ends with is shown for each engine."""
    texts = kernel.run("%%px --no-stream\n6 * 7").data("text/plain")
    assert sum("42" in text for text in texts) == 3


def test_pxconfig(kernel: Kernel) -> None:
    """Settings hold for every later `%px`."""
    kernel.run("%pxconfig --targets 1 --verbose --noblock")
    ran = kernel.run("%px n = 7")
    assert "Async parallel execution on engine(s) 1" in ran.text()
    assert value(kernel, "rc[1]['n']") == "7"
    kernel.run("%pxconfig --no-verbose --block --targets all --no-stream --progress-after -1")
    assert kernel.run("%px print('x')").text().count("x") == 3


def test_autopx(kernel: Kernel) -> None:
    """Between two `%autopx` cells run on the engines, but those with magics of ours."""
    kernel.run("where = 'here'")
    assert "enabled" in kernel.run("%autopx").text()
    assert kernel.run("where = 'there'\nprint(where)").text().count("there") == 3
    assert kernel.run("%pxconfig --no-verbose").status == "ok"
    assert "disabled" in kernel.run("%autopx").text()
    assert value(kernel, "where, view['where']") == "('here', ['there', 'there', 'there'])"


def test_local(kernel: Kernel) -> None:
    """With --local a cell runs here, too."""
    kernel.run("%%px --local\nboth = 3")
    assert value(kernel, "both, view['both']") == "(3, [3, 3, 3])"


def test_suffixes(kernel: Kernel) -> None:
    """Several views can have magics of their own."""
    kernel.run("rc[::2].activate('_even'); rc.activate([1], '_odd')")
    kernel.run("view['n'] = 0")
    kernel.run("%%px_even --block\nn = 1")
    kernel.run("%px_odd n = 2")
    assert value(kernel, "view['n']") == "[1, 2, 1]"
    ran = kernel.run("rc[:].activate('-')")
    assert ran.ename == "ValueError"


def test_a_wrong_flag(kernel: Kernel) -> None:
    """A flag that does not exist is named, and nothing runs."""
    assert "--nonsense" in kernel.run("%%px --nonsense\n1").text("stderr")
    assert (
        "whole cells" in kernel.run("get_ipython().magics_manager.magics['cell']['px']('')").evalue
    )


def test_a_notebook_has_widgets(kernel: Kernel) -> None:
    """A progress bar is a widget where ipywidgets is there."""
    ran = kernel.run("ok = view.map_async(abs, range(6)).wait_interactive()")
    assert ran.data("application/vnd.jupyter.widget-view+json")


def all_run(directory: Path) -> bool:
    """Whether each engine has written its file."""
    return len(list(directory.iterdir())) == 3


def interrupt_twice(kernel: Kernel) -> None:
    """Press Ctrl-C, and once more when the first has been heard."""
    kernel.interrupt()
    kernel.shown("once more returns at once")
    kernel.interrupt()


def test_ctrl_c_interrupts_the_engines(kernel: Kernel, tmp_path: Path) -> None:
    """The engines' code is interrupted, the cell ends, and the engines live on with their names."""
    kernel.run("%px n = 11")
    started = f"open({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close()"
    # On one line: it is interrupted there, whether it has begun to sleep or is about to.
    request = kernel.start(f"%%px\nimport os, time\n{started}; time.sleep(600)")
    until(lambda: all_run(tmp_path), "all engines run it")
    kernel.interrupt()
    ran = kernel.finish(request)
    assert ran.ename == "Interrupted"
    assert "sending SIGINT to all engines" in ran.text("stderr")
    assert ran.text("stderr").count("----> 2 open(") == 3
    assert ran.text("stderr").count("KeyboardInterrupt:") >= 3
    assert value(kernel, "view['n']") == "[11, 11, 11]"


HASTY = """
import os, signal
kind = type(view)
execute = kind.execute
def struck(*args, **options):
    result = execute(*args, **options)
    os.kill(os.getpid(), signal.SIGINT)
    return result
kind.execute = struck
"""


def test_ctrl_c_before_the_wait_interrupts_the_engines(kernel: Kernel) -> None:
    """Nothing goes on there of a cell that was interrupted as soon as it was sent."""
    kernel.run(HASTY)
    ran = kernel.run("%%px\nimport time; time.sleep(600)")
    kernel.run("kind.execute = execute")
    assert ran.ename == "Interrupted"
    assert "sending SIGINT to all engines" in ran.text("stderr")
    assert value(kernel, "view.apply_sync(lambda: 1)") == "[1, 1, 1]"


def test_ctrl_c_says_where_also_without_streaming(kernel: Kernel, tmp_path: Path) -> None:
    """And in code that awaits, without what the interrupt brought about in between."""
    started = f"import asyncio, os\nopen({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close()"
    request = kernel.start(f"%%px --no-stream\n{started}\nawait asyncio.sleep(600)")
    until(lambda: all_run(tmp_path), "all engines run it")
    kernel.interrupt()
    ran = kernel.finish(request)
    assert ran.ename == "Interrupted"
    assert ran.text("stderr").count("KeyboardInterrupt") >= 3
    assert value(kernel, "view.apply_sync(lambda: 1)") == "[1, 1, 1]"


def test_ctrl_c_twice_returns(kernel: Kernel, tmp_path: Path) -> None:
    """Code that does not heed interrupts is left to itself by the second one."""
    started = f"import os, time\nopen({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close()"
    stubborn = (
        f"end = {str(tmp_path)!r} + '/end'\n"
        "while not os.path.exists(end):\n"
        "    try:\n        time.sleep(0.05)\n    except KeyboardInterrupt:\n        pass"
    )
    request = kernel.start(f"%%px\n{started}\n{stubborn}")
    until(lambda: all_run(tmp_path), "all engines run it")
    interrupt_twice(kernel)
    assert kernel.finish(request).status == "error"
    (tmp_path / "end").touch()
    assert value(kernel, "rc.wait(timeout=60)") == "True"
    assert kernel.run("%px print('alive')").text().count("alive") == 3


def test_another_signal(kernel: Kernel, tmp_path: Path) -> None:
    """Ctrl-C can send the engines any signal; one that does not exist is refused at once."""
    started = f"import os, time\nopen({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close()"
    handled = "import signal\nn = None\ndef handle(*_):\n    global n\n    n = 'handled'\n"
    handled += "signal.signal(signal.SIGUSR1, handle)\n"
    rest = "while n is None: time.sleep(0.02)"
    request = kernel.start(f"%%px --signal-on-interrupt sigusr1\n{handled}{started}\n{rest}")
    until(lambda: all_run(tmp_path), "all engines run it")
    kernel.interrupt()
    assert kernel.finish(request).ename == "Interrupted"
    assert value(kernel, "view['n']") == "['handled', 'handled', 'handled']"
    assert "no signal" in kernel.run("%%px --signal-on-interrupt SIGWHAT\n1").text("stderr")


def test_no_signal(kernel: Kernel, tmp_path: Path) -> None:
    """With 0 as signal Ctrl-C only stops waiting once it is repeated."""
    started = f"import os, time\nopen({str(tmp_path)!r} + f'/{{os.getpid()}}', 'w').close()"
    rest = f"while not os.path.exists({str(tmp_path)!r} + '/end'): time.sleep(0.05)\nn = 'done'"
    request = kernel.start(f"%%px --signal-on-interrupt 0\n{started}\n{rest}")
    until(lambda: all_run(tmp_path), "all engines run it")
    interrupt_twice(kernel)
    assert kernel.finish(request).status == "error"
    (tmp_path / "end").touch()
    assert value(kernel, "rc.wait(timeout=60)") == "True"
    assert value(kernel, "view['n']") == "['done', 'done', 'done']"


def test_outside_ipython(capsys: pytest.CaptureFixture[str]) -> None:
    """In a plain script `activate` warns, and does nothing."""
    from tests.unit.client.support import HubLink

    with HubLink().client() as client, pytest.warns(UserWarning, match="IPython"):
        client.activate()


def test_a_cell_is_cleared_by_its_engine(kernel: Kernel) -> None:
    """What other engines have put out stays."""
    one = kernel.run(
        "%%px -t 0\nfrom IPython.display import clear_output\n"
        "for step in range(3):\n    clear_output(wait=True)\n    print('step', step)"
    )
    assert one.status == "ok"
    assert (one.cleared, one.left()) == (3, "step 2\n")

    several = kernel.run(
        "%%px\nfrom IPython.display import clear_output\nprint('early')\n"
        "clear_output()\nprint('late')"
    )
    assert several.cleared == 3
    assert (several.left().count("early"), several.left().count("late")) == (0, 3)


def test_a_display_is_updated_where_it_is(kernel: Kernel) -> None:
    """That of each engine by itself, also by a later cell."""
    ran = kernel.run(
        "%%px\nfrom IPython.display import display, update_display\n"
        "display('first', display_id='it')\nupdate_display('second', display_id='it')"
    )
    assert ran.status == "ok"
    assert ran.displays() == {f"it@engine-{engine}": "'second'" for engine in range(3)}

    later = kernel.run("%px update_display('third', display_id='it')")
    assert later.displays() == {f"it@engine-{engine}": "'third'" for engine in range(3)}


def test_a_widget_is_shown_as_text(kernel: Kernel) -> None:
    """A notebook has no line to what lives on an engine."""
    ran = kernel.run(
        "%%px -t 0\nclass Widget:\n    def _repr_mimebundle_(self, **options):\n"
        "        return {'text/plain': 'Slider(value=3)',"
        " 'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}}\n"
        "display(Widget())\nWidget()"
    )
    shown = ran.data("text/plain")
    assert [text.rpartition(": ")[2] for text in shown] == ["Slider(value=3)"] * 2
    assert ran.data("application/vnd.jupyter.widget-view+json") == []
