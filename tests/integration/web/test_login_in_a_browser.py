"""Logging in with a real browser, and what scripts of other sites can do there: nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from ctrlhub import Cluster
from ctrlhub.gateway.access.roles import Role
from ctrlhub.wire.places import Profile, state_dir
from tests.support.browser import chromium, program
from tests.support.gateways import Site
from tests.support.state import own_state

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

pytestmark = pytest.mark.skipif(
    program() is None and not os.environ.get("CTRLHUB_REQUIRE_SYSTEM_PARTS"), reason="chromium is not installed"
)

TRY = """async ([url, word]) => {
    const send = (headers) => fetch(url + '/api/v1/tasks/cancel', {method: 'POST', headers, body: '{}'}).then(
        (answer) => answer.status, (error) => 'failed');
    const json = {'Content-Type': 'application/json'};
    const socket = new WebSocket(url.replace('http', 'ws') + '/api/v1/events');
    const opened = await new Promise((done) => { socket.onopen = () => done(true); socket.onerror = () => done(false); });
    socket.close();
    const read = await fetch(url + '/api/v1/session', {credentials: 'include'}).then((a) => a.json(), () => 'failed');
    return {plain: await send(json), word: await send({...json, 'X-Ctrlhub-Csrf': word}), opened, read};
}"""
"""What a script tries: to change something, without and with the word of a page of ours; a WebSocket; to read."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway."""
    with own_state(tmp_path_factory.mktemp("state")), Cluster(n=0) as client:
        yield Site(client.gateway(), Profile.named(client.profile, state_dir() / "clusters"))


@pytest.fixture(scope="module")
def context() -> Iterator[BrowserContext]:
    """A browser with cookies of its own."""
    with chromium() as browser:
        context = browser.new_context()
        yield context
        context.close()


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[str]:
    """Another site, with an empty page."""
    (tmp_path / "index.html").write_text("<!DOCTYPE html><title>elsewhere</title>")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_person_logs_in(site: Site, context: BrowserContext, elsewhere: str) -> None:
    """By the form, with a token; then pages are there, scripts do not see the cookie, and other sites have nothing of it."""
    context.clear_cookies()
    page = context.new_page()
    page.goto(site.url)
    assert page.url.startswith(f"{site.url}/login")
    page.fill("#token", "not a token")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert "not good" in page.inner_text("[role=alert]")
    page.fill("#token", site.secret(Role.SUBMIT))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/")
    assert page.evaluate("document.cookie") == ""
    session = json.loads(page.evaluate("fetch('/api/v1/session').then((answer) => answer.text())"))
    assert session["role"] == "submit"

    own = page.evaluate(TRY, [site.url, session["csrf"]])
    assert own["plain"] == 403
    assert own["word"] not in (401, 403, "failed")
    assert (own["opened"], own["read"]["role"]) == (True, "submit")

    stranger = context.new_page()
    stranger.goto(elsewhere)
    foreign = stranger.evaluate(TRY, [site.url, session["csrf"]])
    assert foreign == {"plain": "failed", "word": "failed", "opened": False, "read": "failed"}
    stranger.set_content(f'<iframe src="{site.url}/healthz"></iframe><iframe src="{site.url}/"></iframe>')
    stranger.wait_for_load_state("networkidle")
    assert all(site.url not in frame.url for frame in stranger.frames)
    page.close()
    stranger.close()


def test_a_file_with_a_link_logs_in(site: Site, context: BrowserContext, tmp_path: Path) -> None:
    """As `ctrl-hub dashboard` has it opened; so do links of other sites, and who has no login is asked for one."""
    context.clear_cookies()
    file = tmp_path / "dashboard.html"
    page = context.new_page()
    for token, shown in (("", "form"), (f"?token={site.secret(Role.VIEW)}", "#tiles"), ("", "#tiles")):
        file.write_text(f'<meta http-equiv="refresh" content="0; url={site.url}/{token}">')
        page.goto(file.as_uri())
        page.locator(shown).wait_for()
        assert "token=" not in page.url
    assert page.url.partition("#")[0] == f"{site.url}/"
    page.close()


def test_a_link_with_a_token_logs_in(site: Site, context: BrowserContext) -> None:
    """And is the link without it at once, in the address and in the history."""
    context.clear_cookies()
    page = context.new_page()
    page.goto(f"{site.url}/?token={site.secret(Role.VIEW)}")
    seen = [page.url, *(page.evaluate("performance.getEntries().map((entry) => entry.name)"))]
    assert page.url.partition("#")[0] == f"{site.url}/"
    assert not any("token" in each or site.secret(Role.VIEW) in each for each in seen)
    [cookie] = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["name"]) == (True, "Strict", f"ctrlhub-{site.address[1]}")
    page.close()
