"""What a service raises when it refuses: a code for programs, the field, and a sentence for people.

A refused service has changed nothing. ``django.core.exceptions.PermissionDenied`` is raised for what
the actor may not do; everything else that is wrong is a ``ServiceError``.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One thing that is wrong: ``field`` names where (dotted for nested input, "" for the whole)."""

    field: str
    message: str


class ServiceError(Exception):
    """A refusal. ``problems`` lists everything that was wrong; ``field`` and ``message`` are the first."""

    def __init__(self, code: str, field: str, message: str, problems: Iterable[Problem] = ()) -> None:
        self.code, self.field, self.message = code, field, message
        self.problems = tuple(problems) or (Problem(field, message),)
        super().__init__(message)

    def as_json(self) -> dict[str, object]:
        return {
            "error": {
                "code": self.code,
                "field": self.field,
                "message": self.message,
                "problems": [problem._asdict() for problem in self.problems],
            }
        }


class InvalidInput(ServiceError):
    """What was given is wrong in itself: a number out of range, an unknown symbol."""


class Conflict(ServiceError):
    """What was given is fine, but not in the present state: already decided, already deployed."""


def invalid(problems: list[Problem], code: str = "invalid") -> InvalidInput:
    """One error that carries all ``problems`` (at least one)."""
    first = problems[0]
    return InvalidInput(code, first.field, first.message, problems)
