"""A person at a JupyterLab, in a real browser: clusters by widgets, and the dashboard through jupyter-server-proxy."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from ctrlhub import Client, Cluster
from ctrlhub.cluster.listing import list_clusters
from ctrlhub.gateway.access.roles import Role
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile
from tests.support.jupyter_lab import PREFIX, TOKEN, Lab, browser_page, missing, running_lab
from tests.support.processes import until
from tests.support.state import own_state

CELLS = ("import ctrlhub\nctrlhub.widget()", "ctrlhub.Client(profile='lab')")


@pytest.fixture(scope="module")
def state(
    tmp_path_factory: pytest.TempPathFactory, require_system_part: Callable[[str, bool], None]
) -> Iterator[Path]:
    """Where the clusters of these tests have their state."""
    require_system_part(f"JupyterLab and a browser ({missing()})", not missing())
    with own_state(tmp_path_factory.mktemp("state")) as directory:
        yield directory


@pytest.fixture(scope="module")
def lab(state: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab with a notebook."""
    with running_lab(tmp_path_factory.mktemp("lab")) as running:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        cells = [nbformat.v4.new_code_cell(each) for each in CELLS]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        nbformat.write(notebook, running.work / "clusters.ipynb")
        yield running


@pytest.fixture(scope="module")
def page(lab: Lab) -> Iterator[Any]:
    """A browser that has logged in to JupyterLab."""
    with browser_page() as page:
        page.goto(f"{lab.url}lab?token={TOKEN}")
        page.locator(".jp-Launcher").wait_for()
        yield page


def run_cell(page: Any, number: int) -> None:
    """Run a cell of the notebook, as a person does who waits for its kernel."""
    page.get_by_text("(ipykernel) | Idle").wait_for()  # before that, cells are skipped
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    cell.locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    cell.locator(".jp-InputArea-prompt").get_by_text(re.compile(r"\[(\d+|\*)\]")).wait_for()


def test_a_cluster_by_its_widget(page: Any, lab: Lab, state: Path) -> None:
    """A person starts a cluster in a notebook, makes it larger, has the dashboard linked, and stops it."""
    page.goto(f"{lab.url}lab/tree/clusters.ipynb?reset")
    run_cell(page, 0)
    page.get_by_text("Start another cluster").click()
    form = page.locator(".ctrlhub-start")
    form.get_by_label("engines").fill("2")
    form.get_by_label("profile").fill("lab")
    form.get_by_role("button", name="Start", exact=True).click()
    page.get_by_text("2 engines: 2 idle").wait_for()
    page.locator(".ctrlhub-cluster").get_by_label("engines").fill("3")
    page.get_by_role("button", name="Scale", exact=True).click()
    page.get_by_text("3 engines: 3 idle").wait_for()
    with Client(profile="lab") as client:
        assert len(client) == 3
    page.get_by_role("button", name="Dashboard", exact=True).click()
    link = page.get_by_role("link", name="dashboard").first
    link.wait_for()
    assert link.get_attribute("href") == f"{PREFIX}ctrl-hub/@lab/"
    run_cell(page, 1)
    page.get_by_text("of lab: 3 engines").wait_for()
    with page.context.expect_page() as opened:
        link.click()
    opened.value.get_by_text("live", exact=True).wait_for()
    assert opened.value.url.startswith(f"{lab.url}ctrl-hub/@lab/")
    opened.value.close()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text("lab not running").wait_for()
    until(lambda: list_clusters(state) == [], "nothing is left of the cluster")


