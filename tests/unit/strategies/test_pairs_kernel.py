"""The pairs kernel against the same rules written plainly over numpy."""

import json
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.backtest.days import day_events, opening_events
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import EVENT, BlobType, Command, Kind
from engine.core.state import StrategyState
from engine.errors import BadInput
from engine.messages import DataContract, LimitEnvelope, Manifest, encode
from engine.strategies.base import Closes
from engine.strategies.load import load_manifest
from engine.strategies.pairs import ARTIFACT, PairsParameters, pair_names, parameter_record, prepare

LOOKBACK, ENTRY, EXIT, STOP, HOLDING = 10, 1.0, 0.2, 3.0, 12
PARAMETERS = PairsParameters(
    lookback=LOOKBACK, entry=ENTRY, exit=EXIT, stop=STOP, max_holding_days=HOLDING, leg_notional=10_000
)


@dataclass
class PlainPair:
    """The rules of the module's docstring, for one pair."""

    hedge: float
    window: list[float]
    stance: int = 0
    stopped: bool = False
    days: int = 0
    signals: list[tuple[float, int]] = field(default_factory=list)

    def on_close(self, a: float, b: float) -> None:
        spread = np.log(a) - self.hedge * np.log(b)
        recent = np.array(self.window[-LOOKBACK:])
        z = (spread - recent.mean()) / recent.std(ddof=1)
        self.window.append(spread)
        if self.stance == 0:
            if self.stopped:
                self.stopped = abs(z) > EXIT
            elif ENTRY < abs(z) < STOP:
                self.stance, self.days = -int(np.sign(z)), 0
        else:
            self.days += 1
            away = -z * self.stance
            self.stopped = away >= STOP
            if self.stopped or away <= EXIT or self.days >= HOLDING:
                self.stance = 0
        self.signals.append((z, self.stance))


def prices(days: int) -> np.ndarray:
    random = np.random.default_rng(3)
    common = np.cumsum(random.normal(0, 0.01, days))
    spread = np.zeros(days)
    for day in range(1, days):
        spread[day] = 0.8 * spread[day - 1] + random.normal(0, 0.012)
    spread[days // 2 :] += 0.25  # a jump that must stop the pair out
    return np.round(np.exp(np.column_stack([4 + common + spread, 3 + common])) * 10_000).astype(np.int64)


def artifact(hedge: float, window: np.ndarray) -> bytes:
    formed = np.zeros(1, ARTIFACT)
    formed["pairs"] = 1
    row = formed["pair"][0, 0]
    row["a"], row["b"], row["hedge_ratio"], row["count"] = 0, 1, hedge, len(window)
    row["window"][: len(window)] = window
    return formed.tobytes()


def load(engine: Engine, blob_type: BlobType, payload: bytes, strategy: int = 0) -> np.ndarray:
    return engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=0), payload)


def running() -> Engine:
    wide = LimitEnvelope(*[1 << 40] * 4)
    engine = Engine(load_manifest)
    manifest = Manifest("", "", "pairs", "", {}, wide, DataContract("", ""), "sim", 10**10)
    load(engine, BlobType.INSTRUMENTS, json.dumps(["AAA", "BBB"]).encode(), FIRM)
    load(engine, BlobType.MANIFEST, encode(manifest))
    load(engine, BlobType.PARAMETERS, parameter_record(PARAMETERS))
    start = np.zeros(1, EVENT)
    start["kind"], start["command"] = Kind.COMMAND, Command.START
    engine.apply(start)
    assert engine.state["slots"][0]["state"] == StrategyState.RUNNING
    for index in range(3):
        engine.apply(opening_events(2, 0), index)
    return engine


