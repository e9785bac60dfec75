"""The intraday pairs strategy in an engine: quotes in, legs, targets and signals out."""

import json

import numpy as np
import pytest

from engine.core.engine import FIRM, Engine, blob
from engine.core.events import EVENT, BlobType, Command, Kind, Session, TradingStatus
from engine.errors import BadInput
from engine.messages import DataContract, LimitEnvelope, Manifest, encode
from engine.strategies.base import Closes
from engine.strategies.intraday_pairs import ARTIFACT, STRATEGY, pair_names, parameter_record, prepare, turn_program
from engine.strategies.load import load_manifest

SECOND = 1_000_000_000
LOOKBACK = 10
BASE = {"lookback": LOOKBACK, "sample_seconds": 1, "entry": 2.0, "exit": 0.5, "stop": 50.0, "leg_notional": 10_000}


class Market:
    """An engine that runs the strategy on AAA, BBB and CCC, its clock going on by a second each quote."""

    def __init__(self, pairs=((0, 1),), **parameters):
        self.parameters = STRATEGY.parameters(BASE | parameters)
        self.engine = Engine(load_manifest)
        self.now = 0
        wide = LimitEnvelope(*[1 << 40] * 4)
        manifest = Manifest("", "", STRATEGY.name, "", {}, wide, DataContract("", ""), "sim", 10**10)
        self.load(BlobType.INSTRUMENTS, json.dumps(["AAA", "BBB", "CCC"]).encode(), FIRM)
        self.load(BlobType.MANIFEST, encode(manifest))
        self.load(BlobType.PARAMETERS, parameter_record(self.parameters))
        self.form(pairs)
        self.control(Kind.COMMAND, command=Command.START)
        self.control(Kind.SESSION, code=Session.START_OF_MESSAGES, date=20130102)
        for instrument in range(3):
            self.control(Kind.STATUS, instrument, code=TradingStatus.TRADING)
        self.control(Kind.SESSION, code=Session.OPEN, date=20130102)

    def load(self, blob_type, payload, strategy=0):
        return self.engine.apply_blob(blob(blob_type, payload, strategy=strategy, ts=self.now), payload)

    def form(self, pairs):
        formed = np.zeros(1, ARTIFACT)
        formed["pairs"], formed["turn"] = len(pairs), turn_program(self.parameters)[0]
        for index, legs in enumerate(pairs):
            formed["pair"][0, index] = (*legs, 1.0, 0.0, np.log(50.0))
        return self.load(BlobType.ARTIFACT, formed.tobytes())

    def control(self, kind, instrument=-1, **payload):
        event = np.zeros(1, EVENT)
        event["kind"], event["instrument"], event["ts_event"], event["ts_recv"] = kind, instrument, self.now, self.now
        for name, value in payload.items():
            event[name] = value
        return self.engine.apply(event).copy()

    def quote(self, instrument, dollars, width=100):
        self.now += SECOND
        mid = round(dollars * 10_000)
        return self.control(Kind.QUOTE, instrument, bid=mid - width, bid_size=100, ask=mid + width, ask_size=100)

    def settle(self, noise=0.01):
        """Fills the window: AAA moves around 50 by ``noise`` dollars, BBB stands at 50."""
        self.quote(1, 50.0)
        for step in range(LOOKBACK + 1):
            self.quote(0, 50.0 + (noise if step % 2 else -noise))

    def settle_hourly(self):
        """The same with a sample an hour, at the quote of BBB: the spread is log 50.01 less that of 50.00 or 50.02."""
        self.quote(0, 50.01)
        for step in range(LOOKBACK):
            self.now += 3600 * SECOND
            self.quote(1, 50.02 if step % 2 else 50.0)
        self.quote(1, 50.01)


def of(records, kind):
    return records[records["kind"] == kind]


def targets(records):
    return {int(record["instrument"]): int(record["target"]) for record in of(records, Kind.TARGET)}


def test_a_dear_leg_is_sold_and_the_cheap_one_bought_when_the_spread_is_beyond_the_entry():
    market = Market()
    market.settle()
    assert targets(market.quote(0, 50.01)) == {}
    records = market.quote(0, 50.10)
    assert targets(records) == {0: -199, 1: 200}  # 10,000 over 50.10 and over 50
    (signal,) = of(records, Kind.SIGNAL)
    assert (signal["side"], signal["pair"]) == (-1, 0)
    assert signal["z_micro"] > 2_000_000
    assert [int(leg["target"]) for leg in of(records, Kind.LEG)] == [-199, 200]


def test_the_legs_are_closed_when_the_spread_is_back():
    market = Market(sample_seconds=3600)  # no sample while the spread is away
    market.settle_hourly()
    assert targets(market.quote(0, 49.90)) == {0: 200, 1: -199}
    assert targets(market.quote(0, 49.95)) == {}
    assert targets(market.quote(0, 50.008)) == {0: 0, 1: 0}


def test_beyond_the_stop_the_pair_is_given_up_and_stays_out():
    market = Market(stop=30.0)
    market.settle()
    assert set(targets(market.quote(0, 50.10))) == {0, 1}
    assert targets(market.quote(0, 60.0)) == {0: 0, 1: 0}
    assert targets(market.quote(0, 59.0)) == {}


