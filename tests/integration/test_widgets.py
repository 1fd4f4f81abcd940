"""Widgets of clusters in a real kernel, moved by the messages that a frontend sends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.cluster.listing import list_clusters
from tests.support.front import Front
from tests.support.notebook import Kernel, new_kernel
from tests.support.state import own_state

pytest.importorskip("ipywidgets")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the clusters of these tests have their state."""
    with own_state(tmp_path_factory.mktemp("state")) as directory:
        yield directory


@pytest.fixture(scope="module")
def kernel(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose clusters are there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        with new_kernel() as running:
            running.run("import os, pathlib, threading\nimport ctrlhub")
            yield running


@pytest.fixture
def front(kernel: Kernel) -> Iterator[Front]:
    """A frontend; nothing is left of its widgets, their threads or its clusters."""
    front = Front(kernel)
    yield front
    front.run(
        "import ipywidgets\nipywidgets.Widget.close_all()\n"
        "for each in tuple(ctrlhub.cluster.starting.running): each.stop()"
    )
    front.until(lambda: threads(front) == [], "no thread is left")


def threads(front: Front) -> list[str]:
    """Return the threads of widgets that there are in the kernel."""
    front.run("print(*(each.name for each in threading.enumerate() if each.name.startswith('ctrlhub-widget')))")
    return front.printed.split()


def started(front: Front, profile: str, *, n: int = 1, lasts: bool = False) -> str:
    """Start a cluster by the form of `ctrlhub.widget`, as a person does, and return the widget."""
    front.run("ctrlhub.widget()")
    shown = front.displayed[-1]
    front.update(shown, _view_count=1)
    form = front.around(shown, "launcher", "goes on when this kernel ends")
    front.update(front.find(form, "engines"), value=n)
    front.update(front.find(form, "profile"), value=profile)
    front.update(front.find(form, "goes on when this kernel ends"), value=lasts)
    front.click(front.find(form, "Start"))
    front.until(lambda: front.finds(shown, "Scale"), "it runs, and can be scaled")
    return shown


def test_a_cluster_from_its_start_to_its_end(front: Front, state: Path) -> None:
    """The form starts a cluster; its engines are shown, made more and fewer, and ended with the hub."""
    shown = started(front, "made")
    assert [each.profile for each in list_clusters(state)] == ["made"]
    front.until(lambda: "1 engine:" in front.text_of(shown), "an engine is shown")
    detail = front.around(shown, "Scale", "Adapt")
    front.update(front.find(detail, "engines"), value=3)
    front.click(front.find(detail, "Scale"))
    front.until(lambda: "3 engines: 3 idle" in front.text_of(detail), "three engines are shown")
    with Client(profile="made") as client:
        assert client.ids == [0, 1, 2]
    front.update(front.find(detail, "engines"), value=1)
    front.click(front.find(detail, "Scale"))
    front.until(lambda: "1 engine: 1 idle" in front.text_of(detail), "one engine is shown")
    front.click(front.find(detail, "Stop"))
    front.until(lambda: "not running" in front.text_of(detail), "its end is shown")
    assert list_clusters(state) == []


def test_it_is_live_while_a_cell_runs(front: Front, tmp_path: Path) -> None:
    """What others do is shown although the kernel is busy, and by itself; unseen, nothing is looked at."""
    with Cluster(n=1, profile="theirs", progress=False) as client:
        front.run("shown = ctrlhub.Cluster.from_file(profile='theirs').widget()\nshown")
        shown = front.displayed[-1]
        front.update(shown, _view_count=1)
        front.until(lambda: "1 engine: 1 idle" in front.text_of(shown), "an engine is shown")
        gate = tmp_path / "gate"
        front.begin(f"while not pathlib.Path({str(gate)!r}).exists(): threading.Event().wait(0.01)")
        client.cluster.scale(2)
        front.until(lambda: "2 of 1 engines: 2 idle" in front.text_of(shown), "two engines are shown")
        assert "href" not in front.text_of(shown)
        link = client.dashboard_link
        front.until(lambda: f'href="{link}"' in front.text_of(shown), "the dashboard is linked once it serves")
        assert f'href="{link}"' in client._repr_html_()
        assert f'href="{link}"' in client[:]._repr_html_()
        assert f'href="{link}"' in client.cluster._repr_html_()
        assert client.cluster.dashboard_link == link
        assert front.running
        gate.touch()
        front.until(lambda: not front.running, "the cell ends")
        front.update(shown, _view_count=0)
        front.until(lambda: threads(front) == [], "nobody looks any more")
        client.cluster.scale(1)
        front.run("shown.cluster.leave()")
        assert "2 of 1 engines" in front.text_of(shown)
        front.update(shown, _view_count=1)
        front.until(lambda: "1 engine: 1 idle" in front.text_of(shown), "it is seen again")
        front.run("shown.close()\nshown.cluster.leave()")
        assert shown not in front.models


def test_one_that_goes_on(front: Front, state: Path) -> None:
    """A cluster can outlive the kernel; it is found, adapts to its queue, and is stopped like the others."""
    shown = started(front, "lasting", lasts=True)
    front.until(lambda: "supervised" in front.text_of(shown), "it says what it lives with")
    detail = front.around(shown, "Scale", "Adapt")
    front.update(front.find(detail, "at most"), value=2)
    front.update(front.find(detail, "Adapt"), value=True)
    front.until(lambda: "Adapter: 0 to 2" in front.text_of(detail), "it adapts")
    front.update(front.find(detail, "Adapt"), value=False)
    front.until(lambda: "Adapter" not in front.text_of(detail), "it adapts no longer")
    front.click(front.find(detail, "Stop"))
    front.until(lambda: "not running" in front.text_of(detail), "its end is shown")
    assert list_clusters(state) == []


def test_errors_are_shown(front: Front) -> None:
    """What cannot be done is said in the widget, as text, and the next thing that goes well takes it away."""
    front.run("ctrlhub.widget()")
    shown = front.displayed[-1]
    front.update(front.find(shown, "options"), value="<b>nothing</b>")
    front.click(front.find(shown, "Start"))
    front.until(lambda: "is not NAME = VALUE" in front.text_of(shown), "the line is refused")
    assert "&lt;b&gt;nothing" in front.text_of(shown)
    front.update(front.find(shown, "options"), value="color = red")
    front.click(front.find(shown, "Start"))
    front.until(lambda: "has no option" in front.text_of(shown), "the option is refused")
    front.run("one = ctrlhub.Cluster(1, profile='again', progress=False)\none.start()\none.widget()")
    other = front.displayed[-1]
    front.update(front.find(other, "engines"), value=1000)
    front.click(front.find(other, "Scale"))
    front.until(lambda: 'role="alert"' in front.text_of(other), "the hub's limit is told")
    assert "511" in front.text_of(other)
    front.update(front.find(other, "engines"), value=1)
    front.click(front.find(other, "Scale"))
    front.until(lambda: 'role="alert"' not in front.text_of(other), "all is well again")


RACE = """
from concurrent.futures import ThreadPoolExecutor
from ctrlhub.cluster.attached import AttachedCluster
from ctrlhub.cluster.widgets import several

left = []
class Attached(AttachedCluster):
    def __init__(self): self.n = 1
    def leave(self): left.append(self)

class Slow:
    def __init__(self, cluster): self.cluster = cluster; together.wait(60)
    def close(self): pass

together = threading.Event()
widget = ctrlhub.widget()
shown, several.ClusterWidget = several.ClusterWidget, Slow
widget._list_choices = widget._put = lambda *_: None
many = [Attached() for _ in range(8)]
with ThreadPoolExecutor(8) as pool:
    acts = [pool.submit(widget._show, "one", each) for each in many]
    closing = threading.Thread(target=widget.close)
    while not widget._taking.locked(): pass
    closing.start()
    together.set()
    for each in acts: each.result()
    closing.join()
widget._show("late", Attached())
several.ClusterWidget = shown
print(len(left), len({*map(id, left)}), len(widget._widgets))
"""


def test_clusters_that_come_at_once_or_too_late(front: Front) -> None:
    """One of those that were attached for the same choice is shown, and the others are left; so are all in the end."""
    front.run(RACE)
    assert front.printed.split() == ["9", "9", "0"]


def test_a_hub_that_dies(front: Front) -> None:
    """The widget says that it is over, and how; what is left is cleared away, and it can be started again."""
    front.run("one = ctrlhub.Cluster(1, profile='dying', progress=False)\none.start()\nprint(one.pids['hub'])\none.widget()")
    shown, hub = front.displayed[-1], int(front.printed)
    front.update(shown, _view_count=1)
    front.until(lambda: "1 engine: 1 idle" in front.text_of(shown), "an engine is shown")
    os.kill(hub, signal.SIGKILL)
    front.until(lambda: "over, its hub" in front.text_of(shown), "its end is shown")
    front.click(front.find(shown, "Stop"))
    front.until(lambda: "not running" in front.text_of(shown), "it is cleared away")
    front.click(front.find(shown, "Start"))
    front.until(lambda: "1 engine: 1 idle" in front.text_of(shown), "it runs again")


def test_a_cluster_is_its_widget(front: Front, kernel: Kernel) -> None:
    """A cluster in the last line of a cell is its widget, with a table for who has none; the same each time."""
    front.run("mine = ctrlhub.Cluster(1, profile='mine')\nmine")
    shown = front.displayed[-1]
    front.run("mine")
    assert front.displayed[-1] == shown
    assert "not running" in front.text_of(shown)
    told = kernel.run("print(sorted(mine._repr_mimebundle_()))").text()
    assert "text/html" in told
    assert "text/plain" in told
    quiet = kernel.run("os.environ['CTRLHUB_NONINTERACTIVE'] = '1'\nmine")
    assert quiet.data("application/vnd.jupyter.widget-view+json") == []
    assert "not running" in quiet.data("text/html")[0]
    kernel.run("del os.environ['CTRLHUB_NONINTERACTIVE']")
