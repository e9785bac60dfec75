"""Who may open a page and which object, asked the same way everywhere."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from control.accounts.permissions import require

View = Callable[..., HttpResponse]


def page(permission: str = "", *, methods: tuple[str, ...] = ("GET", "HEAD")) -> Callable[[View], View]:
    """A view that needs a login (302) and ``permission`` by role (403); desks are checked per object."""

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if permission:
                require(request.user, permission)
            return view(request, *args, **kwargs)

        return login_required(require_http_methods(list(methods))(checked))

    return decorate


def visible_or_403(visible: QuerySet, **key: Any) -> Any:
    """The object among ``visible``; 403 where it exists but not for this user, 404 where it does not."""
    try:
        found = visible.filter(**key).first()
    except (ValidationError, ValueError, OverflowError):
        raise Http404 from None
    if found is not None:
        return found
    if visible.model._default_manager.filter(**key).exists():
        raise PermissionDenied("This belongs to a desk you do not sit on.")
    raise Http404
