"""Trading days of the simulated exchange, and what a restart makes of a day that was cut off."""

import json
from pathlib import Path

import pytest
from exchange_world import SECOND, SYMBOLS, World

from engine.core.clock import midnight_ns
from engine.errors import BadInput
from engine.protocols import itch, moldudp64, ouch
from engine.simulation.exchange import Phase
from engine.simulation.record import Record


def resting_buy(number: int) -> ouch.EnterOrder:
    return ouch.EnterOrder(number, "B", 100, "KO", 10_0000)


def test_each_day_is_one_mold_session_with_the_system_events_in_order(tmp_path: Path):
    world = World(tmp_path)
    world.run_until(world.clock.close_wall_ns(3))
    sessions = world.market_data()
    assert list(sessions) == ["20130102", "20130103", "20130104", "20130107"]
    for messages in sessions.values():
        assert [m.event_code for m in messages if isinstance(m, itch.SystemEvent)] == ["O", "S", "Q", "M", "E", "C"]
        assert [m.stock for m in messages[1:-1] if isinstance(m, itch.StockDirectory)] == SYMBOLS
        assert [m.timestamp for m in messages] == sorted(m.timestamp for m in messages)
    ends = [d for d in world.datagrams if moldudp64.decode(d).count == moldudp64.END_OF_SESSION]
    assert len(ends) == 4


def test_start_of_day_is_at_nine_and_the_market_trades_from_half_past_nine_to_four(tmp_path: Path):
    world = World(tmp_path)
    world.close_market()
    hours = {m.event_code: m.timestamp / 3600e9 for m in world.market_data()["20130102"] if m.TYPE == "S"}
    assert (hours["O"], hours["S"], hours["Q"], hours["M"]) == (9.0, 9.0, 9.5, 16.0)


def test_symbol_without_a_close_is_halted_that_day_and_trades_on_the_next(tmp_path: Path):
    world = World(tmp_path)
    world.run_until(world.clock.close_wall_ns(3))
    states = {
        session: {m.stock: m.trading_state for m in messages if isinstance(m, itch.StockTradingAction)}
        for session, messages in world.market_data().items()
    }
    assert [day["XOM"] for day in states.values()] == ["H", "H", "H", "T"]
    assert all(day["KO"] == "T" for day in states.values())


def test_every_order_of_the_day_is_gone_at_its_end_by_the_market_data_alone(tmp_path: Path):
    world = World(tmp_path)
    world.open_market()
    world.send(resting_buy(1))
    world.close_market()
    book: dict[int, int] = {}
    for message in world.market_data()["20130102"]:
        if isinstance(message, itch.AddOrder):
            book[message.order_reference_number] = message.shares
        elif isinstance(message, itch.OrderReplace):
            del book[message.original_order_reference_number]
            book[message.new_order_reference_number] = message.shares
        elif isinstance(message, itch.OrderExecuted):
            book[message.order_reference_number] -= message.executed_shares
        elif isinstance(message, itch.OrderDelete):
            del book[message.order_reference_number]
    assert not any(book.values())


def test_late_joiner_gets_the_whole_day_again(tmp_path: Path):
    world = World(tmp_path)
    world.open_market()
    packets = [moldudp64.decode(d) for d in world.datagrams]
    answers = world.exchange.respond(moldudp64.encode_request("20130102", 1, packets[-1].next_sequence - 1))
    again = [m for d in answers for p in [moldudp64.decode(d)] for m in moldudp64.unframe(p.block, p.count)]
    assert again == [m for p in packets for m in moldudp64.unframe(p.block, p.messages)]


def test_after_the_last_day_nothing_is_quoted_and_the_end_of_session_is_repeated(tmp_path: Path):
    world = World(tmp_path)
    world.run_until(world.clock.close_wall_ns(3))
    assert world.exchange.phase is Phase.FINISHED
    before = len(world.datagrams)
    world.run_until(world.now + 3 * SECOND)
    later = {moldudp64.decode(d).count for d in world.datagrams[before:]}
    assert later == {moldudp64.END_OF_SESSION}
    assert World(tmp_path).exchange.phase is Phase.FINISHED


def test_heartbeats_keep_a_quiet_feed_alive(tmp_path: Path):
    world = World(tmp_path)
    world.run_until(world.clock.pre_open_wall_ns(0))
    quiet = world.exchange.on_time(world.now + 10)
    assert quiet == []
    assert world.exchange.deadline() <= world.now + SECOND


