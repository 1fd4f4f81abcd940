"""The command's surface: help, version, usage errors and exit codes that need no hub."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from ctrlhub import __version__
from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit

COMMANDS = (
    "start", "stop", "status", "dashboard", "list", "hub", "engine", "drain", "tasks", "explain", "cancel", "sessions", "logs",
    "doctor", "clean",
)  # fmt: skip
GROUPS = ("engines", "store", "token", "profile", "config", "completion")
"""Those whose options are those of their own commands."""


def run(*arguments: str, state: Path | None = None) -> Result:
    """Run the command in this process, on an empty state directory."""
    environment = {"CTRLHUB_STATE_DIR": str(state) if state else None}
    return CliRunner().invoke(main, arguments, env=environment, prog_name="ctrl-hub")


def test_version() -> None:
    """``--version`` names program and version."""
    assert run("--version").output == f"ctrl-hub {__version__}\n"


def test_help_names_every_command_and_exit_code() -> None:
    """A new user sees in one page what there is and what a script can rely on."""
    result = run("--help")

    assert result.exit_code == Exit.OK
    for command in (*COMMANDS, *GROUPS):
        assert f"\n  {command} " in result.output
    assert "..." not in result.output.replace("[ARGS]...", "")  # no sentence is cut off
    for code in Exit:
        assert f"{code.value}  {code.meaning}" in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    """Each command says what it does and what its options are."""
    result = run(command, "--help")

    assert result.exit_code == Exit.OK
    assert f"Usage: ctrl-hub {command}" in result.output
    assert "--state-dir" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "No such command"),
        (("start", "--nonsense"), "--nonsense"),
        (("start", "-n", "many"), "many"),
        (("start", "-n", "-1"), "-1"),
        (("start", "-n", "9", "--max-engines", "4"), "--max-engines 4"),
        (("start", "--max-engines", "0"), "0"),
        (("start", "--timeout", "0"), "0"),
        (("start", "--profile", "../other"), "'../other' is not a profile name"),
        (("start", "--port-range", "40000-40010"), "--listen"),
        (("start", "--listen", "127.0.0.1", "--port-range", "40000"), "FIRST-LAST"),
        (("start", "--listen", "127.0.0.1", "--port-range", "40000-40002"), "four ports"),
        (("hub", "--port-range", "40000-40010"), "--listen"),
        (("hub", "--listen", "127.0.0.1", "--port-range", "70000-70010"), "65535"),
        (("start", "--listen", "not an address"), "such as 127.0.0.1"),
        (("start", "--listen", ""), "not an address"),
        (("hub", "--listen", "127.0.0.1:8000"), "without a port"),
        (("hub", "--listen", "999.0.0.1"), "not an address"),
        (("engine", "-n", "0"), "0"),
        (("stop", "--profile", ""), "profile name"),
        (("start", "--max-memory", "much"), "512M"),
        (("start", "--history-bytes", "-1"), "512M"),
        (("hub", "--history-age", "0"), "0"),
    ],
)
def test_wrong_use(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """A wrong option or value ends with the code for wrong use, and says which."""
    result = run(*arguments, state=tmp_path)

    assert result.exit_code == Exit.USAGE
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "stop", "engine"])
def test_nothing_runs(command: str, tmp_path: Path) -> None:
    """Where no cluster of the profile runs, that has a code of its own."""
    result = run(command, "--profile", "none", state=tmp_path)

    assert result.exit_code == Exit.NOT_RUNNING
    assert result.stderr.startswith("ctrl-hub: ")


def test_status_says_how_to_start(tmp_path: Path) -> None:
    """Whoever asks too early learns what to type."""
    assert "`ctrl-hub start`" in run("status", state=tmp_path).stderr


def test_stop_makes_nothing_where_nothing_is(tmp_path: Path) -> None:
    """A stop of a profile that never was leaves no directory for it."""
    run("stop", "--profile", "none", state=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["status", "engine"])
@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        ("", 0o600, "empty"),
        ("not JSON", 0o600, "not JSON"),
        ("{}", 0o600, "format"),
        ("{}", 0o644, "open to other users"),
    ],
)
def test_bad_connection_file(command: str, text: str, mode: int, said: str, tmp_path: Path) -> None:
    """A connection file that cannot be believed has a code of its own, and says why."""
    place = tmp_path / "profiles" / "default"
    place.mkdir(parents=True, mode=0o700)
    for role in ("client", "engine"):
        file = place / f"connection-{role}.json"
        file.write_text(text)
        file.chmod(mode)

    result = run(command, state=tmp_path)

    assert result.exit_code == Exit.BAD_STATE
    assert said in result.stderr


def test_engine_wants_a_file_that_exists(tmp_path: Path) -> None:
    """A connection file named by hand and missing is said at once, not waited for."""
    result = run("engine", "--connection", str(tmp_path / "none.json"), state=tmp_path)

    assert result.exit_code == Exit.NOT_RUNNING
    assert "none.json" in result.stderr


def test_list_of_nothing(tmp_path: Path) -> None:
    """An empty list is no error."""
    result = run("list", state=tmp_path)

    assert result.exit_code == Exit.OK
    assert "no clusters" in result.stdout


def test_list_of_nothing_as_json(tmp_path: Path) -> None:
    """A script gets an empty list."""
    assert json.loads(run("list", "--json", state=tmp_path).stdout) == []


def test_list_shows_what_a_killed_cluster_left(tmp_path: Path) -> None:
    """A record without a living supervisor is a dead cluster, which `stop` cleans up after."""
    place = tmp_path / "profiles" / "default"
    place.mkdir(parents=True, mode=0o700)
    record = place / "supervisor.json"
    record.write_text('{"pid": 1, "started": 0, "host": "", "processes": {}}')
    record.chmod(0o600)

    listed = json.loads(run("list", "--json", state=tmp_path).stdout)
    assert [(each["profile"], each["state"], each["pid"]) for each in listed] == [
        ("default", "dead", None)
    ]

    stopped = run("stop", state=tmp_path)
    assert stopped.exit_code == Exit.OK
    assert "cleaned up" in stopped.stdout
    assert not record.exists()
    assert json.loads(run("list", "--json", state=tmp_path).stdout) == []


def test_state_dir_option_wins_over_the_variable(tmp_path: Path) -> None:
    """What is typed wins over what is set."""
    typed = tmp_path / "typed"
    (typed / "profiles" / "default").mkdir(parents=True, mode=0o700)
    (typed / "profiles" / "default" / "connection-client.json").write_text("{}")
    (typed / "profiles" / "default" / "connection-client.json").chmod(0o600)

    result = run("status", "--state-dir", str(typed), state=tmp_path / "set")

    assert result.exit_code == Exit.BAD_STATE


def test_help_is_light() -> None:
    """``--help`` loads neither ZeroMQ nor an event loop nor one of the three programs."""
    script = (
        "import sys; from ctrlhub.cli import main; main(['--help'], standalone_mode=False);"
        "print(*sys.modules, file=sys.stderr)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    ).stderr.split()
    heavy = ("zmq", "tornado", "asyncio", "numpy", "ctrlhub.client", "ctrlhub.engine")
    assert "click" in loaded
    assert [name for name in loaded if name in heavy] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cancel",), "name requests by their ids, or say"),
        (("cancel", "7-42", "--all"), "name requests by their ids, or say"),
        (("cancel", "7-42", "--queued"), "--queued goes with"),
        (("cancel", "x"), "'x' is not the id of a request, such as 7-42"),
        (("explain", "42"), "'42' is not the id of a request"),
        (("tasks", "--state", "lost"), "'lost'"),
        (("tasks", "--limit", "0"), "0"),
    ],
)
def test_wrong_use_of_what_asks(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    """It is said before anybody is asked."""
    result = run(*arguments, state=tmp_path)

    assert result.exit_code == Exit.USAGE
    assert said in result.output


def test_no_command_is_left_out() -> None:
    """What there is, is tested here."""
    assert {*COMMANDS, *GROUPS} == set(main.list_commands(click.Context(main)))


def test_options_stand_in_groups() -> None:
    """Those that one needs first, and those that few need last; each once."""
    text = run("start", "--help").output
    places = [text.index(f"\n{heading}:\n") for heading in ("Options", "The hub", "Seldom needed")]

    assert places == sorted(places)
    assert places[0] < text.index("--engines") < places[1] < text.index("--listen") < places[2] < text.index("--beat")
    assert text.count("--state-dir") == 1
    assert "`ctrl-hub config show`" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str) -> None:
    """There is a script for each shell, which asks this command."""
    result = run("completion", shell)

    assert result.exit_code == Exit.OK
    assert "_CTRL_HUB_COMPLETE" in result.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes(tmp_path: Path) -> None:
    """Commands, options, and the names of the profiles that there are."""
    for name in ("mine", "other"):
        assert run("profile", "create", name, state=tmp_path).exit_code == Exit.OK
    script = """
        eval "$(ctrl-hub completion bash)"
        ask() { COMPREPLY=(); COMP_WORDS=(ctrl-hub "$@"); COMP_CWORD=$#; _ctrl_hub_completion ctrl-hub; echo "${COMPREPLY[@]}"; }
        ask st; ask status --wa; ask stop --profile m; ask start --task-order ''
    """
    here = os.path.dirname(sys.executable)
    environment = {**os.environ, "PATH": f"{here}:{os.environ['PATH']}", "CTRLHUB_STATE_DIR": str(tmp_path)}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)

    assert [line.split() for line in done.stdout.splitlines()] == [
        ["start", "stop", "status", "store"], ["--watch"], ["mine"], ["fifo", "lifo"],
    ]  # fmt: skip
