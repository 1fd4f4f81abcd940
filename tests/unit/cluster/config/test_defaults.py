"""What a `Cluster` has where its arguments do not say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ctrlhub import Cluster
from ctrlhub.cluster.config.files import ConfigError
from ctrlhub.cluster.pool import HostCluster
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.places import Profile


@pytest.fixture(autouse=True)
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, which is not there yet; and no variables."""
    for name in [name for name in os.environ if name.startswith("CTRLHUB_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "user.toml"
    monkeypatch.setenv("CTRLHUB_CONFIG", str(path))
    return path


def write(path: Path, text: str) -> None:
    """Write a file that only its owner can write."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def hub_of(cluster: Cluster) -> HubConfig:
    """Return the options of its hub."""
    return cluster._hub


def test_nobody_says_anything() -> None:
    """Then all is as by default, with results in memory."""
    cluster = Cluster(1)
    assert hub_of(cluster) == HubConfig(store="memory")
    assert (cluster.launcher, cluster.launcher_options, cluster._timeout) == ("local", {}, 60.0)


def test_who_speaks_first_wins(user: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument over the environment, that over the profile's file, that over the user's, for each setting."""
    write(user, "[hub]\nhistory_records = 1\nhistory_age = 1\nmax_engines = 10\nbeat = 0.1\n[start]\nengines = 3\n")
    place = Profile.named("mine", tmp_path).directory
    write(place / "config.toml", "[hub]\nhistory_records = 2\nhistory_age = 2\nmax_engines = 20\n[start]\ntimeout = 7\n")
    monkeypatch.setenv("CTRLHUB_HUB_HISTORY_RECORDS", "3")
    monkeypatch.setenv("CTRLHUB_HUB_HISTORY_AGE", "3")

    cluster = Cluster(profile="mine", state_dir=tmp_path, history_records=4)

    hub = hub_of(cluster)
    assert (hub.history_records, hub.history_age, hub.max_engines, hub.beat) == (4, 3.0, 20, 0.1)
    assert (cluster.n, cluster._timeout) == (3, 7.0)
    other = Cluster(1, profile="other", state_dir=tmp_path, max_engines=5, timeout=1)
    assert (hub_of(other).max_engines, hub_of(other).history_age, other.n, other._timeout) == (5, 3.0, 1, 1)


def test_what_is_called_otherwise(user: Path) -> None:
    """Settings have the names of options, and the hub's fields those of its code; the gateway's are a part of it."""
    write(
        user,
        '[hub]\nscheme = "lru"\ntask_order = "lifo"\n[log]\nformat = "json"\nmax_bytes = "1M"\n'
        '[http]\nrate = 7\nhosts = ["hub.example"]\n',
    )
    hub = hub_of(Cluster(1))
    assert (hub.task_scheme, hub.task_order, hub.log_format, hub.log_max_bytes) == ("lru", "lifo", "json", 1 << 20)
    assert (hub.http.rate, hub.http.hosts) == (7.0, ("hub.example",))
    assert hub_of(Cluster(1, scheme="twobin")).task_scheme == "twobin"
    assert hub_of(Cluster(1, http="auto")).http.rate != 7.0  # an argument is the whole of it


def test_several_private_clusters_share_nothing(user: Path, tmp_path: Path) -> None:
    """A store, ports and the gateway's port are one cluster's: one with a profile has them, a private one does not."""
    write(user, '[hub]\nstore = "sqlite:/scratch/me"\nlisten = "127.0.0.1"\nport_range = "40000-40004"\n[http]\nlisten = "8888"\n')
    private, named = hub_of(Cluster(1)), hub_of(Cluster(1, profile="mine", state_dir=tmp_path))
    assert (private.store, private.ports, private.http.listen) == ("memory", None, "demand")
    assert (named.store, named.ports, named.http.listen) == ("sqlite:/scratch/me", (40000, 40004), "8888")
    assert private.listen == named.listen == "127.0.0.1"
    assert hub_of(Cluster(1, store="sqlite")).store == "sqlite"


def test_how_engines_are_started(user: Path) -> None:
    """A launcher has the options that are its own; one that is given by name, or some of its options, as well."""
    write(
        user,
        '[hub]\nlisten = "127.0.0.1"\n[launcher]\nlauncher = "slurm"\nqueue = "long"\nengines_per_node = 2\n'
        'prologue = ["module load python"]\noptions = ["environment=A=1"]\n',
    )
    cluster = Cluster(4)
    assert cluster.launcher == "slurm"
    assert cluster.launcher_options == {
        "queue": "long", "engines_per_node": "2", "prologue": ["module load python"], "environment": "A=1",
    }  # fmt: skip
    assert Cluster(4, launcher_options={"queue": "short"}).launcher_options["queue"] == "short"
    local = Cluster(4, launcher="local")
    assert (local.launcher, local.launcher_options) == (
        "local", {"prologue": ["module load python"], "environment": "A=1"},
    )  # fmt: skip
    assert Cluster(4, engines="PBS").launcher == "pbs"


def test_an_executor_has_nothing_of_what_is_for_other_hosts(user: Path) -> None:
    """Its cluster is whole on this host, which may not have that address or Python; the rest it has."""
    write(
        user,
        '[hub]\nlisten = "192.0.2.7"\nlocation = "far.example"\nssh = "me@far.example"\nhistory_age = 2\n[start]\ntimeout = 7\n'
        '[launcher]\nlauncher = "slurm"\npython = "/far/python"\nprologue = ["module load python"]\n',
    )
    cluster = HostCluster(2, max_engines=5)
    hub = hub_of(cluster)
    assert hub == HubConfig(store="memory", max_engines=5, history_age=2.0)
    assert (cluster.launcher, cluster.launcher_options, cluster.n, cluster._timeout) == ("local", {}, 2, 7.0)


def test_none_says_nothing(user: Path, tmp_path: Path) -> None:
    """Of whichever argument."""
    write(user, '[hub]\nlisten = "127.0.0.1"\nport_range = "40000-40004"\nhistory_age = 2\n[http]\nrate = 7\n')
    hub = hub_of(Cluster(1, profile="mine", state_dir=tmp_path, listen=None, ports=None, history_age=None, http=None))
    assert (hub.listen, hub.ports, hub.history_age, hub.http.rate) == ("127.0.0.1", (40000, 40004), 2.0, 7.0)


def test_what_is_wrong_is_said(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file and the line, or the variable."""
    write(user, "[hub]\nhistory_record = 1\n")
    with pytest.raises(ConfigError, match=r"user\.toml, line 2: \[hub\] has no 'history_record'; it has 'history_records'"):
        Cluster(1)
    write(user, "")
    monkeypatch.setenv("CTRLHUB_HUB_HISTORY_AGE", "soon")
    with pytest.raises(ValueError, match="CTRLHUB_HUB_HISTORY_AGE"):
        Cluster(1)