def test_z_scores_and_stances_are_those_of_the_plain_rules_over_400_days():
    closes = prices(400)
    warm = np.log(closes[:LOOKBACK, 0] / 1e4) - 0.9 * np.log(closes[:LOOKBACK, 1] / 1e4)
    plain = PlainPair(0.9, list(warm))
    engine = running()
    load(engine, BlobType.ARTIFACT, artifact(0.9, warm))
    dates = np.array([int(str(np.datetime64("2013-01-01") + day).replace("-", "")) for day in range(390)], np.int64)
    events = day_events(dates, np.zeros((390, 2), np.int64), closes[LOOKBACK:], 0.0)
    seen = []
    for index in range(len(events)):
        out = engine.apply(events, index)
        for signal in out[out["kind"] == Kind.SIGNAL]:
            seen.append((int(signal["z_micro"]) / 1e6, int(signal["side"])))
    for a, b in closes[LOOKBACK:] / 1e4:
        plain.on_close(a, b)
    assert [stance for _, stance in seen] == [stance for _, stance in plain.signals]
    assert [z for z, _ in seen] == pytest.approx([z for z, _ in plain.signals], abs=2e-6)
    stances = [stance for _, stance in plain.signals]
    assert {-1, 0, 1} == set(stances)
    assert any(abs(z) >= STOP for z, _ in plain.signals)


def test_targets_are_the_hedged_legs_and_return_to_zero():
    closes = prices(200)
    warm = np.log(closes[:LOOKBACK, 0] / 1e4) - 0.9 * np.log(closes[:LOOKBACK, 1] / 1e4)
    engine = running()
    load(engine, BlobType.ARTIFACT, artifact(0.9, warm))
    dates = np.array([int(str(np.datetime64("2013-01-01") + day).replace("-", "")) for day in range(190)], np.int64)
    events = day_events(dates, np.zeros((190, 2), np.int64), closes[LOOKBACK:], 0.0)
    stance = 0
    for index in range(len(events)):
        out = engine.apply(events, index)
        signals = out[out["kind"] == Kind.SIGNAL]
        if len(signals) and signals[0]["side"] != stance:
            stance = int(signals[0]["side"])
            a, b = engine.state["market"]["close"][:2] / 1e4
            targets = {int(t["instrument"]): int(t["target"]) for t in out[out["kind"] == Kind.TARGET]}
            assert targets == {0: stance * int(10_000 / a), 1: -stance * int(10_000 * 0.9 / b)}


def test_a_new_formation_closes_the_pairs_it_does_not_have():
    engine = running()
    load(engine, BlobType.ARTIFACT, artifact(0.9, np.linspace(-0.01, 0.01, LOOKBACK)))
    closes = np.array([[600_000, 200_000]] * 3, np.int64)
    events = day_events(np.array([20130102, 20130103, 20130104]), np.zeros((3, 2), np.int64), closes, 0.0)
    taken = []
    for index in range(len(events)):
        if index == len(events) * 2 // 3:
            empty = np.zeros(1, ARTIFACT)
            load(engine, BlobType.ARTIFACT, empty.tobytes())
        out = engine.apply(events, index)
        taken += [int(t["target"]) for t in out[out["kind"] == Kind.TARGET]]
    assert len(taken) >= 2
    assert taken[-1] == 0
    assert taken[-2] == 0


def test_an_unknown_symbol_is_named():
    closes = Closes(np.arange(20100101, 20100101 + 300), ["AAA", "BBB"], np.ones((300, 2), np.int64), "")
    with pytest.raises(BadInput, match="XYZ"):
        prepare(
            closes,
            PairsParameters(symbols=["AAA", "XYZ"]),
            as_of=20110101,
            warm_to=20110101,
            instruments=["AAA", "BBB"],
            cache=None,
        )


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"entry": 0.2, "exit": 0.3}, "parameters"),
        ({"lookback": 4}, "lookback"),
        ({"max_pairs": 65}, "max_pairs"),
        ({"lookbak": 20}, "lookbak"),
        ({"p_value": "x"}, "p_value"),
    ],
)
def test_a_parameter_out_of_range_is_refused_by_name(values, field):
    from engine.strategies.registry import strategy

    with pytest.raises(BadInput) as refused:
        strategy("pairs").parameters(values)
    assert refused.value.field == field


def test_pair_names_follow_the_artifacts_order():
    assert pair_names(artifact(0.9, np.zeros(3)), ["AAA", "BBB"]) == ["AAA/BBB"]
