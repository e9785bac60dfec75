"""``python -m engine limits``: a line an order, and bad input by line and field."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.__main__ import main
from engine.core.limit_tables import SignedBundle, StrategyLimits, bundle_within, canonical_bytes, limits_within
from engine.limits_bundle import sign, write_public_key
from engine.messages import LimitEnvelope

WIDE = limits_within(LimitEnvelope(10**6, 10**12, 10**9, 10**15))
TIGHT = msgspec.structs.replace(WIDE, max_order_qty=500, max_long_qty=800, max_orders_per_s=3)
BUNDLE = msgspec.structs.replace(
    bundle_within(LimitEnvelope(10**6, 10**12, 10**9, 10**15), node="n-1"),
    strategies={"d-1": StrategyLimits(0, TIGHT), "d-2": StrategyLimits(0, WIDE)},
    restricted=["XYZ"],
    locates={"KO": 50},
)
QUOTE = {"event": "quote", "symbol": "KO", "bid": 100_000, "ask": 100_200}


def order(**changed: Any) -> dict[str, Any]:
    return {"strategy": "d-1", "symbol": "KO", "side": "buy", "qty": 100, "price": 100_200} | changed


def asked(tmp_path: Path, capsys: Any, lines: list[Any], *options: str) -> tuple[int, list[dict[str, Any]]]:
    """Exit code and what was printed."""
    bundle, orders = tmp_path / "B.json", tmp_path / "O.jsonl"
    if not bundle.exists():
        bundle.write_bytes(canonical_bytes(SignedBundle(BUNDLE)))
    orders.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    code = main(["limits", "--bundle", str(bundle), "--orders", str(orders), *options])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_order_is_answered_with_the_limit_the_level_and_both_values(tmp_path, capsys):
    lines = [QUOTE, order(qty=500), order(qty=501), order(qty=400, ts=5), order(symbol="XYZ", ts=10**9), order(qty=300)]
    code, (*answers, last) = asked(tmp_path, capsys, lines)
    assert code == 0
    passed = {"ok": True, "limit": "none", "level": "", "value": 0, "order_value": 0}
    assert answers == [
        passed,
        {"ok": False, "limit": "order_qty", "level": "strategy", "value": 500, "order_value": 501},
        {"ok": False, "limit": "long_position", "level": "strategy", "value": 800, "order_value": 900},
        {"ok": False, "limit": "collar_reference", "level": "firm", "value": 1_000_000, "order_value": 1 << 62},
        passed,
    ]
    refused = {"collar_reference": 1, "long_position": 1, "order_qty": 1}
    assert last == {"orders": 5, "passed": 2, "refused": refused, "verified": False}


def test_fills_cancels_and_quotes_change_what_the_next_order_meets(tmp_path, capsys):
    sell = order(side="sell", price=100_000, strategy="d-2")
    lines = [
        {**QUOTE, "symbol": "XYZ"},
        order(symbol="XYZ", strategy="d-2"),  # restricted
        QUOTE,
        {**sell, "qty": 51},  # no locate
        {**sell, "qty": 50},
        order(),  # would meet the sell
        {"event": "cancel", "order": 3},
        order(),
        {"event": "fill", "order": 5, "qty": 100, "price": 100_100},
        {"event": "short_sale", "symbol": "KO", "code": 1},
        {**sell, "qty": 101},  # 100 are the firm's
        {**sell, "qty": 100},
    ]
    _, (*answers, _) = asked(tmp_path, capsys, lines)
    assert [answer["limit"] for answer in answers] == [
        "restricted",
        "locate",
        "none",
        "self_trade",
        "none",
        "price_test",
        "none",
    ]


@pytest.mark.parametrize(
    ("line", "field"),
    [
        (order(qty=0), "line 2: qty"),
        (order(qty="100"), "line 2: qty"),
        (order(side="hold"), "line 2: side"),
        (order(strategy="d-9"), "line 2: strategy"),
        (order(venue=99), "line 2: venue"),
        ({"strategy": "d-1"}, "line 2: symbol"),
        (order(colour=1), "line 2: colour"),
        ({"event": "explode"}, "line 2: event"),
        ({"event": "cancel", "order": 1}, "line 2: order"),
        ("{", "line 2"),
    ],
)
def test_bad_input_exits_2_and_names_line_and_field(tmp_path, capsys, line, field):
    code, (*_, last) = asked(tmp_path, capsys, [QUOTE, line])
    assert code == 2
    assert last["error"]["field"] == field


def test_a_bundle_with_a_missing_limit_exits_2_and_names_it(tmp_path, capsys):
    content = msgspec.to_builtins(SignedBundle(BUNDLE))
    del content["bundle"]["firm"]["max_day_loss"]
    (tmp_path / "B.json").write_text(json.dumps(content))
    code, (last,) = asked(tmp_path, capsys, [])
    assert code == 2
    assert "max_day_loss" in last["error"]["expected"]


def test_a_signature_is_verified_when_a_key_is_given(tmp_path, capsys):
    key = Ed25519PrivateKey.generate()
    write_public_key(tmp_path / "key", key.public_key())
    (tmp_path / "B.json").write_bytes(sign(BUNDLE, key))
    named = ("--key", str(tmp_path / "key"))
    assert asked(tmp_path, capsys, [QUOTE, order()], *named)[1][-1]["verified"] is True
    assert asked(tmp_path, capsys, [QUOTE, order()], *named, "--node", "n-2")[0] == 2
    write_public_key(tmp_path / "key", Ed25519PrivateKey.generate().public_key())
    assert asked(tmp_path, capsys, [QUOTE, order()], *named)[0] == 2
