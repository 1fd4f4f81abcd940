"""The page in a real Chromium, of a hub that is made up: very many engines, none, in a frame, many browsers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from ctrlhub.gateway.api.resources import MOST_ENGINES_PATH
from ctrlhub.wire.closing import MALFORMED
from ctrlhub.wire.telemetry import QueueDepth
from tests.support.browser import comes
from tests.support.made_up_gateway import Shown, made_up_gateway
from tests.support.processes import until

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytest.importorskip("bokeh", reason="needs the extra dashboard")
pytest.importorskip("playwright", reason="needs playwright, which leads Chromium")


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


def test_of_500_engines_each_is_found(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """With 20,000 tasks a second: a square for each, a table that sorts and filters, and what is not drawn is counted; all fits."""
    with made_up_gateway(tmp_path, 500, 20_000) as shown:
        page = open_page(shown.url())
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
        # All of it fits on a laptop: the page itself does not scroll. On a telephone it does, but not sideways.
        fits = "document.documentElement.scrollHeight <= innerHeight && document.documentElement.scrollWidth <= innerWidth"
        for tab in ("Overview", "Engines", "Tasks", "Failures", "Logs"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate(fits), tab
        page.set_viewport_size({"width": 390, "height": 800})
        for tab in ("Overview", "Engines", "Tasks", "Failures", "Logs"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), tab
        assert tiles_cut(page) == []


def tiles_cut(page: Page) -> list[str]:
    """Return what is cut off at the top of the page."""
    cut: list[str] = page.evaluate("[...document.querySelectorAll('#tiles dd')].filter((each) => each.scrollWidth > each.clientWidth).map((each) => each.textContent)")
    return cut


def test_of_very_many_that_run_what_has_ended_is_shown_too(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Half of the table is for it, and one may choose; the plot of what ran where leads to the table by keyboard."""
    with made_up_gateway(tmp_path, 500, 20_000) as shown:
        page = open_page(shown.url())
        comes(page, "document.querySelector('#stream-note').textContent.includes('more are not drawn')")
        page.get_by_role("button", name="As a table").press("Enter")
        assert page.evaluate("document.activeElement.id") == "tab-tasks"
        told = "[...document.querySelectorAll('#task-rows tr')].map((row) => row.cells[3].textContent)"
        states = page.evaluate(told)
        assert states.count("running") == len(states) / 2 == 150
        page.select_option("#task-which", "running")
        assert set(page.evaluate(told)) == {"running"}
        page.select_option("#task-which", "failed")
        assert set(page.evaluate(told)) <= {"error", "aborted"}


SPAN = """() => {
    const range = Bokeh.documents.at(-1).get_model_by_name('stream').x_range;
    return range.end - range.start;
}"""

STOPS = """() => {
    const below = (node) => [...(node.shadowRoot?.children ?? []), ...node.children].flatMap((each) => [each, ...below(each)]);
    return [...document.querySelectorAll('.plot')].flatMap(below).filter((each) => each.tabIndex >= 0).map((each) => each.className);
}"""
"""What the keyboard would stop at in the plots, where no key does anything."""

COLORS = """() => {
    const shown = [...document.querySelectorAll('.bk-Tooltip')].filter((each) => each.shadowRoot.textContent.includes('took'));
    return shown.slice(0, 1).flatMap((each) => [
        getComputedStyle(each).backgroundColor,
        getComputedStyle(each).color,
        getComputedStyle(each.shadowRoot.querySelector('.bk-tooltip-row-label')).color,
    ]);
}"""
"""Of what is said of a bar: behind it, its values, its names."""


