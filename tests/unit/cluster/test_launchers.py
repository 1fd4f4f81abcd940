"""Launchers without anything to launch: options, templates, records, how engines are spread."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctrlhub.cluster.errors import LauncherError, StopFailed
from ctrlhub.cluster.launchers import commands
from ctrlhub.cluster.launchers.array import seconds_of
from ctrlhub.cluster.launchers.base import Phase, SetState
from ctrlhub.cluster.launchers.batch import BatchLauncher, BatchOptions, Spread, spread
from ctrlhub.cluster.launchers.commands import CommandMissing, CommandSilent, run_command
from ctrlhub.cluster.launchers.endings import ending_of, note_ending
from ctrlhub.cluster.launchers.options import LauncherOptions, option, options_from
from ctrlhub.cluster.launchers.records import (
    SetRecord,
    create_record,
    load_record,
    read_record,
    save_record,
)
from ctrlhub.cluster.launchers.registry import launcher_named, launcher_names
from ctrlhub.cluster.launchers.sets import known_sets, make_set, stop_sets
from ctrlhub.cluster.launchers.sge import SGELauncher
from ctrlhub.cluster.launchers.spec import EngineSet, Owner
from ctrlhub.cluster.launchers.template import render
from ctrlhub.cluster.log_options import LogOptions
from ctrlhub.controller.config import HubConfig
from ctrlhub.wire.places import Profile
from ctrlhub.wire.private import StateError

BATCH = ("slurm", "pbs", "lsf", "sge", "htcondor")
ODD = "/home/o'brien/my \"state\" $dir; x"


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    """A profile without a hub."""
    profile = Profile.named("p", tmp_path)
    profile.make()
    profile.sets.mkdir(mode=0o700)
    return profile


# ---------------------------------------------------------------- options


@dataclass(frozen=True, kw_only=True)
class SomeOptions(LauncherOptions):
    """One of each kind."""

    text: str = option("A text.")
    number: int = option("A number.", 3)
    switch: bool = option("On or off.", False)
    lines: tuple[str, ...] = option("Lines.", ())


def test_options_are_given_as_texts_or_as_values() -> None:
    """A command line has texts, a program values, a record what JSON makes of these."""
    wanted = SomeOptions(text="x", number=7, switch=True, lines=("a", "b"))

    assert options_from(SomeOptions, {"text": "x", "number": "7", "switch": "yes", "lines": "a\n\nb"}, "l") == wanted
    given_values: dict[str, Any] = {"text": "x", "number": 7, "switch": True, "lines": ["a", "b"]}
    assert options_from(SomeOptions, given_values, "l") == wanted
    assert options_from(SomeOptions, json.loads(json.dumps(given_values)), "l") == wanted
    assert options_from(SomeOptions, {"text": None}, "l") == SomeOptions()


@pytest.mark.parametrize(
    ("given_options", "said"),
    [
        ({"colour": "red"}, r"launcher 'l' has no option 'colour'; it has: environment, lines, number"),
        ({"number": "many"}, "number must be a whole number, not 'many'"),
        ({"number": True}, "number must be a whole number, not True"),
        ({"switch": "perhaps"}, "switch must be true or false, not 'perhaps'"),
        ({"lines": 3}, "lines must be a list of texts, not 3"),
        ({"text": ["a"]}, r"text must be a text, not \['a'\]"),
        ({"text": "a\nb"}, "text must be plain text"),
        ({"environment": "1x=3"}, "environment: '1x=3' is not NAME=VALUE"),
    ],
)
def test_wrong_options_say_what_is_right(given_options: dict[str, Any], said: str) -> None:
    """Before anything is started."""
    with pytest.raises(ValueError, match=said):
        options_from(SomeOptions, given_options, "l")


# ---------------------------------------------------------------- how engines are spread


def test_spread() -> None:
    """Evenly if nobody says how, with the rest on the last node."""
    assert spread(5, BatchOptions()) == Spread(0, 5, 5)
    assert spread(5, BatchOptions(nodes=2)) == Spread(2, 3, 2)
    assert spread(5, BatchOptions(engines_per_node="2")) == Spread(3, 2, 1)
    assert spread(4, BatchOptions(nodes=2, engines_per_node="2")) == Spread(2, 2, 2)
    assert spread(2, BatchOptions(nodes=2, engines_per_node="auto")) == Spread(2, 0, 0)
    with pytest.raises(ValueError, match="5 engines, 4 on a node, are for 2 nodes and not 3"):
        spread(5, BatchOptions(nodes=3, engines_per_node="4"))
    with pytest.raises(ValueError, match="needs nodes"):
        BatchOptions(engines_per_node="auto")
    with pytest.raises(ValueError, match="a number, or auto, not 'few'"):
        BatchOptions(engines_per_node="few")


@given(st.integers(1, 500), st.integers(1, 40))
def test_no_engine_is_lost_where_they_are_spread(n: int, each: int) -> None:
    """All nodes but the last have as many as was asked for, and that one has some."""
    found = spread(n, BatchOptions(engines_per_node=str(each)))

    assert (found.nodes - 1) * found.each + found.last == n
    assert 1 <= found.last <= found.each == each


def test_wall_times() -> None:
    """Most batch systems write hours, minutes and seconds; LSF writes hours and minutes."""
    assert [seconds_of(text) for text in ("2:00:00", "90:30", "45")] == [7200, 5430, 45]
    assert [seconds_of(text, (60, 3600)) for text in ("2:30", "30")] == [9000, 1800]
    for text in ("1:2:3:4", "two hours", "", "1:"):
        with pytest.raises(ValueError, match="is not a wall time such as 2:00:00"):
            seconds_of(text)


# ---------------------------------------------------------------- templates and scripts


def test_templates_name_what_there_is() -> None:
    """A line with nothing but empty values goes; a name that does not exist is an error."""
    assert render("a {{x}}\n{{y}}\n\nb $x {x}\n", {"x": "1", "y": ""}) == "a 1\n\nb $x {x}\n"
    with pytest.raises(ValueError, match=r"the template has \{\{z\}\}; there are: \{\{x\}\}, \{\{y\}\}"):
        render("{{z}}", {"x": "", "y": ""})


@pytest.mark.parametrize("name", BATCH)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nodes": 3, "engines_per_node": "2"},
        {"nodes": 2, "engines_per_node": "auto"},
        {
            "queue": "long", "account": "physics", "time": "120", "memory": "4G", "extra": ["--one=1", "--two"],
            "prologue": ["module() { :; }", "module load 'python'"], "environment": ["A=it's \"$odd\""],
        },
    ],
    ids=["nothing", "nodes", "auto", "all"],
)  # fmt: skip
def test_scripts_are_ones(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    """Bash understands them, whatever the names of directories and values; no name is left unfilled."""
    profile = Profile("p", tmp_path / ODD / "profiles" / "p")
    launcher = make_set(profile, name, 5 if options.get("nodes") == 3 else 2, options)

    plan = launcher.plan()

    assert "{{" not in plan
    assert launcher.job_name in plan
    script = plan.partition("node.sh:\n")[2] if name == "htcondor" else plan
    assert script.startswith("#!/bin/bash\n")
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")
    for each in ("long", "physics", "4G", "--one=1") if "queue" in options else ():
        assert each in plan


def test_slurm_is_told_of_files_of_any_name() -> None:
    """What stands for something in a name of Slurm's, and what ends a word there, does not in a directory's."""
    launcher = make_set(Profile("p", Path("/s/a b%j/p")), "slurm", 5, {"nodes": 1}, name="s")
    assert isinstance(launcher, BatchLauncher)
    assert launcher.directives()[0] == "--output='/s/a b%%j/p/logs/sets/s/job.log'"
    lines = launcher.plan().splitlines()
    [named] = [line for line in lines if line.startswith("logs=")]
    [option] = [line.split()[-2] for line in lines if "--output=" in line and "#" not in line]
    told = subprocess.run(["bash", "-c", f"{named}\necho {option}"], capture_output=True, text=True, check=True)
    assert told.stdout == "--output=/s/a b%%j/p/logs/sets/s/%N.log\n"


def test_what_schedulers_are_told() -> None:
    """Each option, as the documentation of the batch system has it."""
    profile = Profile("p", Path("/s/profiles/p"))
    options = {
        "nodes": 3, "engines_per_node": "2", "queue": "long", "account": "physics", "time": "2:00:00", "memory": "4G",
    }  # fmt: skip

    def told(name: str, **more: str) -> list[str]:
        launcher = make_set(profile, name, 5, options | more, name="s")
        assert isinstance(launcher, BatchLauncher)
        return launcher.directives()

    assert told("slurm") == [
        "--output=/s/profiles/p/logs/sets/s/job.log", "--no-requeue", "--no-kill", "--nodes=3", "--ntasks=5",
        "--ntasks-per-node=2", "--time=2:00:00", "--account=physics", "--partition=long", "--mem=4G",
    ]  # fmt: skip
    assert told("pbs") == [
        "-S /bin/bash", "-j oe", "-o /s/profiles/p/logs/sets/s/", "-l select=1:ncpus=2:mem=4G", "-J 1-3",
        "-l walltime=2:00:00", "-q long", "-A physics",
    ]  # fmt: skip
    assert told("lsf", time="2:00") == [
        "-o /s/profiles/p/logs/sets/s/bsub-%I.log", "-rn", "-n 2", '-R "span[hosts=1]"', "-W 2:00", "-q long",
        "-P physics", "-M 4G",
    ]  # fmt: skip
    assert told("sge", pe="openmp") == [
        "-S /bin/bash", "-j y", "-o /s/profiles/p/logs/sets/s/", "-r n", "-notify", "-t 1-3", "-pe openmp 2",
        "-l h_rt=2:00:00", "-l h_vmem=4G", "-q long", "-P physics",
    ]  # fmt: skip
    assert told("htcondor", time="7200") == [
        "request_cpus = 2", "request_memory = 4G", "accounting_group = physics", '+Queue = "long"',
        "+MaxRuntime = 7200",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["local", "mpi", "ssh", *BATCH])
def test_a_later_part_is_of_its_set(name: str, profile: Profile) -> None:
    """Its engines say so to the hub; only files, and what the system calls it, have the part's own name."""
    options = {"hosts": "a:2"} if name == "ssh" else {}

    plan = launcher_named(name)(profile, EngineSet("away", name, 2, options, part=2)).plan()

    assert "--engine-set away " in plan
    assert "--engine-set away.2" not in plan
    assert "away.2" in plan


