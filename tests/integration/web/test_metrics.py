"""``/metrics``, as Prometheus's own programs see it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import textwrap
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from ctrlhub import Client
from tests.support.processes import until
from tests.support.rest import Rest, rest_of

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


@pytest.fixture
def promtool(require_system_part: Callable[[str, bool], None]) -> str:
    """The program that checks metrics, rules and configurations."""
    found = shutil.which("promtool")
    require_system_part("promtool (Debian: prometheus)", found is not None)
    assert found is not None
    return found


def scrape(where: Client | Rest, accept: str = "text/plain") -> tuple[str, str]:
    """Return content type and text of the metrics."""
    rest = where if isinstance(where, Rest) else rest_of(where, "view")
    headers = {"Authorization": f"Bearer {rest.token}", "Accept": accept}
    request = urllib.request.Request(f"{rest.url}/metrics", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def value_of(text: str, series: str) -> float:
    """Return the value of a series."""
    [line] = [line for line in text.splitlines() if line.startswith(f"{series} ")]
    return float(line.rpartition(" ")[2])


def works(client: Client) -> None:
    """Have tasks and commands done, one of which fails."""
    view = client.load_balanced_view()
    view.map_sync(abs, range(200))
    view.apply_async(divmod, 1, 0).wait()
    client[:].apply_sync(abs, 1)


def test_promtool_has_nothing_against_them(client: Client, promtool: str) -> None:
    """Names, types, help and units are as its conventions say."""
    works(client)
    kind, text = scrape(client)
    assert kind.startswith("text/plain; version=0.0.4")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_they_are_what_the_hub_counts(client: Client) -> None:
    """Of tasks, engines, messages; and the gateway's own, in either format."""
    works(client)
    until(lambda: client.telemetry().running == 0, "all has ended")
    seen = client.telemetry()

    def told(text: str) -> dict[str, float]:
        ended = {name: value_of(text, f'ctrlhub_tasks_total{{state="{name}"}}') for name in ("done", "failed", "cancelled")}
        return {"submitted": value_of(text, "ctrlhub_tasks_submitted_total"), **ended}

    counted = {name: float(seen.counters[f"tasks_{name}"]) for name in ("submitted", "done", "failed", "cancelled")}
    # What is told is a second old at most: of a moment at which they ran, it may be.
    until(lambda: told(scrape(client)[1]) == counted, "the figures are new")
    _, text = scrape(client)
    assert value_of(text, 'ctrlhub_engines{state="idle"}') == 2
    assert value_of(text, "ctrlhub_task_run_seconds_count") == seen.latency["run"].count
    assert value_of(text, "ctrlhub_hub_up") == 1
    assert value_of(text, 'ctrlhub_gateway_requests_total{code="200"}') >= 1
    kind, text = scrape(client, accept="application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")
    assert value_of(text, "ctrlhub_tasks_submitted_created") == pytest.approx(seen.started)


def test_counters_never_fall(client: Client) -> None:
    """However often one looks, and whatever goes on."""
    before: dict[str, float] = {}
    for _ in range(3):
        works(client)
        lines = [line.rpartition(" ") for line in scrape(client)[1].splitlines() if line[0] != "#"]
        now = {n: float(v) for n, _, v in lines if re.match(r"\w+_(total|count|bucket)\b", n)}
        assert all(now[name] >= value for name, value in before.items())
        assert len(now) > 100
        before = now


def test_a_hub_that_hangs_is_said(client: Client) -> None:
    """Within the time that a scrape has; the gateway's own figures are there."""
    rest, pid = rest_of(client, "view"), client.status()["hub"]["pid"]

    def is_up() -> bool:
        _, text = scrape(rest)
        assert value_of(text, "ctrlhub_gateway_process_resident_memory_bytes") > 0
        return value_of(text, "ctrlhub_hub_up") == 1

    assert is_up()
    os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: not is_up(), "it is said")
    finally:
        os.kill(pid, signal.SIGCONT)
    until(is_up, "it is back")


def free_port() -> int:
    """Return a port of this host that nobody has."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_server_scrapes_and_is_asked(client: Client, promtool: str, tmp_path: Path) -> None:
    """With the configuration and the rules of the document, and a token of the role view."""
    server = shutil.which("prometheus")
    assert server is not None
    works(client)
    rest, port = rest_of(client, "view"), free_port()
    token = tmp_path / "token"
    token.write_text(rest.token)
    text = DOCUMENT.read_text()
    scraping, rules = (
        textwrap.dedent(re.search(rf"^    {name}:\n(?:    .*\n|\n(?=    ))+", text, re.MULTILINE)[0])  # type: ignore[index]
        for name in ("scrape_configs", "groups")
    )
    scraping = scraping.replace("/etc/prometheus/ctrl-hub.token", str(token))
    scraping, replaced = re.subn(r"127\.0\.0\.1:\d+", urlsplit(rest.url).netloc, scraping)
    assert replaced == 1
    (tmp_path / "rules.yml").write_text(rules)
    config = tmp_path / "prometheus.yml"
    config.write_text(f"global: {{scrape_interval: 1s}}\nrule_files: [rules.yml]\n{scraping}")
    checked = subprocess.run([promtool, "check", "config", config], capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "6 rules found" in checked.stdout

    log = (tmp_path / "log").open("w")
    with log, subprocess.Popen(
        [server, f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
         f"--storage.tsdb.path={tmp_path / 'data'}"], stdout=log, stderr=log,
    ) as process:  # fmt: skip
        try:

            def asked(query: str) -> Any:
                assert process.poll() is None, (tmp_path / "log").read_text()
                try:
                    url = f"http://127.0.0.1:{port}/api/v1/query?query={quote(query)}"
                    with urllib.request.urlopen(url, timeout=10) as answer:
                        return json.load(answer)["data"]["result"]
                except OSError:  # it does not listen yet
                    return None

            found = until(lambda: asked('ctrlhub_tasks_total{state="done"}'), "it has scraped")
            assert float(found[0]["value"][1]) == client.telemetry().counters["tasks_done"]
            assert asked('up{job="ctrl-hub"}')[0]["value"][1] == "1"
            assert asked("histogram_quantile(0.95, ctrlhub_task_run_seconds_bucket)")
        finally:
            process.terminate()
            process.wait(60)
