"""Kills and resolutions as a core takes them: signed, journaled, answered with proof, kept over every restart."""

import msgspec
import pytest
from live_world import SEGMENT, SYMBOLS, blobs, load, new_pipeline, opened, record, wanted

from engine.core.engine import Engine
from engine.core.events import Command, Kind, command_event
from engine.core.kill import KillLevel, kill_level
from engine.core.orders import open_order
from engine.core.signature import Signature
from engine.core.state import StrategyState
from engine.errors import BadInput
from engine.live import carry_over as carry_over_module
from engine.live.carry_over import carry_over
from engine.live.journal import Reader, Writer
from engine.live.kill_latch import add_to_latch_file, find_hang, hung_record, note_hang, read_latch_file
from engine.live.kill_watch import KillWatch
from engine.live.person_commands import (
    apply_kills,
    breaks_now,
    disconnected,
    kill_request,
    latches_now,
    take_person_command,
    unacknowledged,
)
from engine.live.pipeline import Pipeline, Replay
from engine.live.recovery import recover
from engine.live.reports import Reporter
from engine.live.scopes import scope_of
from engine.messages import KillOrder

VENUES = ["SIM"]


@pytest.fixture
def pipeline(tmp_path):
    made = new_pipeline(tmp_path / "journal")
    blobs(made)
    opened(made)
    return made


def give(pipeline, order, via="host"):
    """(the core's answer, orders sent)."""
    header, payload = kill_request(order, via=via)
    header["ts_event"] = header["ts_recv"] = pipeline.last_ts
    sent = []
    answer = take_person_command(pipeline, header, payload, VENUES, sent.append)
    return answer, [Kind(int(one["kind"])).name for orders in sent for one in orders]


def killed(level, scope="firm", epoch=0, persons=("ada",), reason="too fast"):
    return KillOrder(scope, level, epoch, list(persons), reason)


def resolve(pipeline, symbol, value, person="rhea"):
    header = command_event(0, Command.RESOLVE_BREAK, -1)
    header["ref"], header["ts_recv"] = value, pipeline.last_ts
    payload = msgspec.json.encode(Signature([person], "host", f"symbol:{symbol}"))
    return take_person_command(pipeline, header, payload, VENUES, lambda orders: None)


def working(pipeline):
    (order,) = wanted(pipeline, 500)
    order_id = int(order["order_id"])
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=order_id, price=100_200, qty=500, sequence=1))
    return order_id


def reports(pipeline, kind):
    made = Reporter().take(1, Reader(pipeline.writer.directory).read(0))
    return [one for one in made if type(one).__name__ == kind]


def test_the_proof_counts_what_worked_and_what_the_venue_has_ended(pipeline):
    order_id = working(pipeline)
    answer, sent = give(pipeline, killed("cancel"))
    assert sent == ["ORDER_CANCEL"]
    assert (answer["orders_before"], answer["asked"], answer["strategies"]) == (1, 1, 1)
    assert unacknowledged(pipeline.engine.state, "firm", answer["below"], SYMBOLS, VENUES) == 1
    pipeline.take(record(Kind.CANCELED, 0, order_id=order_id, qty=500, reason=ord("U"), sequence=2))
    assert unacknowledged(pipeline.engine.state, "firm", answer["below"], SYMBOLS, VENUES) == 0


def test_what_one_message_cancels_counts_order_by_order(pipeline):
    first = working(pipeline)
    slot = open_order(pipeline.engine.state, 0, 1, 1, 10, 90_000, 0, 0, 0)
    second = int(pipeline.engine.state["orders"][slot]["order_id"])
    pipeline.take(record(Kind.ACCEPTED, 1, order_id=second, price=90_000, qty=10, sequence=2))
    answer, sent = give(pipeline, killed("cancel"))
    assert (answer["orders_before"], answer["asked"], sent) == (2, 2, ["MASS_CANCEL"])
    left = []
    for order_id, qty in ((first, 500), (second, 10)):
        pipeline.take(record(Kind.CANCELED, 0, order_id=order_id, qty=qty, reason=ord("U"), sequence=3 + len(left)))
        left.append(unacknowledged(pipeline.engine.state, "firm", answer["below"], SYMBOLS, VENUES))
    assert left == [1, 0]


def test_orders_of_what_is_not_killed_do_not_count(pipeline):
    working(pipeline)
    answer, sent = give(pipeline, killed("cancel", "symbol:PEP"))
    assert (answer["orders_before"], sent) == (0, [])