@pytest.mark.parametrize("name", ["local", "mpi", "ssh", "kubernetes", *BATCH])
def test_how_logs_and_traces_are_written_is_handed_over(
    name: str, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub's options say, and the environment of traces; no secret, and the launcher's own options win."""
    for variable in [variable for variable in os.environ if variable.startswith(("OTEL_", "CTRLHUB_LOG", "CTRLHUB_HUB"))]:
        monkeypatch.delenv(variable)
    needed = {"ssh": {"hosts": "a:2"}, "kubernetes": {"image": "some/image"}}.get(name, {})
    assert not re.search("(OTEL|CTRLHUB_LOG|CTRLHUB_HUB)_", make_set(profile, name, 2, needed).plan())
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://me:hunter2@collector:4318")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "key=hunter2")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "it's mine")
    monkeypatch.setenv("CTRLHUB_LOG_FORMAT", "text")
    options = {**needed, "environment": ["OTEL_RESOURCE_ATTRIBUTES=where=there", "CTRLHUB_LOG_MAX_BYTES=5000"]}
    hub = HubConfig(log_format="json", log_level="debug", log_max_bytes=1 << 20)

    made = make_set(profile, name, 2, options, logs=LogOptions.of(hub))

    plan = made.plan()
    for line in (
        "export OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318", "export CTRLHUB_LOG_FORMAT=json",
        "export CTRLHUB_HUB_LOG_LEVEL=DEBUG", "export CTRLHUB_LOG_MAX_BYTES=5000",
        "export OTEL_RESOURCE_ATTRIBUTES=where=there",
    ):  # fmt: skip
        assert line in plan, plan
    assert "mine" in plan
    assert "hunter2" not in plan
    if name == "mpi":
        [forwarded] = [line for line in plan.splitlines() if "FORWARD" in line]
        assert {"CTRLHUB_LOG_FORMAT", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= set(forwarded.partition("=")[2].split(","))
    again = SetRecord.from_dict(made.to_dict()).spec
    assert again.environment == made.spec.environment


def test_a_record_of_before_hands_nothing_over() -> None:
    """It says nothing of an environment; one that is none is refused."""
    plain = EngineSet("s", "local", 1).to_dict()
    del plain["environment"]
    assert EngineSet.from_dict(plain).environment == {}
    for wrong in ({"A B": "x"}, {"A": 1}, {"A=1; rm": "x"}):
        with pytest.raises(ValueError, match="no variable of an environment"):
            EngineSet.from_dict(plain | {"environment": wrong})


def test_a_template_of_ones_own(profile: Profile, tmp_path: Path) -> None:
    """It is read when it is used; one that cannot be is an error that names it."""
    mine = tmp_path / "mine.sh"
    mine.write_text("#!/bin/bash\n# {{job_name}} of {{engines}}\n")
    launcher = make_set(profile, "slurm", 2, {"template": str(mine)})

    assert launcher.plan() == f"#!/bin/bash\n# {launcher.job_name} of 2\n"
    mine.unlink()
    with pytest.raises(ValueError, match=r"template: cannot read .*mine\.sh"):
        launcher.plan()


def test_without_a_shared_home_htcondor_keeps_to_the_node(profile: Profile) -> None:
    """No path of the submitting host stands in the node's command."""
    launcher = make_set(profile, "htcondor", 1, {"shared_home": "no"})

    node_script = launcher.plan().partition("node.sh:\n")[2]

    assert str(profile.directory) not in node_script
    assert "--nanny-signals --grace 25 --state-dir ctrlhub-state" in node_script


# ---------------------------------------------------------------- sets and their records


def test_a_set_is_the_same_again_from_its_record(tmp_path: Path) -> None:
    """In a private file."""
    spec = EngineSet("big", "slurm", 4, {"queue": "long"}, part=2, owner=Owner.SUPERVISOR)
    path = tmp_path / "big.2.json"
    save_record(path, SetRecord(spec, {"job": "17"}))

    assert spec.key == "big.2"
    assert read_record(path) == SetRecord(spec, {"job": "17"})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_record_is_made_once(tmp_path: Path) -> None:
    """Whoever comes second leaves the first one's, and no file besides."""
    first, second = EngineSet("s", "local", 1), EngineSet("s", "local", 2)
    path = tmp_path / "s.json"
    create_record(path, SetRecord(first))

    with pytest.raises(FileExistsError):
        create_record(path, SetRecord(second))

    assert read_record(path).spec == first
    assert os.listdir(tmp_path) == ["s.json"]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": 2}', '{"format": 1, "set": {}, "handle": {}}', "[" * 100_000],
)
def test_what_is_no_record_is_named(text: str, profile: Profile) -> None:
    """And hides no other."""
    bad = profile.sets / "bad.json"
    bad.write_text(text)
    bad.chmod(0o600)
    good = EngineSet("good", "local", 1)
    save_record(profile.sets / "good.json", SetRecord(good))

    with pytest.raises(StateError, match=r"bad\.json describes no set of engines"):
        read_record(bad)
    found = known_sets(profile)
    assert [each.spec for each in found.launchers] == [good]
    (trouble,) = found.troubles
    assert "bad.json" in trouble
    assert load_record(profile.sets / "none.json") is None


@pytest.mark.parametrize("name", ["", "a/b", "../x", "a.b", "-x", "x" * 33, "é"])
def test_names_of_sets_are_those_of_files(name: str) -> None:
    """And nothing else."""
    with pytest.raises(ValueError, match="is not a name of engines"):
        EngineSet(name, "local", 1)


def test_launchers_are_found_by_entry_points() -> None:
    """All of ours; one that does not exist is an error that lists them."""
    assert set(launcher_names()) >= {"local", *BATCH}
    with pytest.raises(ValueError, match=r"there is no launcher 'none'; there are: .*slurm"):
        launcher_named("none")


# ---------------------------------------------------------------- commands, and how sets end


def test_commands_say_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is missing, and one that does not answer; an exit code is the caller's to judge."""
    with pytest.raises(CommandMissing, match="'sbatch-of-nobody' here"):
        run_command(["sbatch-of-nobody"])
    monkeypatch.setattr(commands, "PATIENCE", 0.05)
    with pytest.raises(CommandSilent, match=r"`sleep` has not answered within 0\.05 s"):
        run_command(["sleep", "60"], timeout=0.05)
    answer = run_command(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes")
    assert (answer.code, answer.out, answer.complaint) == (3, "yes", "no")
    assert issubclass(CommandSilent, LauncherError)


def test_how_a_set_ended_is_told_by_its_nannies(tmp_path: Path) -> None:
    """One that ended well left word; one that was killed left none, and its log."""
    log = tmp_path / "node.log"
    log.write_text("what happened\n")
    assert ending_of(tmp_path).phase is Phase.FAILED
    assert ending_of(tmp_path).log == "what happened"

    note_ending(tmp_path, 0)
    assert ending_of(tmp_path).phase is Phase.ENDED

    (tmp_path / "other-7.exit").write_text("6\n")
    bad = ending_of(tmp_path)
    assert bad.phase is Phase.FAILED
    assert bad.reason == "ended: other-7 with exit code 6"


class _Forgotten(SGELauncher):
    def ask(self) -> None:
        """Grid Engine lists no job that has ended."""
        return


def test_an_array_that_has_written_nothing_was_cancelled_in_the_queue(profile: Profile) -> None:
    """It is not taken for one that has failed, as one that has begun and left no word is."""
    launcher = _Forgotten(profile, EngineSet("a", "sge", 2), {"job": "7"})
    for make_place in (False, True):
        if make_place:
            launcher.log_dir.mkdir(parents=True)
        assert launcher.state() == SetState(Phase.ENDED, "it was cancelled before it began", cancelled=True)

    (launcher.log_dir / "job-1.log").touch()
    assert launcher.state().phase is Phase.FAILED


@pytest.mark.parametrize(
    ("launcher", "n", "options", "grown", "spread_so"),
    [
        ("slurm", 4, {"nodes": 2}, {"engines_per_node": "2"}, Spread(2, 2, 1)),
        ("slurm", 4, {"nodes": 2, "engines_per_node": "2", "queue": "q"}, {"engines_per_node": "2", "queue": "q"},
         Spread(2, 2, 1)),
        ("slurm", 2, {"nodes": 2, "engines_per_node": "auto"}, {}, Spread(0, 3, 3)),
        ("sge", 4, {"nodes": 4}, {"engines_per_node": "1"}, Spread(3, 1, 1)),
        ("pbs", 4, {"engines_per_node": "4"}, {"engines_per_node": "4"}, Spread(1, 4, 3)),
    ],
)  # fmt: skip
def test_a_set_grows_by_as_many_nodes_as_it_takes(
    launcher: str, n: int, options: dict[str, Any], grown: dict[str, Any], spread_so: Spread, profile: Profile
) -> None:
    """Whatever number of nodes it began with; a node has as many engines as before."""
    first = make_set(profile, launcher, n, options)
    assert first.options_to_grow() == grown

    more = make_set(profile, launcher, 3, first.options_to_grow())
    assert isinstance(more, BatchLauncher)
    assert more.plan()
    assert more.spread == spread_so


def test_a_set_grows_on_the_hosts_it_has(profile: Profile) -> None:
    """Which share what comes, also where each was for a number of its own."""
    first = make_set(profile, "ssh", 7, {"hosts": "a:4,me@[::1]:2,c", "ssh": "ssh -p 2222"})
    options = first.options_to_grow()

    assert options == {"hosts": "a,me@[::1],c", "ssh": "ssh -p 2222"}
    said = make_set(profile, "ssh", 2, options).plan()
    assert [line for line in said.splitlines() if line.startswith("# ") and line.endswith("engines")] == [
        "# a: 1 engines", "# me@::1: 1 engines",
    ]  # fmt: skip


def test_an_option_of_the_batch_system_is_one_line() -> None:
    """What follows would be a command of the script."""
    with pytest.raises(ValueError, match="is more than one line: give each option by itself"):
        options_from(BatchOptions, {"extra": ["--comment=x\nrm -rf /"]}, "slurm")


# ---------------------------------------------------------------- records and answers that are odd


@pytest.mark.parametrize(
    ("kind", "handle"),
    [("local", {"pid": 1}), ("local", {"pid": "x", "birth": "1", "host": "h"}), ("slurm", {"jobs": "1"}), ("ssh", {"hosts": 3})],
)
def test_a_record_that_does_not_say_what_was_started_is_named(
    kind: str, handle: dict[str, Any], profile: Profile
) -> None:
    """As one that cannot be read: it keeps nobody from asking for, and ending, the others."""
    options = {"hosts": "a"} if kind == "ssh" else {}
    save_record(profile.sets / "odd.json", SetRecord(EngineSet("odd", kind, 1, options), handle))

    found = known_sets(profile)

    assert not found.launchers
    (trouble,) = found.troubles
    assert "does not say what launcher" in trouble
    assert "odd.json" in trouble


def test_an_empty_answer_of_slurm_is_none(profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of scontrol it says nothing of the job; of sacct, that it knows of none."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def command(name: str, script: str) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)

    command("scontrol", "echo")
    command("scancel", "exit 0")
    launcher = launcher_named("slurm")(profile, EngineSet("a", "slurm", 1), {"job": "7"})
    assert launcher.state() == SetState(Phase.UNKNOWN, "scontrol: its answer cannot be read: it says nothing")
    with pytest.raises(StopFailed, match="job 7 may still be queued or run: scontrol: its answer cannot be read"):
        launcher.end(0.0)

    command("scontrol", "echo Invalid job id >&2; exit 1")
    command("sacct", "echo '||'")
    assert launcher.state() == ending_of(launcher.log_dir)


class _Broken(SGELauncher):
    def stop(self, patience: float = 30.0) -> None:
        """Fail as nobody has foreseen."""
        raise KeyError("host")


def test_an_error_that_nobody_has_foreseen_keeps_no_other_set_running(profile: Profile) -> None:
    """It is said with the others, when these have ended."""
    other = EngineSet("other", "sge", 1)
    save_record(profile.sets / "other.json", SetRecord(other, {}))
    ended = []

    class Other(SGELauncher):
        def stop(self, patience: float = 30.0) -> None:
            """Note that it was asked."""
            ended.append(self.spec)

    with pytest.raises(StopFailed, match=r"engines 'odd': unexpected KeyError\('host'\)"):
        stop_sets([_Broken(profile, EngineSet("odd", "sge", 1)), Other(profile, other)])
    assert ended == [other]
