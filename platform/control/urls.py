"""Every address of the web process: pages, sign-in, administration."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    # One door: the admin's own sign-in form would bypass the audit row that ours writes.
    path("admin/login/", RedirectView.as_view(pattern_name="login", query_string=True)),
    path("admin/logout/", RedirectView.as_view(pattern_name="logout")),
    path("admin/", admin.site.urls),
    path("", include("control.accounts.urls")),
    path("", include("control.web.urls")),
]
