"""Dash behind a Django view: who asks is known inside, calls go home to the object's page, nothing comes from a CDN."""

import json
import re
from types import SimpleNamespace

import pytest
from dash import Dash, Input, Output, html
from django.http import Http404
from django.test import RequestFactory

from dashboards import bridge

ANN = SimpleNamespace(username="ann")
VISIT = bridge.Visit(ANN, SimpleNamespace(pk=7), "/dash/probe/7/")


@pytest.fixture(scope="module")
def app() -> Dash:
    def layout() -> html.Div:
        user = bridge.visit().user
        return html.Div([html.P(f"for {user.username if user else 'nobody'}", id="out"), html.I(id="in")])

    made = bridge.make_app("probe", layout)

    @made.callback(Output("out", "children"), Input("in", "title"), prevent_initial_call=True)
    def said(title: str) -> str:
        return f"{bridge.visit().user.username} of {bridge.visit().subject.pk} said {title}"

    return made


def test_the_index_calls_home_under_the_objects_address(app: Dash) -> None:
    config = json.loads(re.sub(r"<[^>]+>", "", bridge.index_parts(app, VISIT).config))
    assert config["requests_pathname_prefix"] == "/dash/probe/7/"
    assert (config["csrf_token_name"], config["csrf_header_name"]) == ("csrftoken", "X-CSRFToken")


def test_every_script_and_style_is_served_from_here(app: Dash) -> None:
    parts = bridge.index_parts(app, VISIT)
    sources = re.findall(r'(?:src|href)="([^"]+)"', parts.scripts + parts.css)
    assert sources
    assert all(source.startswith("/dash/_dash-component-suites/") for source in sources)


def test_a_script_can_be_asked_of_a_fresh_process(app: Dash) -> None:
    source = re.findall(r'src="/dash/([^"]+)"', bridge.index_parts(app, VISIT).scripts)[0].split("?")[0]
    answer = bridge.answer(app, RequestFactory().get("/" + source), VISIT, source)
    assert answer.status_code == 200
    assert "javascript" in answer["Content-Type"]
    assert "max-age" in answer["Cache-Control"]


@pytest.mark.parametrize("path", ["nothing/x.js", "../x", "dash/nothing.js"])
def test_a_script_that_no_page_has_is_not_found(app: Dash, path: str) -> None:
    with pytest.raises(Http404):
        bridge.answer(app, RequestFactory().get("/"), VISIT, bridge.SUITES + path)


def test_the_layout_is_made_for_who_asks(app: Dash) -> None:
    answer = bridge.answer(app, RequestFactory().get("/_dash-layout"), VISIT, "_dash-layout")
    assert b"for ann" in answer.content


def test_a_callback_sees_the_user_and_the_object(app: Dash) -> None:
    body = {
        "output": "out.children",
        "outputs": {"id": "out", "property": "children"},
        "inputs": [{"id": "in", "property": "title", "value": "hello"}],
        "changedPropIds": ["in.title"],
    }
    path = "_dash-update-component"
    request = RequestFactory().post("/" + path, json.dumps(body), content_type="application/json")
    answer = json.loads(bridge.answer(app, request, VISIT, path).content)
    assert answer["response"]["out"]["children"] == "ann of 7 said hello"


def test_outside_the_bridge_there_is_no_visit() -> None:
    with pytest.raises(RuntimeError, match="outside of request context"):
        bridge.visit()
