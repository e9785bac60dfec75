"""Commands as programs call them: the last line on stdout is one JSON object, the exit code says how it went.

0 fine, 1 a check failed, 2 bad input (``{"error": {"code", "field", "value", "expected"}}``), 3 a prerequisite is
missing (``expected`` says what brings it).
"""

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from django.core.management.base import BaseCommand, CommandParser
from django.db import OperationalError

from engine.errors import BadInput, MissingPrerequisite


class JsonCommand(BaseCommand):
    """A command defines ``run``, with its options as keywords, and returns the object to print.

    A false ``ok`` in it is exit code 1.
    """

    run: Callable[..., dict[str, Any]]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Arguments that it cannot take are answered like all bad input."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)

        def refuse(message: str) -> NoReturn:
            self._bad_input(BadInput("usage", "arguments", message, " ".join(parser.format_usage().split())))

        parser.error = refuse  # type: ignore[method-assign]
        return parser

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.run(**options)
        except BadInput as error:
            self._bad_input(error)
        except OperationalError as error:
            self._missing(f"PostgreSQL: {error}".strip(), "make run (or set DATABASE_URL)")
        except MissingPrerequisite as error:
            self._missing(error.missing, error.remedy)
        self.stdout.write(json.dumps(answer))
        if answer.get("ok") is False:
            sys.exit(1)

    def _bad_input(self, error: BadInput) -> NoReturn:
        self.stdout.write(json.dumps(error.as_json()))
        sys.exit(2)

    def _missing(self, what: str, remedy: str) -> NoReturn:
        self.stdout.write(json.dumps({"error": {"code": "missing", "field": what, "expected": remedy}}))
        sys.exit(3)
