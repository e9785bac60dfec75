"""Dash inside Django: one Flask app a Dash app, called by a Django view that has checked who asks for what.

The view hands over the request's WSGI environ with a ``Visit`` in it: the user, the object that the page
is about, and the address under which this object's page lives. Layouts and callbacks read it with
``visit()``. Dash's index is taken apart so that Django can put it into its own base template. The
scripts have one address for all pages (``/dash/_dash-component-suites/``), so a browser keeps them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import flask
from dash import Dash
from dash.exceptions import DependencyException
from django.http import Http404, HttpRequest, HttpResponse
from werkzeug.test import run_wsgi_app

log = logging.getLogger(__name__)

ROOT = "/dash/"
SUITES = "_dash-component-suites/"
_ENVIRON_KEY = "heliograph.visit"
# Hop by hop, or set by Django itself.
_DROPPED_HEADERS = frozenset({"connection", "transfer-encoding", "content-length", "date", "server", "vary"})


@dataclass(frozen=True)
class Visit:
    """Who looks at which object, and where that page's own calls go."""

    user: Any
    subject: Any
    prefix: str


@dataclass(frozen=True)
class Parts:
    """Dash's index in pieces, as HTML, for a Django template."""

    css: str
    entry: str
    config: str
    scripts: str
    renderer: str


def visit() -> Visit:
    """The visit that is being answered. Raises ``KeyError`` outside the bridge."""
    return flask.request.environ[_ENVIRON_KEY]


class _FramedDash(Dash):
    """Dash that calls home under the visited object's address and leaves its index in pieces."""

    def _config(self) -> dict[str, Any]:
        return super()._config() | {"requests_pathname_prefix": visit().prefix}

    def interpolate_index(self, **parts: Any) -> str:
        flask.g.heliograph_index = parts
        return super().interpolate_index(**parts)


def make_app(name: str, layout: Callable[[], Any]) -> Dash:
    """A Dash app whose ``layout`` is called anew for each visit. Everything is served from here, nothing by a CDN."""
    server = flask.Flask(f"dashboards.{name}", static_folder=None)
    server.config["PROPAGATE_EXCEPTIONS"] = True  # to Django's log and error page
    app = _FramedDash(
        name,
        server=server,
        routes_pathname_prefix="/",
        requests_pathname_prefix=ROOT,
        serve_locally=True,
        include_assets_files=False,
        csrf_token_name="csrftoken",
        csrf_header_name="X-CSRFToken",
        update_title="",
        suppress_callback_exceptions=True,
    )
    app.layout = layout
    # Dash serves only what an index has named: a browser may ask a fresh process for a script first.
    index_parts(app, Visit(None, None, ROOT))
    return app


def index_parts(app: Dash, visited: Visit) -> Parts:
    """The pieces of ``app``'s page for ``visited``."""
    with app.server.request_context(_environ("GET", "/", visited)):
        app.index()
        pieces = flask.g.heliograph_index
    return Parts(pieces["css"], pieces["app_entry"], pieces["config"], pieces["scripts"], pieces["renderer"])


def answer(app: Dash, request: HttpRequest, visited: Visit, path: str) -> HttpResponse:
    """What ``app`` answers to ``request`` at ``path`` below its root. Raises ``Http404`` for an unknown script."""
    environ = _environ(request.method or "GET", f"/{path}", visited)
    environ |= {name: value for name, value in request.META.items() if name.startswith("HTTP_")}
    body = request.body
    environ |= {
        "QUERY_STRING": request.META.get("QUERY_STRING", ""),
        "CONTENT_TYPE": request.META.get("CONTENT_TYPE", ""),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": request.scheme or "http",
    }
    try:
        chunks, status, headers = run_wsgi_app(app.server.wsgi_app, environ, buffered=True)
    except DependencyException:
        raise Http404 from None
    response = HttpResponse(b"".join(chunks), status=int(status.split(" ", 1)[0]))
    del response["Content-Type"]
    for name, value in headers:
        if name.lower() not in _DROPPED_HEADERS:
            response[name] = value
    return response


def _environ(method: str, path: str, visited: Visit) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(),
        "wsgi.errors": _Errors(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        _ENVIRON_KEY: visited,
    }


class _Errors:
    """``wsgi.errors`` as lines in the log."""

    def write(self, text: str) -> None:
        if text.strip():
            log.error(text.rstrip())

    def flush(self) -> None:
        """Nothing is held back."""
