"""Commands as programs call them: the last line on stdout is one JSON object, the exit code says how it went.

0 fine, 1 a check failed, 2 bad input (``{"error": {"code", "field", "value", "expected"}}``).
"""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand

from engine.errors import BadInput


class JsonCommand(BaseCommand):
    """``run`` returns the object to print; a false ``ok`` in it is exit code 1."""

    def run(self, **options: Any) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} has to say what it does")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            answer = self.run(**options)
        except BadInput as error:
            self.stdout.write(json.dumps(error.as_json()))
            sys.exit(2)
        self.stdout.write(json.dumps(answer))
        if answer.get("ok") is False:
            sys.exit(1)
