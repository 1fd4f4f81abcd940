"""The dashboard, in a real Chromium, of a real cluster that has something to do."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ctrlhub import Client
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir
from tests.support.browser import SIZE, Complaints, chromium, program
from tests.support.made_up_gateway import Shown, made_up_gateway
from tests.support.processes import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytest.importorskip("bokeh", reason="needs the extra dashboard")
pytest.importorskip("playwright", reason="needs playwright, which leads Chromium")

SCRIPT = '<script>window.hacked = 1</script><img src="x" onerror="window.hacked = 2">'
SECONDS = 20_000.0

TOOLTIP = """() => {
    const below = (node) => [...node.querySelectorAll('*')].flatMap((each) => (each.shadowRoot ? [each, ...below(each.shadowRoot)] : []));
    const parts = below(document).filter((each) => each.className.includes('Tooltip')).flatMap((each) => [...each.shadowRoot.children]);
    return parts.filter((each) => each.tagName !== 'STYLE').map((each) => each.innerText).join('');
}"""
"""What the plots say of what the mouse points at: Bokeh keeps it in shadow roots."""


def work(seconds: float, wrong: str = "") -> float:
    """Take some time, and perhaps fail."""
    time.sleep(seconds)
    if wrong:
        raise ValueError(wrong)
    return seconds


@contextmanager
def site_of(directory: Path) -> Iterator[int]:
    """Serve a folder, as another site does; give its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Load:
    """Tasks that are submitted as long as it is there: some fail, and have scripts for names and errors."""

    def __init__(self, client: Client) -> None:
        self._view = client.load_balanced_view()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            with self._view.temp_flags(label=f"name {SCRIPT}"):
                results = [self._view.apply_async(work, 0.01, SCRIPT if n == 5 else "") for n in range(20)]
            for each in results:
                each.wait()

    def end(self) -> None:
        """Submit no more."""
        self._stop.set()
        self._thread.join()


def comes(page: Page, condition: str) -> None:
    """Wait until something holds in a page; it may evaluate no strings itself, as its policy says."""
    until(lambda: page.evaluate(condition), condition)


@pytest.fixture(scope="module")
def browser(require_system_part: Callable[[str, bool], None]) -> Iterator[Browser]:
    """A Chromium for the tests of this module."""
    require_system_part("chromium", program() is not None)
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def busy(cluster: Any) -> Iterator[Client]:
    """A client of the module's cluster that keeps it busy."""
    client = cluster.connect_client_sync()
    load = Load(client)
    try:
        yield client
    finally:
        load.end()
        client.close()


