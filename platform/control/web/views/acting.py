"""From a button or a form to a service, and its refusal back to where it belongs."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest

from control.errors import ServiceError


def act(request: HttpRequest, done: str, service: Callable[..., Any], **arguments: Any) -> Any | None:
    """Call ``service`` for the signed-in user. Says ``done``, or what the service refused, on the next page."""
    try:
        result = service(actor=request.user, **arguments)
    except ServiceError as error:
        for problem in error.problems:
            messages.error(request, problem.message)
        return None
    messages.success(request, done)
    return result


def act_on_form(
    request: HttpRequest, form: forms.Form, done: str, service: Callable[..., Any], **arguments: Any
) -> Any:
    """As ``act``, but every refusal stands at its field in ``form``. None where it was refused."""
    try:
        result = service(actor=request.user, **arguments)
    except ServiceError as error:
        for problem in error.problems:
            form.add_error(_field_of(form, problem.field), problem.message)
        return None
    messages.success(request, done)
    return result


def say_errors(request: HttpRequest, form: forms.Form) -> None:
    """What is wrong with a form that the page no longer shows: its object has moved on since it was opened."""
    if form.is_bound:
        for errors in form.errors.values():
            for error in errors:
                messages.error(request, error)


def _field_of(form: forms.Form, name: str) -> str | None:
    """The form's field for a service's: the same, or the one it is a part of ("parameters.symbols.0")."""
    while name and name not in form.fields:
        name = name.rpartition(".")[0]
    return name or None
