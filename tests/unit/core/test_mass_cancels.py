"""A kill in one message: what it covers, what stays open until its own report, and what is asked for one by one."""

import msgspec
import numpy as np
import pytest
from engine_world import load, record, started

from engine.core.engine import FIRM
from engine.core.events import BlobType, Command, Kind
from engine.core.kill import KillLevel, Scope
from engine.core.orders import OrderState, open_order
from engine.core.signature import Signature, digest_of

KO, PEP = 0, 1
BY_THE_USER = ord("U")


def kill(engine, level=KillLevel.CANCEL, scope=Scope.FIRM, key=0):
    load(engine, BlobType.SIGNATURE, msgspec.json.encode(Signature(["ada"], "host")), FIRM)
    return engine.apply(
        record(Kind.COMMAND, command=Command.KILL, argument=level, scope=scope, ref=key, epoch=10)
    ).copy()


def resting(engine, *instruments):
    """Acknowledged orders, their ids."""
    ids = []
    for instrument in instruments:
        slot = open_order(engine.state, 0, instrument, 1, 10, 90_000, 0, 0, 0)
        ids.append(int(engine.state["orders"][slot]["order_id"]))
        engine.apply(record(Kind.ACCEPTED, instrument, order_id=ids[-1], price=90_000, qty=10))
    return ids


def messages(outputs):
    """(kind, order id) of what has a message of its own."""
    alone = outputs[
        (outputs["kind"] == Kind.MASS_CANCEL) | (outputs["kind"] == Kind.ORDER_CANCEL) & (outputs["flags"] == 0)
    ]
    return [(Kind(int(one["kind"])).name, int(one["order_id"])) for one in alone]


def states(engine, ids):
    orders = engine.state["orders"]
    return [OrderState(int(orders[np.flatnonzero(orders["order_id"] == one)[0]]["state"])).name for one in ids]


def ended(engine, order_id):
    engine.apply(record(Kind.CANCELED, order_id=order_id, qty=10, reason=BY_THE_USER))


@pytest.mark.parametrize("level", [KillLevel.CANCEL, KillLevel.FLATTEN, KillLevel.DISCONNECT])
@pytest.mark.parametrize("scope", [Scope.FIRM, Scope.VENUE])
def test_a_kill_of_everything_is_one_message_with_an_id_of_its_own(scope, level):
    engine = started()
    ids = resting(engine, KO, PEP, KO)
    outputs = kill(engine, level, scope)
    (mass,) = outputs[outputs["kind"] == Kind.MASS_CANCEL]
    assert messages(outputs) == [("MASS_CANCEL", max(ids) + 1)]
    assert (mass["instrument"], mass["venue"]) == (-1, 0)
    assert int(engine.state["next_order_id"]) == max(ids) + 2


def test_no_order_has_ended_before_the_venue_has_said_so_of_this_order():
    engine = started()
    ids = resting(engine, KO, PEP)
    outputs = kill(engine)
    assert [int(one) for one in outputs["order_id"][outputs["kind"] == Kind.ORDER_CANCEL]] == ids
    assert states(engine, ids) == ["PENDING_CANCEL", "PENDING_CANCEL"]
    ended(engine, ids[1])
    assert states(engine, ids) == ["PENDING_CANCEL", "CANCELLED"]


def test_a_symbols_kill_names_the_symbol_and_leaves_the_others():
    engine = started()
    ids = resting(engine, KO, PEP, KO)
    outputs = kill(engine, scope=Scope.SYMBOL, key=KO)
    (mass,) = outputs[outputs["kind"] == Kind.MASS_CANCEL]
    assert mass["instrument"] == KO
    assert states(engine, ids) == ["PENDING_CANCEL", "LIVE", "PENDING_CANCEL"]


def test_what_the_venue_has_no_scope_for_is_cancelled_order_by_order():
    engine = started()
    engine.state["slots"][0]["strategy_key"] = digest_of("Pairs US")
    ids = resting(engine, KO, PEP)
    outputs = kill(engine, scope=Scope.STRATEGY, key=digest_of("Pairs US"))
    assert messages(outputs) == [("ORDER_CANCEL", one) for one in ids]


def test_one_order_is_cancelled_by_its_own_message():
    engine = started()
    (order_id,) = resting(engine, KO)
    assert messages(kill(engine)) == [("ORDER_CANCEL", order_id)]


def test_where_the_venue_refuses_a_mass_cancel_each_order_that_is_left_is_asked_for():
    engine = started()
    ids = resting(engine, KO, PEP, KO)
    ((_, mass_id),) = messages(kill(engine))
    ended(engine, ids[0])
    outputs = engine.apply(record(Kind.REJECTED, order_id=mass_id, reason=1)).copy()
    assert messages(outputs) == [("ORDER_CANCEL", one) for one in ids[1:]]
    assert int(engine.state["anomalies"]) == 0
    assert messages(engine.apply(record(Kind.TIMER))) == []


def test_what_a_silent_venue_has_not_ended_by_the_second_timer_is_asked_for_once():
    engine = started()
    ids = resting(engine, KO, PEP, KO)
    kill(engine)
    ended(engine, ids[2])
    later = [messages(engine.apply(record(Kind.TIMER))) for _ in range(4)]
    assert later == [[], [("ORDER_CANCEL", ids[0]), ("ORDER_CANCEL", ids[1])], [], []]


def test_after_a_lost_session_each_order_is_asked_for_as_soon_as_it_is_back():
    engine = started()
    ids = resting(engine, KO, PEP)
    kill(engine)
    engine.apply(record(Kind.ORDER_SESSION, code=0))
    outputs = engine.apply(record(Kind.ORDER_SESSION, code=1, ref=100)).copy()
    assert messages(outputs) == [("ORDER_CANCEL", one) for one in ids]
    assert [messages(engine.apply(record(Kind.TIMER))) for _ in range(3)] == [[], [], []]
