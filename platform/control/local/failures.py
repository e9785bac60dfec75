"""What the local run refuses to do, in the form every command of the project prints.

The engine has the same errors and the same parser; they are not imported from there because importing the engine
loads numba, and the process that supervises the others is meant to stay small.
"""

import argparse
import json
from typing import Any, NoReturn


class Refusal(Exception):
    """The run cannot start or go on. ``exit_code``: 1 a step failed, 2 bad input, 3 something is missing."""

    def __init__(self, code: str, field: str, value: Any, expected: str, exit_code: int = 2) -> None:
        self.code, self.field, self.value, self.expected, self.exit_code = code, field, value, expected, exit_code
        super().__init__(f"{field}: {value!s} ({code}); expected {expected}")

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "field": self.field, "value": str(self.value), "expected": self.expected}}


class Parser(argparse.ArgumentParser):
    """Refuses arguments that it cannot take, instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise Refusal("usage", "arguments", message, " ".join(self.format_usage().split()))


def missing(what: str, remedy: str) -> Refusal:
    """A prerequisite that this machine lacks; ``remedy`` is the exact command that brings it."""
    return Refusal("missing_prerequisite", what, "not found", f"run: {remedy}", exit_code=3)


def failed(step: str, detail: str) -> Refusal:
    """A step of the start failed for the reason in ``detail``."""
    return Refusal("step_failed", step, detail, "success", exit_code=1)


def refusal_in(line: str) -> str:
    """What a command says in its last line where it has refused to run (an answer for programs), as a sentence."""
    try:
        error = json.loads(line)["error"]
        return f"{error['field']}: {error['value']} ({error['code']}); expected {error['expected']}"
    except (ValueError, KeyError, TypeError):
        return ""
