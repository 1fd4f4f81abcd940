"""A real Chromium, without a window."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.support.processes import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SIZE = {"width": 1366, "height": 768}
"""A laptop's."""


def program() -> str | None:
    """Return where Chromium is; None if it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run one."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


class Complaints:
    """What a page's console complains of, and the errors that its scripts did not catch."""

    def __init__(self, page: Page) -> None:
        self.said: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.said.append(message.text)


def comes(page: Page, condition: str) -> None:
    """Wait until something holds in a page; it may evaluate no strings itself, as its policy says."""
    until(lambda: page.evaluate(condition), condition)
