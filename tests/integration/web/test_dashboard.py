"""The dashboard, in a real Chromium, of a real cluster that has something to do."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from ctrlhub import Client
from ctrlhub.gateway.token_file import TokenFile
from ctrlhub.wire.places import Profile, state_dir
from tests.support.browser import Complaints, comes
from tests.support.processes import until

if TYPE_CHECKING:
    from playwright.sync_api import Page


pytest.importorskip("bokeh", reason="needs the extra dashboard")
pytest.importorskip("playwright", reason="needs playwright, which leads Chromium")

SCRIPT = '<script>window.hacked = 1</script><img src="x" onerror="window.hacked = 2">'

TOOLTIP = """() => {
    const below = (node) => [...node.querySelectorAll('*')].flatMap((each) => (each.shadowRoot ? [each, ...below(each.shadowRoot)] : []));
    const parts = below(document).filter((each) => each.className.includes('Tooltip')).flatMap((each) => [...each.shadowRoot.children]);
    return parts.filter((each) => each.tagName !== 'STYLE').map((each) => each.innerText).join('');
}"""
"""What the plots say of what the mouse points at: Bokeh keeps it in shadow roots."""


def say_and_work(seconds: float) -> None:
    """Say that it has begun, then take time."""
    print("begun", flush=True)
    time.sleep(seconds)


def work(seconds: float, wrong: str = "") -> float:
    """Take some time, and perhaps fail."""
    time.sleep(seconds)
    if wrong:
        raise ValueError(wrong)
    return seconds


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
                results = [self._view.apply_async(work, 0.03, SCRIPT if n == 5 else "") for n in range(20)]
            for each in results:
                each.wait()

    def end(self) -> None:
        """Submit no more."""
        self._stop.set()
        self._thread.join()


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
    page.locator("#failure-list li summary").first.click()
    opened = page.locator("#failure-list li:has(details[open])")  # others are put before it meanwhile
    said = opened.locator("pre").inner_text()
    assert "Traceback" in said or "ValueError" in said
    assert SCRIPT in opened.inner_text()
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


def test_an_admin_interrupts_engines(busy: Client, open_page: Callable[..., Page]) -> None:
    """What runs there gets a KeyboardInterrupt, which is among the failures then."""
    page = open_page(address(busy, "admin"))
    page.get_by_role("tab", name="Engines").click()
    page.locator("#engine-rows tr[data-id='0']").click()
    result = busy[0].apply_async(say_and_work, 3600.0)
    until(lambda: "begun" in result.stdout, "it runs")
    page.get_by_role("button", name="Interrupt …").click()
    page.locator("#confirm-yes").click()
    comes(page, "document.querySelector('#said').textContent.includes('engine 0: interrupted')")
    until(result.done, "it was interrupted")
    page.get_by_role("tab", name="Failures").click()
    comes(page, "document.querySelector('#failure-list').textContent.includes('KeyboardInterrupt')")


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
    """There are no buttons, for who submits two, and the server refuses what a page sends all the same."""
    for role, offered in (("view", []), ("submit", ["Interrupt …", "Cancel a task …"])):
        page = open_page(address(busy, role))
        comes(page, "document.title.includes('2 engines')")
        shown = []
        for tab in ("Engines", "Tasks"):
            page.get_by_role("tab", name=tab).click()
            shown += page.locator("[role=tabpanel]:not([hidden]) .actions button:visible").all_inner_texts()
        assert page.locator("#role").inner_text() == role
        assert shown == offered
        status = page.evaluate("""async () => {
            const csrf = (await (await fetch('api/v1/session')).json()).csrf;
            return (await fetch('api/v1/engines/0/restart', {method: 'POST', headers: {'X-Ctrlhub-Csrf': csrf}})).status;
        }""")
        assert status == 403


def test_a_hub_that_does_not_answer_is_told_of(busy: Client, open_page: Callable[..., Page]) -> None:
    """The page says so and pales; when the hub answers, it is live."""
    page = open_page(address(busy, "view"))
    comes(page, "document.title.includes('2 engines')")
    hub = busy.status()["hub"]["pid"]
    os.kill(hub, signal.SIGSTOP)
    try:
        comes(page, "document.querySelector('#connection-text').textContent.startsWith('the hub does not answer')")
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
