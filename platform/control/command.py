"""Commands as programs call them: the last line on stdout is one JSON object, the exit code says how it went.

0 fine, 1 a check failed, 2 bad input (``{"error": {"code", "field", "value", "expected"}}``).
"""

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from engine.errors import BadInput


class JsonCommand(BaseCommand):
    """A command defines ``run``, with its options as keywords, and returns the object to print.

    A false ``ok`` in it is exit code 1.
    """

    run: Callable[..., dict[str, Any]]

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.run(**options)
        except BadInput as error:
            self.stdout.write(json.dumps(error.as_json()))
            sys.exit(2)
        self.stdout.write(json.dumps(answer))
        if answer.get("ok") is False:
            sys.exit(1)
