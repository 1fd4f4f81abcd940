"""What docs/rest.md and docs/web.md show is run: curl in a shell, and fetch in Node.js."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ctrlhub import Client
from tests.support.rest import rest_of

PAGE = Path(__file__).parents[3] / "docs" / "rest.md"
WEB = PAGE.with_name("web.md")
REQUIRED = os.environ.get("CTRLHUB_REQUIRE_SYSTEM_PARTS") == "1"


def shown(mark: str, page: Path = PAGE) -> str:
    """Return the example of the page that is marked so."""
    found = re.search(rf"<!-- run: {mark} -->\n```\w+\n(.*?)```", page.read_text(), re.S)
    assert found is not None, f"{page} has no example for {mark}"
    return found[1]


def needed(program: str) -> str:
    """Return the path of a program, or skip."""
    path = shutil.which(program)
    if path is None:
        if REQUIRED:
            pytest.fail(f"{program} is missing: make system-parts installs it")
        pytest.skip(f"needs {program}")
    return path


def test_the_examples_for_curl_work(client: Client) -> None:
    """Each command succeeds, and gives what the text says."""
    needed("curl")
    rest = rest_of(client)
    script = f"set -eu\nurl={rest.url} token={rest.token}\n{shown('curl')}".replace("\ncurl ", "\necho; curl --fail-with-body ")
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("{", "[", "null"))]
    hypot, known, nap, three, _, double, numbers = map(json.loads, lines)
    assert hypot["value"] == 5.0
    assert known["label"] == "time:sleep"
    assert nap is None
    assert [each["value"] for each in three["results"]] == [1, 2, 3]
    assert double["value"] == 42
    assert numbers == [1, 2, 3]
    assert "event: tasks" in done.stdout


@pytest.mark.parametrize("page", [PAGE, WEB], ids=["rest", "web"])
def test_the_examples_for_javascript_work(client: Client, page: Path) -> None:
    """What they print is what stands behind each line, over REST and in the protocol's JSON."""
    node = needed("node")
    options = ["--experimental-websocket"] if page == WEB else []
    if subprocess.run([node, *options, "--version"], capture_output=True, timeout=60, check=False).returncode:
        pytest.skip("needs a Node.js that has WebSocket: 20.10 or later")
    rest = rest_of(client)
    code = f"const url = {json.dumps(rest.url)}, token = {json.dumps(rest.token)};\n{shown('node', page)}"
    command = [node, *options, "--input-type=module", "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    said = re.findall(r"console\.log.*// (.*)", shown("node", page))
    assert done.stdout.splitlines() == said
