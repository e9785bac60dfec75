"""A process that refuses to run says why in its last line; the supervisor passes it on."""

import json

import pytest

from control.local.__main__ import main
from control.local.failures import Refusal, refusal_in


def test_the_last_line_of_a_refusal_becomes_a_sentence() -> None:
    refusal = Refusal("wrong_token", "token_file", "var/secrets/node.token", "the token of node sim-1")
    assert refusal_in(json.dumps(refusal.as_json())) == str(refusal)


@pytest.mark.parametrize("line", ["", "Killed", '{"ports": {"itch": 1}}', "[]", '{"error": "none"}', '{"error"'])
def test_any_other_line_is_none(line: str) -> None:
    assert refusal_in(line) == ""


@pytest.mark.parametrize("arguments", [[], ["no-such-command"], ["drill", "--kills", "many"]])
def test_arguments_that_cannot_be_taken_are_answered_in_one_json_object(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "usage"