def test_the_dashboard_from_the_launcher(page: Any, lab: Lab) -> None:
    """The launcher, where it has an icon, opens the dashboard in a tab: it says that there is no cluster, then shows its figures, and scales it."""
    page.goto(f"{lab.url}lab?reset")
    tile = page.locator('.jp-LauncherCard[title="ctrl-hub dashboard"]')
    tile.locator("img").wait_for()
    until(lambda: tile.locator("img").evaluate("(icon) => icon.naturalWidth > 0"), "it has an icon")
    tile.click()
    frame = page.frame_locator("iframe")
    frame.get_by_text("no hub of profile 'default' is running").wait_for()
    with Cluster(1, profile="default", progress=False) as client:
        frame.get_by_text("live", exact=True).wait_for()
        client.load_balanced_view().map_sync(abs, range(20))
        frame.locator("#tile-done").get_by_text("20", exact=True).wait_for()
        frame.get_by_role("tab", name="Engines").click()
        frame.get_by_role("button", name="Scale …").click()
        frame.locator("dialog input[type=number]").fill("2")
        frame.get_by_role("button", name="Scale", exact=True).click()
        client.wait_for_engines(2, timeout=60)
        cookies = {each["name"] for each in page.context.cookies()}
        assert not [name for name in cookies if name.startswith("ctrlhub")]
        assert secret() not in page.content()


def secret() -> str:
    """The token that lets do all."""
    token = TokenFile(Profile.named("default").tokens).now().shown(Role.ADMIN)
    assert token is not None
    return token.secret


def ask(address: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
    """Return status and text of an answer."""
    wanted = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, method=method, headers=wanted)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_who_may_go_through(lab: Lab) -> None:
    """Who is logged in to Jupyter may do all; others, and scripts of other sites, may do nothing."""
    session = f"{lab.url}ctrl-hub/api/v1/session"
    mine = {"Authorization": f"token {TOKEN}"}
    with Cluster(1, profile="default", progress=False), Cluster(0, progress=False) as private:
        status, text = ask(session, **mine)
        assert (status, json.loads(text)["role"]) == (200, "admin")
        assert ask(f"{session}?token={TOKEN}")[0] == 200
        assert '"role"' not in ask(session)[1]
        assert ask(session, "POST", **mine)[0] == 405
        for strange in ({"Origin": "https://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
            status, text = ask(session, "POST", **mine, **strange)
            assert (status, "other sites" in text) == (403, True)
        named = f"{lab.url}ctrl-hub/@{private.profile}/api/v1/session"
        assert ask(named, **mine)[0] == 200
        status, text = ask(f"{lab.url}ctrl-hub/@<b>nobody/", **mine)
        assert status in (400, 404)
        assert "<b>" not in text
        status, text = ask(f"{lab.url}ctrl-hub/@nobody/", **mine)
        assert (status, "no hub of profile" in text) == (503, True)
        port = Client(profile="default").dashboard_link.rpartition(":")[2]
        status, text = ask(f"{lab.url}proxy/{port}/", **mine)
        assert (status, 'type="password"' in text) == (200, True)


def test_a_client_from_afar(lab: Lab) -> None:
    """Whoever has a token of the Jupyter server can use a cluster behind it; what is shown has no token."""
    with Cluster(2, profile="default", progress=False):
        way = f"{lab.url}ctrl-hub/?token=something-else"
        with Client(way, headers={"Authorization": f"token {TOKEN}"}) as client:
            assert client.load_balanced_view().map_sync(abs, range(-3, 0)) == [3, 2, 1]
            assert client.dashboard_link == f"{lab.url}ctrl-hub"
            assert f'href="{lab.url}ctrl-hub"' in client._repr_html_()
            assert "something-else" not in client._repr_html_()


def test_a_gateway_by_its_port(page: Any, lab: Lab) -> None:
    """Behind ``proxy/PORT/`` a gateway asks for its own token, and shows figures to who has one."""
    with Cluster(1, profile="ported", progress=False) as client:
        port = client.gateway().rpartition(":")[2]
        token = TokenFile(Profile.named("ported").tokens).now().shown(Role.VIEW)
        assert token is not None
        page.goto(f"{lab.url}proxy/{port}/")
        page.get_by_label("Token").fill(token.secret)
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("live", exact=True).wait_for()
        assert token.secret not in page.url
        assert page.locator("#role").inner_text() == "view"
