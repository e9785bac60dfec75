"""The history that strategies are prepared from and backtested on."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from control.marketdata.selectors import datasets_visible_to, import_runs_visible_to
from control.web.views.access import page

NEWEST_IMPORTS = 100


@page("marketdata.view_dataset")
def dataset_list(request: HttpRequest) -> HttpResponse:
    context = {
        "datasets": datasets_visible_to(request.user),
        "imports": import_runs_visible_to(request.user)[:NEWEST_IMPORTS],
    }
    return render(request, "web/dataset_list.html", context)
