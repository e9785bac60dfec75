"""Typed errors that a boundary (command line, wire, form, REST) can show as they are."""

from typing import Any


class BadInput(ValueError):
    """Input that is refused: what was wrong, where, and what was expected. Command exit code 2."""

    def __init__(self, code: str, field: str, value: Any, expected: str) -> None:
        self.code, self.field, self.value, self.expected = code, field, value, expected
        super().__init__(f"{field}: {value!r} is refused ({code}); expected {expected}")

    def as_json(self) -> dict[str, dict[str, str]]:
        return {"error": {"code": self.code, "field": self.field, "value": str(self.value), "expected": self.expected}}


class MissingPrerequisite(RuntimeError):
    """Something this machine lacks; ``remedy`` is the exact command that brings it. Exit code 3."""

    def __init__(self, missing: str, remedy: str) -> None:
        self.missing, self.remedy = missing, remedy
        super().__init__(f"{missing} is missing. Run: {remedy}")
