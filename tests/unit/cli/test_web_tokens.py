"""``ctrl-hub token`` and ``ctrl-hub dashboard``, without a cluster."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ctrlhub.cli import main
from ctrlhub.cli.exits import Exit
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile


def run(state: Path, *arguments: str) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(main, arguments, env={"CTRLHUB_STATE_DIR": str(state)}, prog_name="ctrl-hub")


def test_a_token_is_made_shown_once_and_revoked(tmp_path: Path) -> None:
    """Nothing but the token is printed, for scripts; a list has none of it."""
    made = run(tmp_path, "token", "create", "--name", "ci", "--role", "submit", "--expires", "12h")
    secret = made.stdout.strip()
    assert made.exit_code == Exit.OK
    token = TokenFile(Profile.named(state=tmp_path).tokens).now().find(secret, time.time())
    assert token is not None
    assert (token.name, token.role) == ("ci", "submit")
    assert token.expires is not None
    assert 12 * 3600 - 60 < token.expires - time.time() <= 12 * 3600

    listed = json.loads(run(tmp_path, "token", "list", "--json").stdout)
    assert {each["name"]: each["role"] for each in listed} == {
        "ci": "submit", "admin": "admin", "submit": "submit", "view": "view",
    }  # fmt: skip
    assert secret not in run(tmp_path, "token", "list").stdout

    assert run(tmp_path, "token", "revoke", "ci").stdout == "profile default: token ci is revoked\n"
    assert run(tmp_path, "token", "revoke", "ci").exit_code == Exit.USAGE


@pytest.mark.parametrize("expires", ["", "1", "1y", "0d", "-1d", "1.5d", "d", "soon", "36501d", "999999999w"])
def test_a_wrong_time_is_wrong_use(tmp_path: Path, expires: str) -> None:
    """With examples."""
    result = run(tmp_path, "token", "create", "--name", "x", "--role", "view", f"--expires={expires}")
    assert result.exit_code == Exit.USAGE
    assert "30d" in result.stderr


def test_names_are_taken_once(tmp_path: Path) -> None:
    """And a list of nothing says where the first come from."""
    assert "when the gateway starts" in run(tmp_path, "token", "list").stdout
    assert run(tmp_path, "token", "create", "--name", "x", "--role", "view", "--expires", "never").exit_code == Exit.OK
    again = run(tmp_path, "token", "create", "--name", "x", "--role", "view")
    assert (again.exit_code, "revoke it" in again.stderr) == (Exit.USAGE, True)
    assert run(tmp_path, "token", "create", "--name", "a b", "--role", "view").exit_code == Exit.USAGE
    assert run(tmp_path, "token", "create", "--name", "y", "--role", "engine").exit_code == Exit.USAGE


def test_without_a_cluster_there_is_no_dashboard(tmp_path: Path) -> None:
    """The command says so, and makes nothing."""
    result = run(tmp_path, "dashboard", "--url")
    assert result.exit_code == Exit.NOT_RUNNING
    assert not Profile.named(state=tmp_path).tokens.exists()


@pytest.mark.parametrize("listen", ["0.0.0.0", "x:1", "99999"])
def test_a_wrong_place_is_wrong_use(tmp_path: Path, listen: str) -> None:
    """Before anything is started."""
    result = run(tmp_path, "start", "--http", listen)
    assert result.exit_code == Exit.USAGE
    assert "[ADDRESS:]PORT" in result.stderr or "is not an address" in result.stderr