def test_a_scope_that_covers_nothing_here_says_so(pipeline):
    answer, _ = give(pipeline, killed("cancel", "desk:Nobody's"))
    assert answer["strategies"] == 0


@pytest.mark.parametrize(
    ("scope", "level"),
    [
        ("symbol:XYZ", "cancel"),
        ("venue:OTHER", "cancel"),
        ("desk:", "cancel"),
        ("firms", "cancel"),
        ("symbol:KO", "disconnect"),
    ],
)
def test_what_means_nothing_here_is_refused_and_nothing_is_journaled(pipeline, scope, level):
    before = pipeline.writer.last
    with pytest.raises(BadInput):
        give(pipeline, killed(level, scope))
    assert pipeline.writer.last == before


@pytest.mark.parametrize("persons", [(), ("",), ("a", "b", "c")])
def test_a_command_that_nobody_or_too_many_signed_is_refused(pipeline, persons):
    with pytest.raises(BadInput, match="persons"):
        give(pipeline, killed("cancel", persons=persons))


def test_a_rearming_that_is_refused_says_why_and_the_latch_stays(pipeline):
    give(pipeline, killed("cancel"))
    with pytest.raises(BadInput, match="two persons"):
        give(pipeline, killed("armed", persons=("ada", "rhea")))
    assert kill_level(pipeline.engine.state, 0, 0, 0) == KillLevel.CANCEL
    give(pipeline, killed("armed", persons=("tess", "rhea")))
    assert kill_level(pipeline.engine.state, 0, 0, 0) == KillLevel.ARMED


def test_each_command_from_the_host_has_a_newer_epoch(pipeline):
    epochs = [give(pipeline, killed("pause", "symbol:KO"))[0]["epoch"] for _ in range(3)]
    assert epochs == sorted(set(epochs))


def test_a_kill_is_reported_with_scope_persons_and_reason(pipeline):
    give(pipeline, killed("flatten", "symbol:KO", epoch=77), via="web")
    give(pipeline, killed("armed", "symbol:KO", persons=("tess", "rhea")))
    first, second = reports(pipeline, "KillReport")
    assert (first.scope, first.level, first.epoch, first.persons, first.via, first.reason) == (
        "symbol:KO",
        "flatten",
        77,
        ["ada"],
        "web",
        "too fast",
    )
    assert (second.level, second.persons) == ("armed", ["tess", "rhea"])


def test_replay_makes_kills_and_signers_again(pipeline):
    working(pipeline)
    give(pipeline, killed("cancel"))
    engine = Engine(load)
    assert Replay(engine).take(Reader(pipeline.writer.directory).read(0, 1 << 20))
    assert engine.state_hash() == pipeline.engine.state_hash()


