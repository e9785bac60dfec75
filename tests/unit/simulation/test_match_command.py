"""``python -m engine match``: events a line, and errors that name line and field."""

import json
from pathlib import Path

import pytest

from engine.__main__ import main

ORDERS = [
    {"type": "new", "id": "a", "symbol": "KO", "side": "sell", "qty": 100, "price": "37.60", "display": 40},
    {"type": "new", "id": "b", "symbol": "KO", "side": "buy", "qty": 60, "price": 376000, "time_in_force": "ioc"},
    {"type": "reduce", "id": "a", "qty": 30},
    {"type": "cancel", "id": "b"},
    {"type": "new", "id": "c", "symbol": "PEP", "side": "buy", "qty": 10, "price": "0"},
    {"type": "collect", "symbol": "PEP"},
    {
        "type": "new",
        "id": "d",
        "symbol": "PEP",
        "side": "buy",
        "qty": 10,
        "order": "market",
        "time_in_force": "on_open",
    },
    {"type": "new", "id": "e", "symbol": "PEP", "side": "sell", "qty": 4, "price": "69.50"},
    {"type": "uncross", "symbol": "PEP", "reference_price": "69.60"},
    {"type": "halt", "symbol": "PEP"},
]


@pytest.fixture
def match(tmp_path: Path, capsys: pytest.CaptureFixture):
    def run(lines: list[dict | str], *options: str) -> tuple[int, list[dict]]:
        path = tmp_path / "orders.jsonl"
        path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
        code = main(["match", "--orders", str(path), *options])
        return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return run


@pytest.mark.parametrize("options", [(), ("--plain",)])
def test_every_event_is_a_line_and_the_last_one_counts(match, options):
    code, printed = match(ORDERS, *options)
    *events, last = printed
    assert code == 0
    assert [(e["line"], e["event"], e.get("id", ""), e.get("qty", 0)) for e in events] == [
        (1, "entered", "a", 100),
        (1, "rested", "a", 100),
        (2, "entered", "b", 60),
        (2, "executed", "a", 40),
        (2, "refreshed", "a", 60),
        (2, "executed", "a", 20),
        (3, "reduced", "a", 10),
        (4, "ignored", "b", 0),
        (5, "refused", "c", 10),
        (6, "collecting", "", 0),
        (7, "entered", "d", 10),
        (7, "rested", "d", 10),
        (8, "entered", "e", 4),
        (8, "rested", "e", 4),
        (9, "crossed", "d", 4),
        (9, "crossed", "e", 4),
        (9, "cross", "", 4),
        (9, "expired", "d", 6),
        (10, "halted", "", 0),
    ]
    assert (events[3]["price"], events[3]["taker_id"], events[14]["price"]) == (37_6000, "b", 69_6000)
    assert (events[8]["reason"], events[17]["reason"]) == ("malformed", "auction_over")
    assert (last["orders"], last["trades"], last["refused"], last["resting"]) == (5, 3, 1, 1)


def test_both_engines_leave_the_same_book(match):
    hashes = {match(ORDERS, *options)[1][-1]["book_hash"] for options in [(), ("--plain",)]}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"type": "new", "id": "x"', "line 2: object"),
        ({**ORDERS[0], "id": "x", "side": "up"}, "line 2: side"),
        ({**ORDERS[0], "id": "x", "qty": 1.5}, "line 2: qty"),
        ({**ORDERS[0], "id": "x", "qty": 1 << 40}, "line 2: qty"),
        ({**ORDERS[0], "id": "x", "price": "37.60001"}, "line 2: price"),
        ({**ORDERS[0], "id": "x", "price": "cheap"}, "line 2: price"),
        ({**ORDERS[0], "id": "x", "colour": 1}, "line 2: object"),
        (ORDERS[0], "line 2: id"),
        ({"type": "cancel", "id": "nobody"}, "line 2: id"),
        ({"type": "dance", "id": "x"}, "line 2: type"),
    ],
)
def test_bad_line_is_an_error_that_names_line_and_field(match, line, field: str):
    code, printed = match([ORDERS[0], line])
    assert (code, printed[-1]["error"]["field"]) == (2, field)


def test_missing_file_is_bad_input(capsys):
    assert main(["match", "--orders", "nowhere.jsonl"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "unreadable"


@pytest.mark.parametrize(("option", "value"), [("--tick", "0"), ("--collar", "-1")])
def test_book_that_makes_no_sense_is_bad_input(match, option: str, value: str):
    assert match(ORDERS, option, value)[0] == 2
