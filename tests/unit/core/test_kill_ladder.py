"""The kill ladder in the step: what each level lets through, how latches combine, and who takes them off again."""

import msgspec
import pytest
from engine_world import kinds, load, poke, record, started, want

from engine.core.engine import FIRM, Engine, Loaded
from engine.core.events import BlobType, Command, Kind
from engine.core.kill import LATCHES, KillLevel, Scope, kill_level
from engine.core.orders import OrderState, open_order
from engine.core.signature import Signature, digest_of
from engine.core.state import ORDERS, Anomaly

KO, PEP = 0, 1
DESK, NAME = digest_of("Stat arb"), digest_of("Pairs US")
PAUSE, REDUCE_ONLY, CANCEL = KillLevel.PAUSE, KillLevel.REDUCE_ONLY, KillLevel.CANCEL
FLATTEN, DISCONNECT = KillLevel.FLATTEN, KillLevel.DISCONNECT


def sign(engine, *persons):
    load(engine, BlobType.SIGNATURE, msgspec.json.encode(Signature(list(persons), "host")), FIRM)


def kill(engine, level, scope=Scope.FIRM, key=0, epoch=10, by="ada"):
    sign(engine, by)
    return engine.apply(
        record(Kind.COMMAND, command=Command.KILL, argument=level, scope=scope, ref=key, epoch=epoch)
    ).copy()


def rearm(engine, *persons, scope=Scope.FIRM, key=0, epoch=20):
    sign(engine, *persons)
    return engine.apply(record(Kind.COMMAND, command=Command.REARM, scope=scope, ref=key, epoch=epoch)).copy()


def owned():
    """An engine whose one strategy is "Pairs US" of the desk "Stat arb"."""
    engine = started()
    engine.state["slots"][0]["desk_key"], engine.state["slots"][0]["strategy_key"] = DESK, NAME
    return engine


def working(engine, shares=100, instrument=KO):
    """One order for ``shares`` at the venue, acknowledged; its id."""
    want(engine, shares, instrument)
    (sent,) = poke(engine).copy()
    engine.apply(record(Kind.ACCEPTED, order_id=sent["order_id"], price=sent["price"], qty=sent["qty"]))
    return int(sent["order_id"])


def hold(engine, shares, price=100_200):
    """Fills an order that brings KO to ``shares``."""
    order_id = working(engine, shares)
    before = int(engine.state["positions"][0][KO]["position"])
    engine.apply(record(Kind.EXECUTION, order_id=order_id, price=price, qty=abs(shares - before), ref=order_id))
    assert engine.state["positions"][0][KO]["position"] == shares


def sent(outputs):
    """(kind, side, shares) of what would go to the venue."""
    to_venue = (Kind.ORDER_NEW, Kind.ORDER_CANCEL, Kind.ORDER_REPLACE)
    return [
        (Kind(int(one["kind"])).name, int(one["side"]), int(one["qty"])) for one in outputs if one["kind"] in to_venue
    ]


SCOPES = [(Scope.FIRM, 0), (Scope.DESK, DESK), (Scope.STRATEGY, NAME), (Scope.SYMBOL, KO), (Scope.VENUE, 0)]


@pytest.mark.parametrize("level", list(KillLevel)[1:])
@pytest.mark.parametrize(("scope", "key"), SCOPES)
def test_no_new_order_is_sent_where_it_is_killed(scope, key, level):
    engine = owned()
    assert kinds(kill(engine, level, scope, key)) == ["KILL"]
    want(engine, 100)
    assert sent(poke(engine)) == []


@pytest.mark.parametrize(
    ("scope", "key"), [(Scope.DESK, digest_of("Other")), (Scope.STRATEGY, digest_of("Other")), (Scope.SYMBOL, PEP)]
)
def test_a_kill_of_something_else_stops_nothing_here(scope, key):
    engine = owned()
    order_id = working(engine)
    assert sent(kill(engine, CANCEL, scope, key)) == []
    assert engine.state["orders"][order_id]["state"] == OrderState.LIVE


@pytest.mark.parametrize("level", [CANCEL, FLATTEN, DISCONNECT])
def test_what_works_is_cancelled_in_the_step_of_the_kill(level):
    engine = owned()
    working(engine)
    assert sent(kill(engine, level)) == [("ORDER_CANCEL", 1, 0)]