def address(client: Client, role: str) -> str:
    """Return the URL that logs in with a role."""
    url = client.gateway()
    tokens = TokenFile(Profile.named(client.profile, state_dir() / "clusters").tokens).now().tokens
    [secret] = [each.secret for each in tokens if each.role == role]
    return f"{url}/?token={secret}"


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a profile of its own: ``open_page(url, color_scheme="dark")``."""
    contexts = []

    def open_one(url: str, **options: Any) -> Page:
        context = browser.new_context(viewport=SIZE, **options)
        context.set_default_timeout(SECONDS)
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()


def test_it_shows_figures_that_change(busy: Client, open_page: Callable[..., Page]) -> None:
    """Logged in, the token is out of the URL; throughput, engines, tasks and the title follow the cluster."""
    context_page = open_page(address(busy, "view"))
    page, complaints = context_page, Complaints(context_page)
    comes(page, "document.title.includes('2 engines')")

    assert "token" not in page.url
    assert page.locator("#connection-text").inner_text() == "live"
    assert page.locator("#grid .cell").count() == 2
    done = page.locator("#tile-done dd")
    before = int(done.inner_text().replace(",", ""))
    comes(page, f"parseInt(document.querySelector('#tile-done dd').textContent.replace(',', '')) > {before}")
    comes(page, "parseFloat(document.querySelector('#tile-rate dd').textContent) > 0")
    comes(page, "document.querySelector('#plot-latency').ariaLabel.includes('half within')")
    comes(page, "Bokeh.documents.at(-1).get_model_by_name('stream-data').data.what.length > 20")
    assert complaints.said == []


def test_a_bar_says_what_ran(busy: Client, open_page: Callable[..., Page]) -> None:
    """Pointing at a task tells its name, engine and time; a script in the name is text."""
    page = open_page(address(busy, "view"))
    comes(page, "window.Bokeh?.documents.at(-1)?.get_model_by_name('stream-data')?.data.what.length > 50")
    # The plot stands still while it is looked at closely, as it does for a person who has zoomed.
    page.evaluate("""() => {
        const model = (name) => Bokeh.documents.at(-1).get_model_by_name(name);
        const {left, right} = model('stream-data').data;
        const last = left.length - 10;
        model('stream').x_range.setv({start: left[last] - 2, end: right[last] + 2});
        window.middle = () => {
            const view = [...Bokeh.index.roots].find((each) => each.model.name === 'stream');
            const {data} = model('stream-data');
            const place = data.left.indexOf(left[last]);
            const box = view.el.getBoundingClientRect();
            return [
                box.x + view.frame.x_scale.compute((data.left[place] + data.right[place]) / 2),
                box.y + view.frame.y_scale.compute(data.engine[place]),
            ];
        };
    }""")

    def told() -> str:
        x, y = page.evaluate("window.middle()")
        page.mouse.move(x - 1, y)
        page.mouse.move(x, y)
        text: str = page.evaluate(TOOLTIP)
        return text if "took" in text else ""

    text = until(told, "a bar is told of")
    assert "name <script>" in text
    assert re.search(r"took\s*:?\s*[\d.]+ (ms|s|µs)", text)
    assert page.evaluate("window.hacked") is None


def test_a_traceback_is_text(busy: Client, open_page: Callable[..., Page]) -> None:
    """A failure is listed with its error and traceback; scripts in them, in labels and in the table do nothing."""
    page = open_page(address(busy, "view"))
    page.get_by_role("tab", name="Failures").click()
    first = page.locator("#failure-list li").first
    first.locator("summary").click()
    said = first.locator("pre").inner_text()
    assert "Traceback" in said or "ValueError" in said
    assert SCRIPT in first.inner_text()
    page.get_by_role("tab", name="Tasks").click()
    comes(page, "document.querySelector('#task-rows').textContent.includes('<script>')")
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0
    assert page.evaluate("window.hacked") is None


def test_logs_of_hub_and_engines(busy: Client, open_page: Callable[..., Page]) -> None:
    """Their ends are there, what is written comes, and the filter of levels and engines holds."""
    page = open_page(address(busy, "view"))
    page.get_by_role("tab", name="Logs").click()
    comes(page, "document.querySelector('#log-lines').textContent.includes('serves profile')")
    busy[0].execute(f"import logging; logging.getLogger('mine').error('broken {SCRIPT}')", block=True)
    comes(page, "document.querySelector('#log-lines').textContent.includes('broken <script>')")
    page.select_option("#log-writer", "engine 0")
    comes(page, "!document.querySelector('#log-lines').textContent.includes('serves profile')")
    page.select_option("#log-writer", "engine 1")
    comes(page, "!document.querySelector('#log-lines').textContent.includes('broken')")
    assert page.evaluate("window.hacked") is None


def test_it_is_dark_where_the_system_is(busy: Client, open_page: Callable[..., Page]) -> None:
    """And light when told to be, which a reload does not change; the plots go with the page."""
    page = open_page(address(busy, "view"), color_scheme="dark")
    comes(page, "window.Bokeh?.documents.at(-1)?.get_model_by_name('stream')")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(18, 21, 27)"
    comes(page, "Bokeh.documents.at(-1).get_model_by_name('stream').border_fill_color == '#1b1f27'")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(243, 244, 247)"
    comes(page, "Bokeh.documents.at(-1).get_model_by_name('stream').border_fill_color == '#ffffff'")
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "light"


def test_all_of_it_is_reached_by_keyboard(busy: Client, open_page: Callable[..., Page]) -> None:
    """From the link that skips, over tabs by arrows, into the table, where rows are chosen; the focus is seen."""
    page = open_page(address(busy, "admin"))
    comes(page, "document.title.includes('2 engines')")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "tab-overview"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.id") == "tab-engines"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert page.locator("#engines").is_visible()
    seen = []
    for _ in range(40):
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.id || document.activeElement.tagName"))
        if seen[-1] == "TR":
            break
    assert seen[0] == "engine-filter"
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.dataset.id") == "1"
    page.keyboard.press("Space")
    assert page.locator("#engine-rows tr[aria-selected=true]").count() == 1
    assert page.get_by_role("button", name="Interrupt").is_enabled()
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.id") == "0"


def test_an_admin_restarts_an_engine(busy: Client, open_page: Callable[..., Page]) -> None:
    """After it was asked, and not if the answer is no; the table shows that another process is there."""
    page = open_page(address(busy, "admin"))
    page.get_by_role("tab", name="Engines").click()
    row = page.locator("#engine-rows tr[data-id='1']")
    row.click()
    pid = row.locator("td").nth(4).inner_text()
    restart = page.get_by_role("button", name="Restart …")
    restart.click()
    assert page.locator("dialog#confirm").is_visible()
    assert "engine 1" in page.locator("#confirm-title").inner_text()
    page.get_by_role("button", name="Keep as it is").click()
    assert not page.locator("dialog#confirm").is_visible()
    assert page.locator("#said").inner_text() == ""

    restart.click()
    page.locator("#confirm-yes").click()
    comes(page, "document.querySelector('#said').textContent.includes('engine 1: restarting')")
    comes(page, f"""() => {{
        const row = document.querySelector("#engine-rows tr[data-id='1']");
        return row && row.cells[4].textContent !== '{pid}';
    }}""")


def test_an_admin_cancels_what_runs(busy: Client, open_page: Callable[..., Page]) -> None:
    """A task that would run for an hour ends when it is cancelled in the table."""
    view = busy.load_balanced_view()
    with view.temp_flags(label="an hour", priority=100):
        result = view.apply_async(work, 3600.0)
    page = open_page(address(busy, "admin"))
    page.get_by_role("tab", name="Tasks").click()
    page.fill("#task-filter", "an hour")
    page.get_by_role("button", name="Cancel an hour").click()
    page.locator("#confirm-yes").click()
    until(result.done, "the task was cancelled")
    comes(page, "/interrupted|cancelled/.test(document.querySelector('#said').textContent)")


def test_an_admin_scales(busy: Client, open_page: Callable[..., Page]) -> None:
    """One engine more is there when it was asked for, and leaves again."""
    page = open_page(address(busy, "admin"))
    page.get_by_role("tab", name="Engines").click()
    for count in (3, 2):
        page.get_by_role("button", name="Scale").click()
        page.locator("#confirm input").fill(str(count))
        page.locator("#confirm-yes").click()
        comes(page, f"document.querySelector('#count-engines').textContent === '{count}'")


def test_who_only_views_can_change_nothing(busy: Client, open_page: Callable[..., Page]) -> None:
    """There are no buttons, and the server refuses what a page sends all the same."""
    for role in ("view", "submit"):
        page = open_page(address(busy, role))
        comes(page, "document.title.includes('2 engines')")
        page.get_by_role("tab", name="Engines").click()
        assert page.locator("#role").inner_text() == role
        assert not page.locator("#engine-actions").is_visible()
        assert not page.locator("#task-actions").is_visible()
        status = page.evaluate("""async () => {
            const csrf = (await (await fetch('api/v1/session')).json()).csrf;
            return (await fetch('api/v1/engines/0/restart', {method: 'POST', headers: {'X-Ctrlhub-Csrf': csrf}})).status;
        }""")
        assert status == 403


def test_a_hub_that_does_not_answer_is_gone(busy: Client, open_page: Callable[..., Page]) -> None:
    """The page says so and pales; when the hub answers, it is live."""
    page = open_page(address(busy, "view"))
    comes(page, "document.title.includes('2 engines')")
    hub = busy.status()["hub"]["pid"]
    os.kill(hub, signal.SIGSTOP)
    try:
        comes(page, "document.querySelector('#connection-text').textContent.startsWith('hub gone')")
        assert page.title().startswith("disconnected")
        assert float(page.evaluate("getComputedStyle(document.querySelector('#tiles')).opacity")) < 1
    finally:
        os.kill(hub, signal.SIGCONT)
    comes(page, "document.querySelector('#connection-text').textContent === 'live'")


def test_it_comes_back_after_the_gateway_was_killed(busy: Client, open_page: Callable[..., Page]) -> None:
    """The page says that nobody answers, and goes on with the next gateway by itself, still logged in."""
    page = open_page(address(busy, "view"))
    comes(page, "document.title.includes('2 engines')")
    http = busy.status()["hub"]["http"]
    page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => window.seen.push(document.title)).observe(document.head, {subtree: true, childList: true, characterData: true});
    }""")
    os.kill(http["pid"], signal.SIGKILL)
    comes(page, "window.seen.some((title) => title.startsWith('disconnected')) && document.title.includes('2 engines')")
    assert page.locator("#connection-text").inner_text() == "live"
    assert busy.status()["hub"]["http"]["pid"] != http["pid"]


