"""A real browser at a real server: uvicorn in a thread, on the test's database and Valkey; headless Chromium."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator

import pytest
import uvicorn
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from control.accounts.models import User
from control.local.ports import free_port

# playwright's own loop runs in this thread; Django's tests are synchronous all the same.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
expect.set_options(timeout=30_000)  # a loaded machine is not a failure
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


class Server:
    """The web process's application; it can be stopped and started again on its port."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from control.asgi import application

        config = uvicorn.Config(application, port=self.port, log_level="error", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the web server did not start")
            threading.Event().wait(0.02)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(timeout=20)


@pytest.fixture
def server(transactional_db: None) -> Iterator[Server]:
    others = _sessions()
    running = Server()
    running.start()
    yield running
    running.stop()
    _end_sessions_but(others)


def _sessions() -> list[int]:
    """Backends that serve the test database, this thread's own included."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
        return [pid for (pid,) in cursor.fetchall()]


def _end_sessions_but(kept: list[int]) -> None:
    """The server's threads keep their connections to the end of the process; the test database cannot wait so long.

    What was there before the server stays: under playwright's loop this thread has another connection than outside it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> ALL(%s)",
            [kept],
        )


# Not for the whole session: while playwright's loop runs in this thread, async_to_sync refuses to work in it.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("these tests drive Chromium: apt-get install chromium, or set CHROMIUM")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1600, "height": 1000})
    yield made
    made.close()


@pytest.fixture
def page_of(context: BrowserContext, server: Server) -> Callable[[User], Page]:
    """A page of a signed-in user. ``page.errors`` collects what the page's scripts complained of."""

    def make(user: User) -> Page:
        client = Client()
        client.force_login(user)
        cookie = client.cookies["heliograph_session"]
        context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": server.url}])
        page = context.new_page()
        page.errors = []  # type: ignore[attr-defined]
        page.on("pageerror", lambda error: page.errors.append(str(error)))  # type: ignore[attr-defined]
        return page

    return make