def test_with_a_turn_it_waits_until_the_spread_has_come_back_in_time():
    market = Market(turn=1.0, turn_seconds=60, sample_seconds=3600)
    market.settle_hourly()
    beyond, turned = 50.01 + 4 * 0.01, 50.01 + 0.9 * 0.01  # a deviation is 0.01 dollars and a little
    assert targets(market.quote(0, beyond)) == {}
    market.now += 61 * SECOND
    assert targets(market.quote(0, turned)) == {}
    assert targets(market.quote(0, beyond)) == {}
    market.now += 30 * SECOND
    assert set(targets(market.quote(0, turned))) == {0, 1}


def test_nothing_is_entered_whose_deviations_live_too_long():
    assert set(targets(_drifting(longest_half_life=0.0))) == {0, 1}
    assert targets(_drifting(longest_half_life=3.0)) == {}


def _drifting(**parameters):
    market = Market(**parameters)
    market.quote(1, 50.0)
    for step in range(LOOKBACK + 1):
        market.quote(0, 50.0 + 0.01 * step)  # one way: nothing comes back
    return market.quote(0, 50.40)


@pytest.mark.parametrize("closed_by", ["close", "halt", "crossed"])
def test_nothing_is_decided_on_a_market_that_does_not_trade(closed_by):
    market = Market()
    market.settle()
    if closed_by == "close":
        market.control(Kind.SESSION, code=Session.CLOSE, date=20130102)
    if closed_by == "halt":
        market.control(Kind.STATUS, 0, code=TradingStatus.HALTED)
    assert targets(market.quote(0, 50.10, width=-100 if closed_by == "crossed" else 100)) == {}


def test_an_instrument_of_two_pairs_has_the_sum_of_their_legs_as_target():
    market = Market(pairs=((0, 1), (0, 2)))
    market.quote(2, 50.0)
    market.settle()
    assert targets(market.quote(0, 50.10)) == {0: -398, 1: 200, 2: 200}


def test_a_pair_that_is_formed_again_is_held_on_and_one_that_is_not_is_closed_at_the_next_timer():
    market = Market(pairs=((0, 1), (2, 1)))
    market.quote(2, 50.0)
    market.settle()
    for step in range(LOOKBACK + 1):
        market.quote(2, 50.0 + (0.01 if step % 2 else -0.01))
    market.quote(0, 50.10)
    market.quote(2, 49.90)
    market.form([(0, 1)])
    assert targets(market.control(Kind.TIMER)) == {1: 200, 2: 0}
    assert targets(market.control(Kind.TIMER)) == {}


def test_a_timer_reports_the_pairs_in_turn_once_they_have_a_z_score():
    market = Market()
    assert len(of(market.control(Kind.TIMER), Kind.SIGNAL)) == 0
    market.settle()
    (signal,) = of(market.control(Kind.TIMER), Kind.SIGNAL)
    assert (signal["instrument"], signal["side"], signal["hedge_micro"]) == (0, 0, 1_000_000)


def test_a_replay_of_the_same_events_gives_the_same_state():
    hashes = set()
    for _ in range(2):
        market = Market(hedge="kalman", statistics="exponential", price="microprice")
        market.settle()
        market.quote(0, 50.10)
        hashes.add(market.engine.state_hash())
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"entry": 1.0, "exit": 2.0}, "parameters"),
        ({"turn": 1.9}, "parameters"),
        ({"hedge": "guess"}, "hedge"),
        ({"lookback": 65}, "lookback"),
        ({"max_pairs": 401}, "max_pairs"),
    ],
)
def test_parameters_that_make_no_sense_are_refused_by_name(values, field):
    with pytest.raises(BadInput) as refused:
        STRATEGY.parameters(BASE | values)
    assert refused.value.field == field


def test_the_artifact_has_pairs_of_the_closes_before_the_date_with_the_last_price_before_the_start():
    random = np.random.default_rng(4)
    days = 600
    common = np.cumsum(random.normal(0, 0.01, days))
    apart = np.zeros(days)
    for day in range(1, days):
        apart[day] = 0.8 * apart[day - 1] + random.normal(0, 0.01)
    logs = np.column_stack([4 + common, 3 + common + apart])
    dates = np.arange(days) + 20100000
    closes = Closes(dates, ["AAA", "BBB"], np.round(np.exp(logs) * 10_000).astype(np.int64), "")
    parameters = STRATEGY.parameters({"p_value": 0.2})
    formed = prepare(
        closes, parameters, as_of=int(dates[550]), warm_to=int(dates[580]), instruments=["AAA", "BBB"], cache=None
    )
    assert pair_names(formed, ["AAA", "BBB"]) == ["AAA/BBB"]
    row = np.frombuffer(formed, ARTIFACT)[0]["pair"][0]
    assert row["hedge_ratio"] == pytest.approx(1.0, abs=0.2)
    assert row["log_b"] == pytest.approx(logs[579, 1], abs=1e-4)