def test_what_ran_where_is_looked_at_closely(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """By wheel and by buttons; it stands still until told to go on, and tells of bars in the page's colours."""
    with made_up_gateway(tmp_path, 2, 100) as shown:
        page = open_page(shown.url(), color_scheme="dark")
        comes(page, "window.Bokeh?.documents.at(-1)?.get_model_by_name('stream-data')?.data.what.length > 50")
        box = page.locator("#plot-stream").bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.3)
        assert page.evaluate(STOPS) == []
        whole = page.evaluate(SPAN)
        page.mouse.move(*middle)
        page.mouse.wheel(0, -300)
        until(lambda: page.evaluate(SPAN) < whole * 0.9, "it is nearer")
        comes(page, "document.querySelector('#stream-note').textContent.includes('Stands still')")
        page.get_by_role("button", name="Go on").click()
        assert page.evaluate(SPAN) == whole
        page.get_by_role("button", name="Look closer").press("Enter")
        assert page.evaluate(SPAN) == whole / 2
        page.get_by_role("button", name="Look from farther away").press("Enter")
        assert page.evaluate(SPAN) == whole
        for _ in range(3):
            page.get_by_role("button", name="Look closer").press("Enter")
        places = cycle([(x / 50, y) for x in range(10, 45) for y in (0.2, 0.7)])

        def told() -> list[str]:
            x, y = next(places)
            page.mouse.move(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
            colors: list[str] = page.evaluate(COLORS)
            return colors

        assert until(told, "a bar is told of") == ["rgb(27, 31, 39)", "rgb(231, 234, 240)", "rgb(163, 172, 186)"]


def test_commands_are_counted_beside_tasks(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """What direct views run is no task, but is done or has failed all the same; it is said which is which."""
    counters = {"tasks_done": 3, "tasks_failed": 0, "commands_done": 20, "commands_failed": 2}
    with made_up_gateway(tmp_path, 2, 0, {"counters": counters}) as shown:
        page = open_page(shown.url())
        comes(page, "document.querySelector('#tile-failed dd').textContent === '2'")
        assert page.locator("#tile-failed dt").inner_text() == "Failed (2 commands)"
        assert page.locator("#tile-done").inner_text().split("\n") == ["Done (20 commands)", "23"]
        assert page.locator("#count-failures").inner_text() == "2"


def test_clients_of_one_process_are_told_apart(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """By their sessions, where a process has several that wait; others have their names alone."""
    queues = (QueueDepth(7, "here:100", 0, 30), QueueDepth(8, "here:100", 0, 20), QueueDepth(9, "here:200", 0, 10), QueueDepth(9, "here:200", 5, 1))
    with made_up_gateway(tmp_path, 1, 0, {"queues": queues}) as shown:
        page = open_page(shown.url())
        comes(page, "document.querySelectorAll('#queues tr').length === 4")
        names = page.evaluate("[...document.querySelectorAll('#queues tr')].map((row) => row.cells[0].textContent)")
        assert names == ["here:100, session 7", "here:100, session 8", "here:200", "here:200"]


def test_a_token_of_another_server_stays_in_no_address(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """A server before ours may have taken it from the address, where the browser still has it."""
    with made_up_gateway(tmp_path, 1, 0) as shown:
        page = open_page(shown.url())
        page.route("**/?token=of-jupyter", lambda route: route.continue_(url=f"{shown.address}/"))
        page.goto(f"{shown.address}/?token=of-jupyter")
        comes(page, "document.querySelector('#connection-text').textContent === 'live'")
        assert "of-jupyter" not in page.url


def test_what_is_not_done_is_said(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Which of several sets is asked for first; what the server answers is shown, and the page goes on."""
    with made_up_gateway(tmp_path, 6, 50) as shown:
        page = open_page(shown.url("admin"))
        page.get_by_role("tab", name="Engines").click()
        comes(page, "document.querySelectorAll('#engine-rows tr').length === 6")
        page.get_by_role("button", name="Scale").click()
        assert page.locator("#confirm-text").inner_text() == "There are local: 2, slurm-a: 4."
        page.locator("#confirm select").select_option("slurm-a")
        page.locator("#confirm-yes").click()
        comes(page, "document.querySelector('#confirm-title').textContent === 'Scale slurm-a'")
        assert page.locator("#confirm input").input_value() == "4"
        page.locator("#confirm input").fill("5")
        page.locator("#confirm-yes").click()
        comes(page, "document.querySelector('#said .bad')?.textContent.startsWith('it was not done: ')")
        page.get_by_role("tab", name="Tasks").click()
        page.get_by_role("button", name="Cancel a task").click()
        page.locator("#confirm input").fill("nonsense")
        page.locator("#confirm-yes").click()
        comes(page, "document.querySelector('#said').textContent.includes('an id looks like 1349224-12')")
        page.get_by_role("tab", name="Engines").click()
        page.locator("#engine-rows tr").first.click()
        page.locator("#engine-rows tr").nth(3).click(modifiers=["Shift"])
        assert page.locator("#engine-count").inner_text() == "6 of 6, 4 chosen"
        page.keyboard.press("Control+a")
        assert page.locator("#engine-count").inner_text() == "6 of 6, 6 chosen"
        assert page.locator("#connection-text").inner_text() == "live"


def test_of_very_many_engines_all_are_acted_upon(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """Each once, in as many requests as their names need: the server takes the path of each of these."""
    with made_up_gateway(tmp_path, 700, 50) as shown:
        page = open_page(shown.url("admin"))
        paths: list[str] = []
        page.on("request", lambda request: paths.append(request.url) if request.method == "POST" else None)
        page.route("**/interrupt", lambda route: route.fulfill(json={"engines": []}))
        page.get_by_role("tab", name="Engines").click()
        comes(page, "document.querySelectorAll('#engine-rows tr').length === 700")
        page.locator("#engine-rows tr").first.click()
        page.keyboard.press("Control+a")
        page.get_by_role("button", name="Interrupt").click()
        page.locator("#confirm-yes").click()
        comes(page, "document.querySelectorAll('#said p').length === 2")
        named = [path.split("/")[-2] for path in paths]
        assert [int(each) for part in named for each in part.split(",")] == list(range(700))
        assert max(map(len, named)) <= MOST_ENGINES_PATH


def test_without_engines_it_says_how_to_start_some(tmp_path: Path, open_page: Callable[..., Page]) -> None:
    """And that nothing waits, has failed or has run."""
    with made_up_gateway(tmp_path, 0, 0) as shown:
        page = open_page(shown.url())
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
            (site / "index.html").write_text(f'<title>of others</title><iframe src="{shown.url()}" width="1300" height="700"></iframe>')
            page = open_page(f"http://localhost:{port}/")
            if is_live:
                frame = page.frame_locator("iframe")
                until(lambda frame=frame: frame.locator("#count-engines").inner_text() == "3", "it is live")  # type: ignore[misc]
                assert "token" not in page.frames[1].url
            else:
                # The page of the other site has loaded, and its frame with it: nothing of ours is there.
                assert page.frame_locator("iframe").locator("#main, form").count() == 0


def test_twenty_browsers_get_the_same(tmp_path: Path) -> None:
    """All that are there hear the same figures; what one second has is worked out once."""
    with made_up_gateway(tmp_path, 50, 1000) as shown, ExitStack() as stack:
        address = f"{shown.address.replace('http', 'ws')}/dashboard/feed"
        headers = {"Authorization": f"Bearer {shown.tokens['view']}"}
        sockets = [stack.enter_context(connect(address, additional_headers=headers, max_size=None)) for _ in range(20)]
        heard = [json.loads(each.recv(timeout=60))["kind"] for each in sockets]
        assert heard == ["hello"] * 20
        assert [json.loads(each.recv(timeout=60))["kind"] for each in sockets] == ["whole"] * 20
        latest = {}
        while len(latest) < 3:
            said = sockets[-1].recv(timeout=60)
            latest[json.loads(said)["time"]] = said
        for each in sockets[:-1]:
            common = 0
            while common < 2:
                said = each.recv(timeout=60)
                common += said == latest.get(json.loads(said)["time"])


@pytest.mark.parametrize("said", ["", "[]", '{"logs": 1}', '{"act":"restart"}', b"\xff\x00", "[" * 60])
def test_nonsense_from_a_browser_ends_its_connection(made_up: Shown, said: str | bytes) -> None:
    """With a reason; there is nothing else that the page says."""
    assert closing_of(made_up, said) == (MALFORMED, "this is nothing that the dashboard says")


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
    with connect(address, additional_headers={"Authorization": f"Bearer {shown.tokens['view']}"}) as socket:
        try:
            socket.send(said)
            while True:
                socket.recv(timeout=60)
        except ConnectionClosed as closed:
            return (1006, "") if closed.rcvd is None else (closed.rcvd.code, closed.rcvd.reason)