def test_late_wake_up_costs_steps_and_not_days(tmp_path: Path):
    world = World(tmp_path)
    world.datagrams += world.exchange.on_time(world.clock.close_wall_ns(1) + 1)
    events = {s: [m.event_code for m in ms if m.TYPE == "S"] for s, ms in world.market_data().items()}
    assert events == {"20130102": list("OSQMEC"), "20130103": list("OSQMEC")}


def test_restart_goes_on_with_the_next_day_and_cancels_what_was_working(tmp_path: Path):
    crashed = World(tmp_path)
    crashed.open_market()
    crashed.send(resting_buy(1))
    crashed.send(resting_buy(2))
    crashed.send(ouch.CancelOrder(1))
    told = crashed.told()

    world = World(tmp_path)  # nothing was closed: the process was killed
    assert world.clock.dates[0] == 20130103
    assert world.cancelled_leftovers == 1
    assert world.told()[: len(told)] == told
    (canceled,) = world.told()[len(told) :]
    assert (canceled.user_ref_num, canceled.quantity, canceled.reason) == (2, 100, "Z")
    assert world.record.streams["ONE"].session == crashed.record.streams["ONE"].session
    assert World(tmp_path).cancelled_leftovers == 0


def test_partly_executed_order_is_cancelled_for_the_rest_only(tmp_path: Path):
    crashed = World(tmp_path)
    crashed.open_market()
    crashed.send(ouch.EnterOrder(1, "B", 100, "KO", crashed.quote("KO", "B") + 100))
    crashed.send(ouch.EnterOrder(1, "S", 60, "KO", crashed.quote("KO", "B"), time_in_force="3"), "TWO")
    assert World(tmp_path).told()[-1].quantity == 40


def test_user_ref_nums_and_match_numbers_are_not_used_again_after_a_restart(tmp_path: Path):
    crashed = World(tmp_path)
    crashed.open_market()
    crashed.send(ouch.EnterOrder(9, "B", 100, "KO", crashed.quote("KO", "S")))
    used = {m.match_number for ms in crashed.market_data().values() for m in ms if isinstance(m, itch.OrderExecuted)}

    world = World(tmp_path)
    world.open_market()
    assert world.send(resting_buy(9)) == []
    assert world.send(ouch.AccountQuery())[0].next_user_ref_num == 10
    world.close_market()
    new = [m.match_number for ms in world.market_data().values() for m in ms if isinstance(m, itch.OrderExecuted)]
    assert min(new) > max(used)


def test_line_that_a_kill_cut_off_is_dropped_and_the_rest_stands(tmp_path: Path):
    crashed = World(tmp_path)
    crashed.open_market()
    crashed.send(resting_buy(1))
    told = crashed.told()
    with crashed.record.path.open("ab") as file:
        file.write(b'{"type":"execution","account":"ONE","seq')
    world = World(tmp_path)
    assert world.told()[: len(told)] == told
    assert all(json.loads(line) for line in world.record.path.read_text().splitlines())


def test_unreadable_line_in_the_middle_is_an_error_that_says_where(tmp_path: Path):
    World(tmp_path).record.path.write_text('{"type": 1}\n')
    with pytest.raises(BadInput, match="byte 0"):
        World(tmp_path)


def test_disabled_order_entry_stays_disabled_over_a_restart(tmp_path: Path):
    crashed = World(tmp_path)
    crashed.open_market()
    crashed.send(ouch.DisableOrderEntry(1, ""))
    world = World(tmp_path)
    world.open_market()
    assert isinstance(world.send(resting_buy(2))[0], ouch.Rejected)


def test_stream_is_read_back_from_the_record_when_it_is_older_than_memory_holds(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("engine.simulation.record.RECENT", 4)
    world = World(tmp_path)
    world.open_market()
    for number in range(1, 20):
        world.send(resting_buy(number))
    assert [m.user_ref_num for m in world.told()[1:]] == list(range(1, 20))
    assert [ouch.decode_outbound(m).user_ref_num for m in world.record.streams["ONE"].read(4, 3)] == [3, 4, 5]


def test_session_time_of_the_record_is_on_the_trading_day(tmp_path: Path):
    world = World(tmp_path)
    world.open_market()
    world.send(resting_buy(1))
    line = json.loads(world.record.path.read_text().splitlines()[-1])
    assert 9.5 * 3600e9 < line["ts"] - midnight_ns(20130102) < 16 * 3600e9


def test_match_numbers_are_reserved_ahead_on_disk(tmp_path: Path):
    record = Record(tmp_path, ["ONE"])
    assert not record.runs_short(1)
    assert record.runs_short(record.state.next_match_number - 10)
    record.reserve_match_numbers(500)
    assert Record(tmp_path, ["ONE"]).first_free_match_number > 500
