"""What a person would look at, in a real headless Chromium: sign in, watch fills arrive, photograph the pages."""

import json
import shutil
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Error, Page, sync_playwright

from control.local.failures import failed, missing
from control.local.layout import Layout
from control.local.story import tell

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH, HEIGHT, TALLEST = 1440, 900, 4000
ARRIVAL_SECONDS = 90.0
WANTED_FILLS = 3

CONTENT_HEIGHT = """
() => innerHeight + Math.max(0, ...[document.documentElement, ...document.querySelectorAll("main, #main, .main")]
  .map(element => element.scrollHeight - element.clientHeight))
"""

# Rows that come into the fills table after the snapshot filled it.
COUNT_ARRIVALS = """
() => {
  window.fillsArrived = 0;
  new MutationObserver(changes => {
    for (const change of changes) window.fillsArrived += change.addedNodes.length;
  }).observe(document.getElementById("live-fills"), {childList: true});
}
"""


def look(layout: Layout, url: str, deployment: str, screenshots: Path) -> dict[str, Any]:
    """Returns ``fills_arrived`` (rows that came in while the live page was open), ``screenshots`` and ``errors``."""
    passwords = _passwords(layout)
    screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
        try:
            tour = Tour(browser, url, passwords, screenshots)
            arrived = tour.watch_fills(f"deployments/{deployment}/")
            tour.visit("tess", {"home": "", "deployments": "deployments/", "nodes": "nodes/"})
            tour.visit("quinn", {"strategies": "strategies/", "datasets": "datasets/", "backtests": "backtests/"})
            tour.follow("quinn", "backtests/", "a[href^='/backtests/']", "backtest")
            tour.follow("quinn", f"deployments/{deployment}/", "a[href^='/versions/']", "version")
            tour.visit("rhea", {"approvals": "approvals/"})
            tour.visit("ada", {"audit": "audit/", "admin": "admin/"})
        except Error as error:
            raise failed("browser", str(error)) from error
        finally:
            browser.close()
    return {"fills_arrived": arrived, "screenshots": [str(path) for path in tour.taken], "errors": tour.errors}


def chromium() -> str:
    """The installed browser."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise missing("Chromium", "sudo apt-get install -y chromium")


class Tour:
    """Pages by the people who use them. ``errors`` are the scripts' uncaught ones."""

    def __init__(self, browser: Browser, url: str, passwords: dict[str, str], screenshots: Path) -> None:
        self.browser, self.url, self.passwords, self.screenshots = browser, url, passwords, screenshots
        self.taken: list[Path] = []
        self.errors: list[str] = []
        self._pages: dict[str, Page] = {}

    def watch_fills(self, path: str) -> int:
        """How many fills came in on the live page before enough did or the time was over."""
        page = self._page("tess")
        page.goto(self.url + path)
        page.wait_for_selector("#live-fills tr", state="attached", timeout=60_000)
        page.evaluate(COUNT_ARRIVALS)
        end = time.monotonic() + ARRIVAL_SECONDS
        arrived = 0
        while arrived < WANTED_FILLS and time.monotonic() < end:
            page.wait_for_timeout(500)
            arrived = page.evaluate("window.fillsArrived")
        self._take(page, "live")
        tell(f"{arrived} fills arrived on the live page")
        return arrived

    def visit(self, username: str, pages: dict[str, str]) -> None:
        for name, path in pages.items():
            page = self._page(username)
            page.goto(self.url + path, wait_until="networkidle")
            self._take(page, name)

    def follow(self, username: str, path: str, selector: str, name: str) -> None:
        """The page behind the first link on ``path`` that ``selector`` finds and that leads further down."""
        page = self._page(username)
        page.goto(self.url + path)
        links = [link.get_attribute("href") or "" for link in page.locator(selector).all()]
        deeper = [link for link in links if len(link.strip("/").split("/")) > 1]
        if not deeper:
            raise failed("browser", f"{path} has no link {selector}")
        page.goto(self.url.rstrip("/") + deeper[0], wait_until="networkidle")
        page.wait_for_timeout(1_000)  # charts draw after their data has come
        self._take(page, name)

    def _page(self, username: str) -> Page:
        if username not in self._pages:
            context = self.browser.new_context(viewport={"width": WIDTH, "height": HEIGHT})
            page = context.new_page()
            page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
            page.goto(self.url + "login/")
            if not self.taken:
                self._take(page, "login")
            page.fill("input[name=username]", username)
            page.fill("input[name=password]", self.passwords[username])
            page.press("input[name=password]", "Enter")
            page.wait_for_url(lambda address: "/login" not in address)
            self._pages[username] = page
        return self._pages[username]

    def _take(self, page: Page, name: str) -> None:
        """The whole page: what scrolls inside the frame is given room first."""
        path = self.screenshots / f"{name}.png"
        height = min(max(HEIGHT, page.evaluate(CONTENT_HEIGHT)), TALLEST)
        page.set_viewport_size({"width": WIDTH, "height": height})
        page.wait_for_timeout(400)  # charts follow the new size
        page.screenshot(path=path)
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        self.taken.append(path)


def _passwords(layout: Layout) -> dict[str, str]:
    rows = [json.loads(line) for line in layout.credentials.read_text().splitlines()]
    return {row["username"]: row["password"] for row in rows}