def test_of_500_engines_each_is_found(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """With 20,000 tasks a second: a square for each, a table that sorts and filters, and what is not drawn is counted."""
    with made_up_gateway(tmp_path, 500, 20_000) as shown:
        page = open_page(shown.url)
        comes(page, "document.querySelectorAll('#grid .cell').length === 500")
        comes(page, "document.querySelector('#stream-note').textContent.includes('more are not drawn')")
        box, last = page.locator("#grid").bounding_box(), page.locator("#grid .cell").last.bounding_box()
        assert box is not None
        assert last is not None
        assert last["y"] + last["height"] <= box["y"] + box["height"]
        page.get_by_role("tab", name="Engines").click()
        comes(page, "document.querySelectorAll('#engine-rows tr').length === 500")
        page.get_by_role("button", name="Memory").click()
        sizes = page.evaluate("[...document.querySelectorAll('#engine-rows tr')].map((row) => row.cells[6].textContent)")
        numbers = [int(size.removesuffix(" MB")) for size in sizes]
        assert numbers == sorted(numbers, reverse=True)
        assert page.locator("#engine-head th[aria-sort=descending]").inner_text().startswith("Memory")
        page.fill("#engine-filter", "node31")
        assert page.evaluate("document.querySelectorAll('#engine-rows tr').length") == 500 - 31 * 16
        # All of it fits on a laptop: the page itself does not scroll.
        assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")


def test_without_engines_it_says_how_to_start_some(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """And that nothing waits, has failed or has run."""
    with made_up_gateway(tmp_path, 0, 0) as shown:
        page = open_page(shown.url)
        comes(page, "document.title.startsWith('0 running, 0 engines')")
        assert "ctrl-hub engines start" in page.locator("#grid-empty").inner_text()
        assert page.locator("#queues-empty").is_visible()
        for tab, empty in (("Engines", "#engine-empty"), ("Tasks", "#task-empty"), ("Failures", "#failure-empty")):
            page.get_by_role("tab", name=tab).click()
            assert page.locator(empty).is_visible()


def test_below_a_path_and_in_a_frame(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Where the options allow it a page of another site shows it, and it is live there; else the frame stays empty."""
    site = tmp_path / "site"
    site.mkdir()
    for frames, is_live in ((("http://localhost:*",), True), ((), False)):
        place = tmp_path / f"gateway-{is_live}"
        with made_up_gateway(place, 3, 50, frames=frames, prefix="/user/me") as shown, site_of(site) as port:
            (site / "index.html").write_text(f'<title>of others</title><iframe src="{shown.url}" width="1300" height="700"></iframe>')
            page = open_page(f"http://localhost:{port}/")
            if is_live:
                frame = page.frame_locator("iframe")
                until(lambda frame=frame: frame.locator("#count-engines").inner_text() == "3", "it is live")  # type: ignore[misc]
                assert "token" not in page.frames[1].url
            else:
                until(lambda page=page: page.frames[1].url.startswith("chrome-error:"), "the frame is refused")  # type: ignore[misc]


def test_twenty_browsers_get_the_same(tmp_path: Path) -> None:
    """All that are there hear the same figures; what one second has is worked out once."""
    with made_up_gateway(tmp_path, 50, 1000) as shown, ExitStack() as stack:
        address = f"{shown.address.replace('http', 'ws')}/dashboard/feed"
        headers = {"Authorization": f"Bearer {shown.token}"}
        sockets = [stack.enter_context(connect(address, additional_headers=headers, max_size=None)) for _ in range(20)]
        heard = [json.loads(each.recv(timeout=30))["kind"] for each in sockets]
        assert heard == ["hello"] * 20
        assert [json.loads(each.recv(timeout=30))["kind"] for each in sockets] == ["whole"] * 20
        latest = {}
        while len(latest) < 3:
            said = sockets[-1].recv(timeout=30)
            latest[json.loads(said)["time"]] = said
        for each in sockets[:-1]:
            common = 0
            while common < 2:
                said = each.recv(timeout=30)
                common += said == latest.get(json.loads(said)["time"])


@pytest.mark.parametrize("said", ["", "[]", '{"logs": 1}', '{"act":"restart"}', b"\xff\x00", "[" * 60])
def test_nonsense_from_a_browser_ends_its_connection(made_up: Shown, said: str | bytes) -> None:
    """With a reason; there is nothing else that the page says."""
    assert closing_of(made_up, said) == (4408, "this is nothing that the dashboard says")


def test_what_is_too_long_is_not_read(made_up: Shown) -> None:
    """A browser has hardly anything to say."""
    assert closing_of(made_up, "[" * 1_000_000)[0] in (1006, 1009)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """A gateway with an engine that there is not."""
    with made_up_gateway(tmp_path_factory.mktemp("gateway"), 1, 1) as shown:
        yield shown


def closing_of(shown: Shown, said: str | bytes) -> tuple[int, str]:
    """Say something to the feed; return how it closes the connection."""
    address = f"{shown.address.replace('http', 'ws')}/dashboard/feed"
    with connect(address, additional_headers={"Authorization": f"Bearer {shown.token}"}) as socket:
        try:
            socket.send(said)
            while True:
                socket.recv(timeout=30)
        except ConnectionClosed as closed:
            return (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