def test_pause_leaves_what_works_and_does_not_move_it():
    engine = owned()
    order_id = working(engine)
    assert sent(kill(engine, PAUSE)) == []
    engine.apply(record(Kind.DELETE, KO, -1, order_id=2))
    engine.apply(record(Kind.ADD, KO, -1, order_id=3, price=100_500, qty=300))
    assert sent(poke(engine, ts=10**15)) == []
    assert engine.state["orders"][order_id]["state"] == OrderState.LIVE


def test_reduce_only_cancels_what_adds_and_keeps_what_reduces():
    engine = owned()
    hold(engine, 100)
    working(engine, 300)
    assert sent(kill(engine, REDUCE_ONLY)) == [("ORDER_CANCEL", 1, 0)]
    other = owned()
    hold(other, 100)
    working(other, 40)
    assert sent(kill(other, REDUCE_ONLY)) == []


@pytest.mark.parametrize(("target", "traded"), [(40, 60), (-50, 100), (0, 100), (300, 0)])
def test_reduce_only_sells_down_to_flat_and_never_through_it(target, traded):
    engine = owned()
    hold(engine, 100)
    kill(engine, REDUCE_ONLY)
    want(engine, target)
    assert sent(poke(engine)) == ([("ORDER_NEW", -1, traded)] if traded else [])


def test_flatten_closes_positions_of_strategies_that_do_not_run_and_whatever_they_want():
    engine = owned()
    hold(engine, 100)
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    kill(engine, FLATTEN)
    want(engine, 500)
    assert sent(poke(engine)) == [("ORDER_NEW", -1, 100)]


def test_what_flattens_is_not_cancelled_by_the_next_timer():
    engine = owned()
    hold(engine, 100)
    kill(engine, FLATTEN)
    (order,) = poke(engine).copy()
    engine.apply(record(Kind.ACCEPTED, order_id=order["order_id"], price=order["price"], qty=100))
    assert sent(engine.apply(record(Kind.TIMER, ts=1))) == []
    engine.apply(record(Kind.EXECUTION, order_id=order["order_id"], price=order["price"], qty=100, ref=9))
    assert engine.state["positions"][0][KO]["position"] == 0
    assert sent(poke(engine)) == []


def test_the_highest_level_that_covers_an_order_holds():
    engine = owned()
    kill(engine, PAUSE, Scope.FIRM)
    kill(engine, FLATTEN, Scope.SYMBOL, KO)
    kill(engine, REDUCE_ONLY, Scope.STRATEGY, NAME)
    assert [kill_level(engine.state, 0, symbol, 0) for symbol in (KO, PEP)] == [FLATTEN, REDUCE_ONLY]


def test_a_kill_never_lowers_a_latch():
    engine = owned()
    kill(engine, DISCONNECT, epoch=10)
    kill(engine, PAUSE, epoch=11)
    assert kill_level(engine.state, 0, KO, 0) == DISCONNECT


def test_two_persons_who_did_not_kill_rearm_and_trading_goes_on():
    engine = owned()
    kill(engine, CANCEL)
    assert kinds(rearm(engine, "rhea", "tess")) == ["KILL"]
    want(engine, 100)
    assert sent(poke(engine)) == [("ORDER_NEW", 1, 100)]


@pytest.mark.parametrize(
    ("persons", "epoch"),
    [(("rhea",), 20), (("rhea", " RHEA "), 20), (("ada", "rhea"), 20), (("rhea", "Ada"), 20), (("rhea", "tess"), 10)],
)
def test_it_stays_killed_for_one_person_the_killer_or_an_old_epoch(persons, epoch):
    engine = owned()
    kill(engine, CANCEL, epoch=10, by="ada")
    (told,) = rearm(engine, *persons, epoch=epoch)
    assert (told["kind"], told["code"]) == (Kind.ANOMALY, Anomaly.COMMAND_REFUSED)
    assert kill_level(engine.state, 0, KO, 0) == CANCEL


def test_whoever_raised_a_latch_is_one_of_its_killers():
    engine = owned()
    kill(engine, PAUSE, epoch=10, by="ada")
    kill(engine, CANCEL, epoch=11, by="rhea")
    for pair in (("ada", "tess"), ("rhea", "tess")):
        rearm(engine, *pair, epoch=20)
        assert kill_level(engine.state, 0, KO, 0) == CANCEL
    rearm(engine, "tess", "vic", epoch=20)
    assert kill_level(engine.state, 0, KO, 0) == KillLevel.ARMED


def test_a_signature_is_for_one_command():
    engine = owned()
    kill(engine, CANCEL)
    sign(engine, "rhea", "tess")
    engine.apply(record(Kind.COMMAND, command=Command.PAUSE))
    engine.apply(record(Kind.COMMAND, command=Command.REARM, scope=Scope.FIRM, epoch=20))
    assert kill_level(engine.state, 0, KO, 0) == CANCEL


