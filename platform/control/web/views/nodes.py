"""Engine nodes: what each said last, and registering a new one (its token is shown once)."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.accounts.permissions import allowed, require
from control.deployments.services import node_register
from control.monitoring.selectors import nodes_with_health
from control.trading.selectors import incidents_visible_to
from control.web.forms import NodeForm
from control.web.views.access import page
from control.web.views.acting import act_on_form

NEWEST_INCIDENTS = 100


@page("deployments.view_node", methods=("GET", "HEAD", "POST"))
def node_list(request: HttpRequest) -> HttpResponse:
    form, token, name = NodeForm(request.POST or None), None, ""
    if request.method == "POST":
        require(request.user, "deployments.manage_node")
        if form.is_valid():
            name = form.cleaned_data["name"]
            token = act_on_form(request, form, f"Node {name} is registered.", node_register, name=name)
    context = {
        "nodes": nodes_with_health(request.user),
        "incidents": incidents_visible_to(request.user)[:NEWEST_INCIDENTS],
        "form": NodeForm() if token else form,
        "token": token,
        "token_name": name,
        "may_register": allowed(request.user, "deployments.manage_node"),
    }
    response = render(request, "web/node_list.html", context, status=422 if form.errors else 200)
    if token:
        response["Cache-Control"] = "no-store"
    return response
