"""REST is what its description says: schemathesis makes requests of it, and looks at the answers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ctrlhub import Client
from tests.support.rest import Rest, rest_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "rest.md"

# Statuses of what is refused, as the document tells schemathesis of them.
CONFIG = DOCUMENT.read_text().split("```toml\n")[1].split("```")[0]

# What would end the engines or the hub, runs text as code, or has no end. Who may only look is refused there
# all the same, and is let on all of it but what has no end.
DEADLY = "(hub/shutdown|/restart|/drain|/signal|/shutdown|/execute|/scale|/interrupt|/events|/connect)"
ENDLESS = "(/events|/connect)"

# A bad token is tried by the access matrix: so many bad ones as here are answered with 429.
NOT_HERE = "ignored_auth"


def run(rest: Rest, tmp_path: Path, without: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis loose on the interface."""
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    command = Path(sys.executable).with_name("schemathesis")
    assert shutil.which(command), f"{command} is missing: it is of the extra `test`"
    return subprocess.run(
        [
            command, "--config-file", config, "run", f"{rest.url}/api/v1/openapi.json",
            "--header", f"Authorization: Bearer {rest.token}", "--exclude-path-regex", without,
            "--exclude-checks", NOT_HERE, "--seed", "7", "--no-color", *options,
        ],
        cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_the_description_is_true(client: Client, tmp_path: Path) -> None:
    """Each operation takes what it says, refuses what it does not, and answers as it says; also in a row."""
    rest = rest_of(client)
    done = run(rest, tmp_path, DEADLY, "--phases", "coverage,fuzzing,stateful", "--max-examples", "2")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "No issues found" in done.stdout or " passed" in done.stdout, done.stdout
    assert client.status()["hub"]["http"]["deaths"] == 0
    assert client.load_balanced_view().apply_sync(abs, -1) == 1


@pytest.mark.slow
def test_the_description_is_true_for_who_may_submit(client: Client, tmp_path: Path) -> None:
    """What needs an admin is refused, and what others have is not touched: both as it is described."""
    rest = rest_of(client, "submit")
    done = run(
        rest, tmp_path, ENDLESS, "--phases", "coverage", "--max-examples", "1", "--include-path-regex", "cancel|/sessions/"
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert client.ids == [0, 1]
    assert client.status()["hub"]["http"]["deaths"] == 0


@pytest.mark.slow
def test_the_description_is_true_for_who_may_only_look(client: Client, tmp_path: Path) -> None:
    """What changes something is refused, whatever is sent, and nothing has been changed."""
    rest = rest_of(client, "view")
    done = run(rest, tmp_path, ENDLESS, "--phases", "coverage", "--max-examples", "1")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert client.ids == [0, 1]
    assert client.status()["hub"]["http"]["deaths"] == 0
