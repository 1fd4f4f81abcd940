"""An interface of one's own: found by its entry point, served over every transport."""

from __future__ import annotations

import configparser
import platform
import sys
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.controller.config import HubConfig
from ctrlhub.controller.hub import Hub
from ctrlhub.controller.interfaces.finding import GROUP, find_interfaces
from ctrlhub.controller.loop import HubLoop
from ctrlhub.controller.stores.memory import MemoryStore
from ctrlhub.controller.transports.memory import MemoryTransport
from ctrlhub.link.base import Link
from ctrlhub.wire.errors import InvalidRequest, UnknownInterface

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_interface"
INTERFACES = ("multiengine", "control", "start_hooks", "logs", "tasks", "query", "hosts")


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The example as `pip install` would leave it, here and in every process started from here.

    Without pip, which wants to download what builds it.
    """
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    name, version = project["project"]["name"], project["project"]["version"]
    modules = project["tool"]["setuptools"]["py-modules"]
    site = tmp_path / "site"
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = configparser.ConfigParser()
    points.optionxform = str  # type: ignore[assignment, method-assign]
    points.read_dict(project["project"]["entry-points"])
    with (metadata / "entry_points.txt").open("w") as file:
        points.write(file)
    for module in modules:
        source = EXAMPLE / f"{module}.py"
        (site / source.name).write_text(source.read_text())
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", str(site))
    yield site
    for module in modules:
        sys.modules.pop(module, None)


@pytest.fixture
def memory_client(installed: Path) -> Iterator[Client]:
    """A client of a hub in this process, in a thread of its own, over memory."""
    transport = MemoryTransport()
    started = threading.Event()
    hubs: list[Hub] = []

    def serve() -> None:
        loop = HubLoop()
        hubs.append(Hub(HubConfig(interfaces=INTERFACES), [transport], MemoryStore(), loop=loop))
        loop.soon(started.set)
        hubs[0].run()

    thread = threading.Thread(target=serve, name="hub")
    thread.start()
    try:
        assert started.wait(60)
        link: Link = transport.connect()
        with Client._on_link(link) as client:
            yield client
    finally:
        hubs[0].stop("the test is over")
        thread.join(60)
        assert not thread.is_alive()


def test_it_is_found_by_its_entry_point(installed: Path) -> None:
    """The configuration names it, the installed package says where it is."""
    [found] = find_interfaces(["hosts"])
    assert found.name == "hosts"
    assert found.__module__ == "hosts_interface"


def test_a_package_that_is_not_installed_is_missed_by_name() -> None:
    """The error names what there is."""
    with pytest.raises(ValueError, match=r"no interface 'hosts'; there are: .*query"):
        find_interfaces(["hosts"])


def test_the_group_is_the_one_that_is_documented(installed: Path) -> None:
    """The example's entry point stands in the group that a hub looks into."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())
    assert list(project["project"]["entry-points"]) == [GROUP]


def test_it_is_thirty_lines() -> None:
    """It stays as small as its README says: lines of code, without blank ones and docstrings."""
    lines = (EXAMPLE / "hosts_interface.py").read_text().splitlines()
    assert len([line for line in lines if line.strip() and '"""' not in line]) <= 30


def test_it_is_served_over_memory(memory_client: Client) -> None:
    """Within one process, without a socket."""
    hosts = memory_client.interface("hosts")
    assert hosts.came() == {}
    assert list(hosts.on(host=platform.node())) == []


def test_it_is_listed_with_its_methods(memory_client: Client) -> None:
    """A client can ask which interfaces there are, and what they offer."""
    listed = memory_client.interface("query").interfaces()
    assert sorted(listed) == sorted(INTERFACES)
    assert list(listed["hosts"]) == ["came", "on"]


def test_only_what_is_exposed_can_be_called(memory_client: Client) -> None:
    """The controller's own methods are no business of clients."""
    hosts = memory_client.interface("hosts")
    for method in ("unregister_engine", "register_engine", "engine", "call", "nothing"):
        with pytest.raises(UnknownInterface, match="came, on"):
            getattr(hosts, method)(id=0)


def test_wrong_arguments_are_refused(memory_client: Client) -> None:
    """The error names the method and what is wrong with the arguments."""
    hosts = memory_client.interface("hosts")
    with pytest.raises(InvalidRequest, match=r"hosts\.on: missing .* 'host'"):
        hosts.on()
    with pytest.raises(InvalidRequest, match=r"hosts\.came: .*'host'"):
        hosts.came(host="node1")


@pytest.mark.parametrize("prefer", ["ipc", "tcp"])
def test_it_is_served_over_zeromq(installed: Path, state: Path, prefer: str) -> None:
    """By a hub process with engines, over ipc and over TCP with keys."""
    with Cluster(n=2, interfaces=INTERFACES, prefer=prefer) as client:  # type: ignore[arg-type]
        hosts = client.interface("hosts")
        assert hosts.came() == {platform.node(): 2}
        assert list(hosts.on(host=platform.node())) == [0, 1]
        assert client[:].apply_sync(pow, 2, 3) == [8, 8], "the others are exposed as well"


def test_it_is_not_exposed_unless_it_is_named(installed: Path, state: Path) -> None:
    """To be installed is not enough."""
    with (
        Cluster(n=0) as client,
        pytest.raises(UnknownInterface, match=r"'hosts'.*multiengine, .*query, sessions, start_hooks, tasks"),
    ):
        client.interface("hosts").came()