def test_an_old_kill_that_comes_after_the_rearming_does_not_latch_again_and_a_new_one_does():
    engine = owned()
    kill(engine, CANCEL, epoch=10)
    rearm(engine, "rhea", "tess", epoch=20)
    assert len(kill(engine, CANCEL, epoch=10)) == 0
    assert kill_level(engine.state, 0, KO, 0) == KillLevel.ARMED
    kill(engine, CANCEL, epoch=21)
    assert kill_level(engine.state, 0, KO, 0) == CANCEL


def test_the_epoch_never_goes_back():
    engine = owned()
    kill(engine, CANCEL, epoch=50)
    kill(engine, PAUSE, Scope.SYMBOL, KO, epoch=7)
    rearm(engine, "rhea", "tess", scope=Scope.SYMBOL, key=KO, epoch=8)
    assert engine.state["kills"]["epoch"] == 50


def test_a_cancel_that_may_not_have_arrived_is_sent_again_when_the_session_is_back():
    engine = owned()
    order_id = working(engine)
    kill(engine, CANCEL)
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    assert sent(engine.apply(record(Kind.ORDER_SESSION, code=1, ref=order_id + 1))) == [("ORDER_CANCEL", 1, 0)]


def test_what_works_while_the_session_is_down_is_cancelled_once_it_is_up():
    engine = owned()
    order_id = working(engine)
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    assert sent(kill(engine, CANCEL)) == []
    assert sent(engine.apply(record(Kind.ORDER_SESSION, code=1, ref=order_id + 1))) == [("ORDER_CANCEL", 1, 0)]


def test_a_cancel_that_the_venue_refused_is_asked_for_again_by_the_timer():
    engine = owned()
    order_id = working(engine)
    kill(engine, CANCEL)
    engine.apply(record(Kind.CANCEL_REJECTED, order_id=order_id, reason=0))
    assert sent(engine.apply(record(Kind.TIMER, ts=1))) == [("ORDER_CANCEL", 1, 0)]


def test_every_order_of_a_full_table_is_cancelled_in_one_step():
    engine = owned()
    for _ in range(ORDERS):
        assert open_order(engine.state, 0, KO, 1, 1, 100_000, 1, 0, 0) >= 0
    out = kill(engine, CANCEL)
    assert len(out) == ORDERS + 1
    assert set(out["kind"][1:].tolist()) == {Kind.ORDER_CANCEL}


def test_with_no_room_for_another_latch_the_firm_is_killed():
    engine = owned()
    for number in range(LATCHES):
        kill(engine, PAUSE, Scope.STRATEGY, digest_of(f"strategy {number}"), epoch=10 + number)
    assert kill_level(engine.state, 0, KO, 0) == KillLevel.ARMED
    kill(engine, CANCEL, Scope.STRATEGY, digest_of("one more"), epoch=1_000)
    assert kill_level(engine.state, 0, KO, 0) == CANCEL
    assert kill_level(engine.state, 5, PEP, 0) == CANCEL


def test_latches_outlast_a_snapshot():
    engine = owned()
    kill(engine, CANCEL, Scope.SYMBOL, PEP)
    again = Engine(lambda manifest: Loaded(0, frozenset(), 0))
    again.restore(engine.snapshot())
    assert kill_level(again.state, 0, PEP, 0) == CANCEL


def test_a_kernel_that_never_came_back_faults_what_it_could_have_been_and_nothing_else():
    engine = owned()
    engine.state["wakes"][Kind.TRADE] = 1
    working(engine)
    out = engine.apply(record(Kind.COMMAND, command=Command.HUNG, argument=Kind.BAR))
    assert len(out) == 0
    out = engine.apply(record(Kind.COMMAND, command=Command.HUNG, argument=Kind.TRADE))
    assert kinds(out) == ["ANOMALY", "ORDER_CANCEL", "STRATEGY_STATE"]


def test_a_command_of_no_level_or_scope_changes_nothing_and_is_counted():
    engine = owned()
    before = engine.state["kills"].tobytes()
    for event in (
        record(Kind.COMMAND, command=Command.KILL, argument=9, scope=0, epoch=1),
        record(Kind.COMMAND, command=Command.KILL, argument=CANCEL, scope=17, epoch=1),
        record(Kind.COMMAND, command=Command.KILL, argument=0, scope=0, epoch=1),
    ):
        assert kinds(engine.apply(event)) == ["ANOMALY"]
    assert engine.state["kills"].tobytes() == before