def test_latches_killers_and_breaks_are_carried_into_a_new_journal(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(carry_over_module, "load_manifest", load)
    working(pipeline)
    pipeline.take(record(Kind.BUST, 0, order_id=1, ref=99, sequence=2))
    give(pipeline, killed("cancel", "symbol:PEP", epoch=5))
    give(pipeline, killed("pause", "desk:Stat arb", epoch=6))
    give(pipeline, killed("armed", "desk:Stat arb", epoch=9, persons=("tess", "rhea")))
    fresh, _ = carry_over(tmp_path, tmp_path / "journal", SEGMENT)
    assert latches_now(fresh, VENUES) == latches_now(pipeline, VENUES)
    assert breaks_now(fresh) == breaks_now(pipeline) == [{"symbol": "KO", "code": "unknown_bust", "value": 99}]
    with pytest.raises(BadInput, match="two persons"):
        give(fresh, killed("armed", "symbol:PEP", persons=("ada", "rhea")))


def test_the_latch_file_is_applied_once_and_an_older_kill_in_it_changes_nothing(pipeline, tmp_path):
    give(pipeline, killed("cancel", epoch=40))
    give(pipeline, killed("armed", epoch=50, persons=("tess", "rhea")))
    add_to_latch_file(tmp_path, killed("cancel", epoch=45))
    add_to_latch_file(tmp_path, killed("flatten", "symbol:KO", epoch=60))
    apply_kills(pipeline, read_latch_file(tmp_path), VENUES, pipeline.last_ts, lambda orders: None)
    assert [kill_level(pipeline.engine.state, 0, symbol, 0) for symbol in (0, 1)] == [
        KillLevel.FLATTEN,
        KillLevel.ARMED,
    ]


def test_a_damaged_latch_file_keeps_a_core_from_starting(tmp_path):
    (tmp_path / "kill.latch").write_bytes(b'{"scope": "firm"')
    with pytest.raises(BadInput, match=r"kill\.latch"):
        read_latch_file(tmp_path)


def test_only_a_disconnect_closes_the_session(pipeline):
    give(pipeline, killed("flatten"))
    assert not disconnected(pipeline.engine.state, 0)
    give(pipeline, killed("disconnect", "venue:SIM"))
    assert disconnected(pipeline.engine.state, 0)


def test_who_resolved_a_break_is_in_the_journal_and_reported(pipeline):
    working(pipeline)
    pipeline.take(record(Kind.BUST, 0, order_id=1, ref=99, sequence=2))
    with pytest.raises(BadInput, match="no_such_break"):
        resolve(pipeline, "KO", 98)
    resolve(pipeline, "KO", 99)
    assert breaks_now(pipeline) == []
    opened_, resolved = reports(pipeline, "BreakReport")
    assert (opened_.code, opened_.person) == ("unknown_bust", "")
    assert (resolved.code, resolved.person, resolved.value) == ("resolved", "rhea", 99)


# ---- a kernel that never comes back -----------------------------------------------------------------


def hung(pipeline, folder):
    """A trade that was journaled, and whose step never ended; as a core leaves it that was ended then."""
    pipeline.writer.append(record(Kind.TRADE, 0, price=100_100, qty=700))
    return note_hang(folder, folder / "journal")


def restarted(folder):
    """What the start makes of it: the pipeline, and whether a hang was found."""
    writer = Writer.open(folder / "journal", segment_bytes=SEGMENT)
    hang, engine = find_hang(folder, writer), Engine(load)
    recovered = recover(engine, Reader(folder / "journal"), folder / "snapshots", hung=hang.record if hang else 0)
    if len(recovered.missing):
        writer.append(recovered.missing)
    pipeline = Pipeline(engine, writer)
    if hang:
        pipeline.take(hung_record(hang.kind, pipeline.last_ts))
    return pipeline, hang is not None


def test_the_next_start_does_not_call_it_again_and_faults_the_strategy(pipeline, tmp_path):
    target = int(pipeline.engine.state["parents"][0][0]["target"])
    hung(pipeline, tmp_path)
    fresh, found = restarted(tmp_path)
    assert found
    assert fresh.engine.state["slots"][0]["state"] == StrategyState.FAULTED
    assert int(fresh.engine.state["parents"][0][0]["target"]) == target
    assert int(fresh.engine.state["market"][0]["last"]) == 100_100  # the trade itself is market data like any other


def test_every_replay_after_that_makes_the_same_records(pipeline, tmp_path):
    hung(pipeline, tmp_path)
    fresh, _ = restarted(tmp_path)
    fresh.take(record(Kind.TRADE, 0, price=100_100, qty=300))
    again, found = restarted(tmp_path)
    assert not found
    assert again.engine.state_hash() == fresh.engine.state_hash()


def test_a_core_that_had_gone_on_was_slow_and_did_not_hang(pipeline, tmp_path):
    hang = hung(pipeline, tmp_path)
    pipeline.writer.append(record(Kind.TRADE, 0, price=100_100, qty=700))
    writer = Writer.open(tmp_path / "journal", segment_bytes=SEGMENT)
    assert hang.record < writer.last
    assert find_hang(tmp_path, writer) is None
    assert not (tmp_path / "core.hung").exists()


# ---- what the agent still has to bring ----------------------------------------------------------------


class _Config:
    symbols = SYMBOLS
    venue_names = VENUES


def test_the_agent_brings_what_the_core_has_not_and_the_hardest_first():
    key = [int(part) for part in scope_of("symbol:KO", SYMBOLS, VENUES)]
    status = {"latches": [{"key": key, "epoch": 5, "level": "pause"}]}
    watch = KillWatch(_Config, lambda: status)
    watch.give(
        [killed("pause", "symbol:KO", epoch=5), killed("pause", "symbol:PEP", epoch=6), killed("cancel", epoch=4)]
    )
    watch.give([killed("pause", epoch=3), killed("cancel", "symbol:XYZ", epoch=9)])
    assert [(one.scope, one.epoch) for one in watch.due()] == [("firm", 4), ("symbol:PEP", 6)]
