"""The agent's side of strategies' processes: which it starts, and what it says where it starts none."""

from engine.live.strategy_processes import StrategyProcesses


async def test_none_is_started_for_a_slot_without_rings_and_the_reason_is_the_cores(tmp_path):
    processes = StrategyProcesses(tmp_path)
    place = {"generation": 0, "attached": False, "fault": "gets no rings: No space left on device"}
    slot = {"slot": 0, "deployment": "d-1", "state": "paused", "flat": True, "process": place}
    await processes.keep({"slots": [slot]}, frozenset({"d-1"}))
    assert processes.reasons == {"d-1": "its process gets no rings: No space left on device"}
