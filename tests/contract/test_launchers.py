"""One behavioural suite for every launcher: what is started runs, is found again, and ends."""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ctrlhub import Client, Cluster
from ctrlhub.cluster.errors import ClusterError, LauncherError
from ctrlhub.cluster.launchers.base import Launcher, Phase
from ctrlhub.cluster.launchers.records import SetRecord, load_record, save_record
from ctrlhub.cluster.launchers.registry import launcher_named, launcher_names
from ctrlhub.cluster.launchers.sets import (
    engine_token,
    known_sets,
    make_set,
    restart_set,
    start_part,
    start_set,
    stop_sets,
)
from ctrlhub.wire.places import Profile
from tests.support.launching import SITES, THOROUGH, HTCondorSite, KubernetesSite, Site, SshSite
from tests.support.processes import until
from tests.support.state import own_state

everywhere = pytest.mark.parametrize(
    "site", SITES, indirect=True, scope="module", ids=lambda site: site.launcher
)
thoroughly = pytest.mark.parametrize(
    "site", THOROUGH, indirect=True, scope="module", ids=lambda site: site.launcher
)
"""What all launchers do alike is shown on a host, and on a batch system."""
wherever_commands_differ = pytest.mark.parametrize(
    "site", [*THOROUGH, SshSite, KubernetesSite, HTCondorSite], indirect=True, scope="module",
    ids=lambda site: site.launcher,
)  # fmt: skip
"""What a nanny's command has to say, for each way of making one."""


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    require_system_part: Any,
) -> Iterator[Site]:
    """Where a launcher works: its batch system, real or a stand-in, and its options."""
    kind: type[Site] = request.param
    require_system_part(*kind.needs())
    with kind(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def cluster(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A hub without engines, for the tests of the module."""
    with own_state(tmp_path_factory.mktemp("state")):
        cluster = Cluster(n=0, profile="launched", listen="127.0.0.1")
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()


@pytest.fixture
def profile(cluster: Cluster) -> Iterator[Profile]:
    """The hub's profile; whatever a test has started is ended."""
    profile = Profile.named("launched")
    yield profile
    stop_sets(known_sets(profile).launchers)
    until(lambda: not cluster.client.ids, "the hub has no engines")


@pytest.fixture
def client(cluster: Cluster) -> Client:
    """Who sees the engines."""
    return cluster.client


def made(site: Site, profile: Profile, n: int = 2, **options: Any) -> Launcher:
    """Make a set, with what this place needs."""
    return make_set(profile, site.launcher, n, {**site.options, **options})


def started(site: Site, profile: Profile, client: Client, n: int = 2, **options: Any) -> Launcher:
    """Start a set, and wait until its engines are there."""
    launcher = made(site, profile, n, **options)
    before = len(client.ids)
    start_set(launcher)
    until(lambda: len(client.ids) == before + n, f"{n} engines, but {launcher.state()}")
    return launcher


def taken_up(launcher: Launcher, profile: Profile) -> Launcher:
    """Return the set as another process finds it."""
    (found,) = known_sets(profile).named(launcher.spec.key)
    assert found is not launcher
    return found


def command_lines() -> str:
    """Return the command lines of all processes, as everybody can see them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode("utf-8", "replace"))
        except OSError:
            continue
    return "\n".join(found)


@everywhere
def test_the_plan_is_told_and_nothing_is_started(site: Site, profile: Profile) -> None:
    """It names the engines' command, holds no secret, and leaves no record."""
    launcher = made(site, profile)

    plan = launcher.plan()

    assert "--token-stdin" in plan
    assert engine_token(profile, launcher.is_remote) not in plan
    assert known_sets(profile).launchers == []
    assert not launcher.directory.exists()


@everywhere
def test_engines_come_work_and_are_gone_after_stop(
    site: Site, profile: Profile, client: Client
) -> None:
    """Nothing is left of the set but its logs."""
    launcher = started(site, profile, client)

    assert launcher.state().phase is Phase.RUNNING
    assert sorted(client[:].apply_sync(lambda: 6 * 7)) == [42, 42]

    launcher.stop()

    until(lambda: not client.ids, "the engines are gone")
    assert launcher.log_dir.is_dir()
    assert not launcher.directory.exists()
    assert known_sets(profile).launchers == []
    assert site.left(launcher) == []


@everywhere
def test_the_token_is_nobody_elses(site: Site, profile: Profile, client: Client) -> None:
    """It stands in no command line, not in the environment of user code, and in no file that others can read."""
    launcher = started(site, profile, client)
    token = launcher.token_file.read_text().strip()

    assert len(token) > 100
    assert token not in command_lines()
    assert not any(client[:].apply_sync(lambda: "CTRLHUB_TOKEN" in __import__("os").environ))
    for path in (launcher.directory, launcher.log_dir, *launcher.directory.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    script = [path for path in launcher.directory.iterdir() if path != launcher.token_file]
    assert not any(token in path.read_text() for path in script)


@everywhere
def test_another_process_takes_a_set_up(site: Site, profile: Profile, client: Client) -> None:
    """It sees how it is, and ends it."""
    launcher = started(site, profile, client)
    other = taken_up(launcher, profile)

    assert other.state().phase is Phase.RUNNING
    assert other.described() == launcher.described()
    other.stop()

    until(lambda: not client.ids, "the engines are gone")
    assert site.left(launcher) == []


@everywhere
def test_what_a_killed_launcher_had_started_is_found(
    site: Site, profile: Profile, client: Client
) -> None:
    """Killed after the start and before it was recorded: the name that the record gave leads to it."""
    launcher = started(site, profile, client)
    save_record(launcher.record_file, SetRecord(launcher.spec, {}))

    other = taken_up(launcher, profile)

    assert other.handle == {}
    assert other.state().phase is Phase.RUNNING
    assert other.handle == launcher.handle
    other.stop()
    until(lambda: not client.ids, "the engines are gone")
    assert site.left(launcher) == []


@thoroughly
def test_a_launcher_that_was_killed_before_the_start_leaves_only_a_record(
    site: Site, profile: Profile
) -> None:
    """Which `stop` removes: there is nothing else."""
    launcher = made(site, profile)

    class Killed(BaseException):
        pass

    def die() -> Mapping[str, Any]:
        os.makedirs(launcher.directory / "witness")
        save_record(launcher.record_file, SetRecord(launcher.spec, {}))
        raise Killed

    launcher.forget = lambda: None  # type: ignore[method-assign]
    launcher.launch = die  # type: ignore[method-assign]
    with pytest.raises(Killed):
        start_set(launcher)
    assert (launcher.directory / "witness").is_dir()

    other = taken_up(launcher, profile)
    assert other.state().phase is Phase.FAILED
    other.stop()

    assert not launcher.record_file.exists()
    assert not launcher.directory.exists()


@thoroughly
def test_a_set_that_is_stopped_while_it_starts_does_not_stay(site: Site, profile: Profile) -> None:
    """Who starts it finds its record gone, and ends what it has started."""
    launcher = made(site, profile)
    launch = launcher.launch

    def launch_and_lose() -> Mapping[str, Any]:
        handle = launch()
        (other,) = known_sets(profile).named(launcher.spec.key)
        other.forget()
        return handle

    launcher.launch = launch_and_lose  # type: ignore[method-assign]

    with pytest.raises(Exception, match="was stopped while it was starting"):
        start_set(launcher)

    assert site.left(launcher) == []
    assert known_sets(profile).launchers == []


@everywhere
def test_engines_that_cannot_start_are_told_with_the_end_of_their_log(
    site: Site, profile: Profile
) -> None:
    """By `state`, as soon as they have ended."""
    launcher = made(site, profile, prologue=["echo this node has no ctrl-hub >&2", "exit 3"])
    start_set(launcher)

    state = until(
        lambda: state if (state := launcher.state()).phase.is_over else None, f"{launcher.state()}"
    )

    assert state.phase is Phase.FAILED
    assert "this node has no ctrl-hub" in state.log


@everywhere
def test_the_prologue_and_the_environment_are_the_engines(
    site: Site, profile: Profile, client: Client
) -> None:
    """Whatever characters they hold."""
    value = "a 'quoted' \"$value\" \\ # and more"
    started(
        site, profile, client, 1, prologue=["export FROM_PROLOGUE=$((6 * 7))"], environment=[f"ODD={value}"]
    )

    def look() -> tuple[str | None, str | None]:
        import os

        return os.environ.get("FROM_PROLOGUE"), os.environ.get("ODD")

    assert client[:].apply_sync(look) == [("42", value)]


@everywhere
def test_a_signal_reaches_the_set(site: Site, profile: Profile, client: Client) -> None:
    """SIGTERM has it end, in good order; where there is no way for it, what to do instead is said."""
    launcher = started(site, profile, client)

    if not site.has_signals:
        with pytest.raises(LauncherError, match="ctrl-hub drain"):
            launcher.signal(signal.SIGTERM)
        return
    launcher.signal(signal.SIGTERM)

    until(lambda: launcher.state().phase.is_over, f"it is over, but {launcher.state()}")
    until(lambda: not client.ids, "the engines are gone")
    assert launcher.state().phase is Phase.ENDED


@wherever_commands_differ
def test_a_set_grows_by_parts_and_ends_as_one(site: Site, profile: Profile, client: Client) -> None:
    """Each part is a job of its own; the name means all of them, to the hub as well. One that cannot grow says so."""
    launcher = started(site, profile, client, 1)
    if not launcher.can_grow:
        with pytest.raises(ClusterError, match="of one number for good"):
            start_part(launcher, 2)
        assert len(known_sets(profile).named(launcher.spec.name)) == 1
        return

    part = start_part(launcher, 2)
    until(lambda: len(client.ids) == 3, f"three engines, but {part.state()}")

    assert part.spec.key != launcher.spec.key
    assert [each["engine_set"] for each in client.status()["engines"]] == [launcher.spec.name] * 3
    parts = known_sets(profile).named(launcher.spec.name)
    assert [each.spec.n for each in parts] == [1, 2]
    stop_sets(parts)
    until(lambda: not client.ids, "the engines are gone")
    assert site.left(launcher) + site.left(part) == []


@thoroughly
def test_a_set_is_restarted(site: Site, profile: Profile, client: Client) -> None:
    """Other processes, and the same set."""
    launcher = started(site, profile, client, 1)
    before = client[:].apply_sync(os.getpid)

    again = restart_set(launcher)

    until(lambda: len(client.ids) == 1 and client[:].apply_sync(os.getpid) != before, "another engine")
    assert again.spec.key == launcher.spec.key
    record = load_record(again.record_file)
    assert record is not None
    assert record.handle == again.handle != launcher.handle


@thoroughly
def test_a_name_is_taken_once(site: Site, profile: Profile, client: Client) -> None:
    """A second set of a name is refused, and the first one stays; unnamed ones are numbered."""
    launcher = started(site, profile, client, 1)

    with pytest.raises(Exception, match="already"):
        start_set(make_set(profile, site.launcher, 1, site.options, name=launcher.spec.name))

    assert launcher.state().phase is Phase.RUNNING
    other = made(site, profile).spec.name
    assert other.startswith(site.launcher)
    assert other != launcher.spec.name


@thoroughly
def test_a_set_is_plain_data(site: Site, profile: Profile) -> None:
    """And the same again from it."""
    launcher = made(site, profile, 3)
    again = type(launcher).from_dict(profile, launcher.to_dict())

    assert again.spec == launcher.spec
    assert again.handle == launcher.handle


@thoroughly
def test_wrong_options_are_named(site: Site, profile: Profile) -> None:
    """Before anything is started, with those that there are."""
    with pytest.raises(ValueError, match=r"no option 'colour'; it has: .*prologue"):
        made(site, profile, colour="red")
    with pytest.raises(ValueError, match="prologue must be a list of texts"):
        made(site, profile, prologue=7)


def test_every_launcher_is_in_this_suite() -> None:
    """One that is registered and has no site would go untested."""
    assert {kind.launcher for kind in SITES} >= set(launcher_names())
    assert all(launcher_named(name).name == name for name in launcher_names())
