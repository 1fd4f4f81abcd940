"""``ctrl-hub config`` and ``ctrl-hub profile``, and what commands make of a configuration."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit
from ctrlhub.cluster.config.settings import SETTINGS


@pytest.fixture
def user_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's configuration file, which is not there yet."""
    path = tmp_path / "user.toml"
    monkeypatch.setenv("CTRLHUB_CONFIG", str(path))
    monkeypatch.setenv("CTRLHUB_STATE_DIR", str(tmp_path / "state"))
    return path


def run(*arguments: str, **environ: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, arguments, env=environ, prog_name="ctrl-hub")


def shown(*arguments: str, **environ: str) -> dict[str, Any]:
    """Return what ``config show`` says of each setting."""
    result = run("config", "show", "--json", *arguments, **environ)
    assert result.exit_code == Exit.OK, result.output
    return {each["name"]: each for each in json.loads(result.stdout)["settings"]}


def test_where_each_value_came_from(user_config: Path) -> None:
    """Default, user's file, profile's file, environment: each is named, with line or variable."""
    user_config.write_text('[hub]\nlisten = "127.0.0.1"\nscheme = "lru"\n[start]\nengines = 1\n')
    created = run("profile", "create", "mine", "--set", "hub.scheme=twobin", "--set", "start.engines=3")
    path = Path(created.output.strip())

    found = shown("--profile", "mine", CTRLHUB_START_ENGINES="5")

    told = {name: (each["value"], each["origin"]) for name, each in found.items()}
    assert told["hub.listen"] == ("127.0.0.1", "user")
    assert told["hub.scheme"] == ("twobin", "profile")
    assert told["start.engines"] == (5, "environment")
    assert told["hub.store"] == ("sqlite", "default")
    assert found["hub.listen"]["where"] == f"{user_config}, line 2"
    line = int(found["hub.scheme"]["where"].removeprefix(f"{path}, line "))
    assert path.read_text().splitlines()[line - 1] == 'scheme = "twobin"'
    assert found["start.engines"]["where"] == "CTRLHUB_START_ENGINES"
    # Another profile has nothing of it.
    assert shown("--profile", "other")["hub.scheme"]["origin"] == "user"


def test_show_for_people(user_config: Path) -> None:
    """One line for each setting; --changed leaves the defaults out."""
    user_config.write_text('[hub]\nmax_memory = "4G"\n')

    lines = run("config", "show").output.splitlines()
    changed = run("config", "show", "--changed", "hub").output.splitlines()

    assert sum(line.startswith(("hub.", "http.", "log.", "start.", "launcher.", "engine.", "status.")) for line in lines) == len(SETTINGS)
    assert changed[-1].split() == ["hub.max_memory", str(4 << 30), f"{user_config},", "line", "2"]


def test_a_password_is_not_shown(user_config: Path) -> None:
    """What is shown may be sent to somebody who is to help."""
    url = "postgresql://me:secret@host/database"

    for arguments in ((), ("--json",)):
        result = run("config", "show", *arguments, CTRLHUB_HUB_STORE=url)
        assert "postgresql://me@host/database" in result.output
        assert "secret" not in result.output


def test_a_misspelt_variable_is_told(user_config: Path) -> None:
    """It does nothing, which nobody would notice otherwise."""
    result = run("config", "show", CTRLHUB_HUB_LISTNE="x")

    assert "CTRLHUB_HUB_LISTNE is set, and there is no such setting" in result.stderr


@pytest.mark.parametrize("command", ["start", "hub", "engine", "status", "config show"])
def test_a_wrong_file_stops_commands_before_they_begin(command: str, user_config: Path, tmp_path: Path) -> None:
    """Nothing is started and nothing is made; file and line are named."""
    user_config.write_text("[hub]\nlisten = 7\n")

    result = run(*command.split())

    assert result.exit_code == Exit.BAD_STATE
    assert f"{user_config}, line 2: hub.listen" in result.stderr
    assert not (tmp_path / "state").exists()


def test_a_wrong_variable_stops_commands_before_they_begin(user_config: Path, tmp_path: Path) -> None:
    """It is wrong use, as an option would be."""
    result = run("start", CTRLHUB_HUB_MAX_ENGINES="none")

    assert result.exit_code == Exit.USAGE
    assert "CTRLHUB_HUB_MAX_ENGINES: 'none' is not a whole number" in result.stderr
    assert not (tmp_path / "state").exists()


def test_stop_needs_no_configuration(user_config: Path) -> None:
    """What runs can be stopped whatever became of the file."""
    user_config.write_text("nonsense")

    assert run("stop").exit_code == Exit.NOT_RUNNING


def test_an_option_wins(user_config: Path) -> None:
    """Also over a variable that is wrong: what is typed is what is meant."""
    result = run("start", "-n", "9", "--max-engines", "4", CTRLHUB_HUB_MAX_ENGINES="none")

    assert "9 engines are more than --max-engines 4" in result.stderr


def test_the_profile_may_come_from_the_environment(user_config: Path) -> None:
    """For the command, as for `Client()`."""
    run("profile", "create", "mine", "--set", "start.engines=3")

    assert shown(CTRLHUB_PROFILE="mine")["start.engines"]["value"] == 3
    assert shown("--profile", "other", CTRLHUB_PROFILE="mine")["start.engines"]["value"] is None


def test_create_explains_every_setting(user_config: Path) -> None:
    """The file is private, is TOML, and has each setting with its option and variable."""
    path = Path(run("profile", "create", "mine").output.strip())
    text = path.read_text()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {section: {} for section in tomllib.loads(text)} == tomllib.loads(text)
    for setting in SETTINGS:
        assert f"\n#{setting.key} =" in text
        assert f"{', '.join(setting.options)}, {setting.variable}\n" in text


def test_create_replaces_nothing_unasked(user_config: Path) -> None:
    """A file that was edited stays, unless --force says otherwise."""
    path = Path(run("profile", "create", "mine").output.strip())
    path.write_text("# edited\n")

    refused = run("profile", "create", "mine")
    assert (refused.exit_code, path.read_text()) == (Exit.ERROR, "# edited\n")
    assert "--force" in refused.stderr

    assert run("profile", "create", "mine", "--force").exit_code == Exit.OK
    assert path.read_text() != "# edited\n"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("hub.listen", "is not SECTION.KEY=VALUE"),
        ("hub.nothing=1", "there is no setting 'hub.nothing'"),
        ("start.engines=many", "start.engines: 'many' is not a whole number"),
    ],
)
def test_create_with_what_is_wrong(said: str, why: str, user_config: Path, tmp_path: Path) -> None:
    """Nothing is made."""
    result = run("profile", "create", "mine", "--set", said)

    assert result.exit_code == Exit.USAGE
    assert why in result.stderr
    assert not (tmp_path / "state").exists()


def test_profiles_are_listed_and_shown(user_config: Path, tmp_path: Path) -> None:
    """Also those that have never run."""
    assert "no profiles" in run("profile", "list").output
    run("profile", "create", "mine", "--set", "start.engines=3")

    (listed,) = json.loads(run("profile", "list", "--json").output)
    assert json.loads(run("profile", "show", "mine", "--json").output) == listed
    assert (listed["profile"], listed["state"], listed["hub_pid"]) == ("mine", "stopped", None)
    assert listed["settings"] == {"start.engines": "3"}
    assert "settings   start.engines=3" in run("profile", "show", "mine").output
    assert run("profile", "list").output.splitlines()[1].split()[:2] == ["mine", "stopped"]


def test_a_profile_that_is_not_there(user_config: Path) -> None:
    """It is said how to make it."""
    result = run("profile", "show", "none")

    assert result.exit_code == Exit.NOT_RUNNING
    assert "`ctrl-hub profile create none`" in result.stderr


def test_a_profile_whose_file_is_wrong_is_shown_with_that(user_config: Path) -> None:
    """Looking at it is the way to mend it."""
    path = Path(run("profile", "create", "mine").output.strip())
    path.write_text("[hub]\nlisten = 7\n")

    about = json.loads(run("profile", "show", "mine", "--json").output)

    assert about["settings"] is None
    assert "line 2" in about["trouble"]
