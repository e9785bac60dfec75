"""What is desired becomes blobs and commands; what cannot be vouched for does not run."""

from typing import Any

import msgspec
import pytest
from live_world import manifest

from engine.core.events import BlobType, Command
from engine.core.signature import Signature
from engine.errors import BadInput
from engine.live.control import CHOOSE_SLOT
from engine.live.deployer import Deployer
from engine.live.preparation import Moment
from engine.messages import Deployed, Desired, Plan, Resolution

STATES = {
    Command.START: "running",
    Command.PAUSE: "paused",
    Command.STOP: "stopped",
    Command.FLATTEN: "flattening",
}


class FakeCore:
    """A core's control socket as the deployer sees it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, int]] = []
        self.process: dict[str, Any] | None = None  # of a strategy that runs outside
        self.status: dict[str, Any] = {"pid": 1, "date": 20130115, "phase": "open", "slots": [], "breaks": []}

    async def refresh(self) -> dict[str, Any]:
        return self.status

    async def load(self, blob_type: BlobType, payload: bytes, slot: int = CHOOSE_SLOT) -> int:
        if slot == CHOOSE_SLOT:
            slot = len(self.status["slots"])
            place = {"slot": slot, "deployment": "d-1", "state": "loading", "flat": True, "process": self.process}
            place["only_reduces"] = ""
            self.status["slots"].append(place)
        self.asked.append((blob_type, slot))
        return slot

    async def command(self, command: Command, slot: int) -> None:
        self.asked.append((command, slot))
        self.status["slots"][slot]["state"] = STATES[command]

    async def resolve(self, signature: Signature, value: int) -> None:
        self.asked.append((signature, value))
        self.status["breaks"] = [one for one in self.status["breaks"] if one["value"] != value]

    def taken(self) -> list[Any]:
        """What was asked since the last call."""
        asked, self.asked = [what for what, _ in self.asked], []
        return asked


class FakePreparation:
    """Vouches for everything but ``refused``; each artifact takes until the ``moments`` that are given have passed."""

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        self.refused = ""
        self.prepared: list[Moment] = []
        self.pass_by: list[int] = []

    def verify(self, approved: Any) -> None:
        if self.refused:
            raise BadInput("content_hash", "content_hash", approved.content_hash, self.refused)

    def parameter_record(self, approved: Any) -> bytes:
        return b"parameters"

    def limits(self, approved: Any) -> bytes:
        return b"limits"

    def plan(self, approved: Any) -> bytes:
        return b"plan"

    def formation(self, approved: Any, date: int) -> int:
        return date // 10_000 * 10_000 + 102

    def artifact(self, approved: Any, moment: Moment) -> bytes:
        self.prepared.append(moment)
        if self.pass_by:
            self.core.status["date"] = self.pass_by.pop(0)
        return b"artifact"


class World:
    def __init__(self) -> None:
        self.core = FakeCore()
        self.preparation = FakePreparation(self.core)
        self.deployer = Deployer(self.preparation)  # type: ignore[arg-type]
        self.revision = 0

    async def desire(self, desired: str | None, plan: Plan | None = None) -> list[Any]:
        self.revision += 1
        approved = msgspec.structs.replace(manifest(), plan=plan)
        deployments = [Deployed(approved, desired)] if desired else []  # type: ignore[arg-type]
        self.desired = Desired(self.revision, deployments)
        await self.deployer.reconcile(self.desired, self.core)  # type: ignore[arg-type]
        return self.core.taken()

    def applied(self) -> tuple[str, str]:
        (one,) = self.deployer.applied(self.desired, self.core.status)
        return one.state, one.reason


@pytest.fixture
def world():
    return World()


DEPLOYED = [BlobType.MANIFEST, BlobType.PARAMETERS, BlobType.LIMITS, BlobType.ARTIFACT]


async def test_everything_of_a_version_is_loaded_before_it_starts(world):
    assert await world.desire("running") == [*DEPLOYED, Command.START]
    assert world.applied() == ("running", "")
    assert await world.desire("running") == []
    assert world.deployer.revision == 2


async def test_a_plan_is_loaded_before_the_strategy_can_want_anything(world):
    loaded = await world.desire("running", Plan("twap", 30, 100, 300))
    assert loaded == [*DEPLOYED[:3], BlobType.PLAN, DEPLOYED[3], Command.START]


async def test_a_strategy_outside_starts_only_once_its_process_is_there(world):
    """Everything is loaded once; what is waited for is said."""
    world.core.process = {"attached": False, "fault": ""}
    assert await world.desire("running") == DEPLOYED
    assert world.applied() == ("loading", "its process is starting")
    assert await world.desire("running") == []
    world.core.status["slots"][0]["process"]["attached"] = True
    assert await world.desire("running") == [Command.START]
    assert world.applied() == ("running", "")


async def test_one_whose_process_has_failed_says_why_until_there_is_another(world):
    world.core.process = {"attached": True, "fault": ""}
    await world.desire("running")
    slot = world.core.status["slots"][0]
    slot["state"], slot["process"] = "paused", {"attached": False, "fault": "has been silent for 3.0 s"}
    assert await world.desire("running") == []
    assert world.applied() == ("paused", "has been silent for 3.0 s")
    slot["process"]["attached"] = True
    assert await world.desire("running") == [BlobType.ARTIFACT, Command.START]
    assert world.applied() == ("running", "")


async def test_one_that_runs_and_may_only_reduce_says_by_which_limit(world):
    await world.desire("running")
    world.core.status["slots"][0]["only_reduces"] = "it only reduces: the strategy is beyond its drawdown limit"
    assert world.applied() == ("running", "it only reduces: the strategy is beyond its drawdown limit")
    await world.desire("paused")
    assert world.applied() == ("paused", "")


async def test_each_desired_state_is_one_command(world):
    await world.desire("running")
    assert await world.desire("paused") == [Command.PAUSE]
    assert await world.desire("paused") == []
    assert await world.desire("flat") == [Command.FLATTEN]
    assert await world.desire("flat") == []
    assert await world.desire("stopped") == [Command.STOP]


async def test_a_strategy_that_was_paused_is_formed_again_before_it_starts(world):
    await world.desire("running")
    await world.desire("paused")
    assert await world.desire("running") == [BlobType.ARTIFACT, Command.START]


async def test_a_new_year_brings_a_new_formation(world):
    await world.desire("running")
    world.core.status["date"] = 20140103
    assert await world.desire("running") == [BlobType.ARTIFACT]
    assert await world.desire("running") == []


async def test_a_core_that_started_again_gets_what_its_kernels_have_missed(world):
    await world.desire("running")
    world.core.status["pid"] = 2
    assert await world.desire("running") == [BlobType.ARTIFACT]


async def test_an_artifact_is_prepared_again_when_its_moment_has_passed(world):
    world.preparation.pass_by = [20130116, 20130117]
    await world.desire("running")
    assert [moment.date for moment in world.preparation.prepared] == [20130115, 20130116, 20130117]


async def test_after_the_close_the_windows_take_in_that_days_close(world):
    world.core.status["phase"] = "closed"
    await world.desire("running")
    assert [moment.warm_to for moment in world.preparation.prepared] == [20130116]


async def test_nothing_is_prepared_before_the_venues_first_session(world):
    world.core.status["date"] = 0
    assert await world.desire("running") == []
    assert world.applied() == ("loading", "waiting for the venue's first session")


async def test_what_cannot_be_vouched_for_is_refused_with_the_reason_and_not_loaded(world):
    world.preparation.refused = "another"
    assert await world.desire("running") == []
    state, reason = world.applied()
    assert state == "refused"
    assert "another" in reason


async def test_what_ran_before_and_is_refused_now_is_paused_and_can_still_be_flattened(world):
    await world.desire("running")
    world.deployer = Deployer(world.preparation)
    world.preparation.refused = "another build"
    assert await world.desire("running") == [Command.PAUSE]
    assert world.applied()[0] == "refused"
    assert await world.desire("running") == []
    assert await world.desire("flat") == [Command.FLATTEN]
    assert world.applied()[0] == "flattening", "it still holds something: what is refused is not over"
    world.core.status["slots"][0]["state"] = "stopped"
    assert world.applied()[0] == "stopped"


@pytest.mark.parametrize("desired", ["stopped", "flat"])
async def test_what_was_refused_before_it_was_loaded_is_over_at_once(world, desired):
    world.preparation.refused = "another build"
    await world.desire("running")
    assert await world.desire(desired) == []
    assert world.applied()[0] == "stopped"
    assert "another build" in world.applied()[1]


async def test_content_that_changes_under_its_approved_hash_is_refused_while_it_runs(world):
    await world.desire("running")
    world.preparation.refused = "another"
    changed = msgspec.structs.replace(manifest(), parameters={"leg_notional": 900_000})
    assert changed.content_hash == manifest().content_hash
    world.desired = Desired(9, [Deployed(changed, "running")])
    await world.deployer.reconcile(world.desired, world.core)
    assert world.core.taken() == [Command.PAUSE]
    assert world.applied()[0] == "refused"


async def test_a_refused_deployment_is_looked_at_again_when_its_manifest_changes(world):
    world.preparation.refused = "another"
    await world.desire("running")
    world.preparation.refused = ""
    assert await world.desire("running") == []
    deployments = [Deployed(msgspec.structs.replace(manifest(), version="v-2"), "running")]
    await world.deployer.reconcile(Desired(9, deployments), world.core)
    assert world.core.taken()[-1] is Command.START


async def test_what_is_not_desired_any_more_is_stopped(world):
    await world.desire("running")
    assert await world.desire(None) == [Command.STOP]


async def test_what_was_stopped_before_it_was_loaded_is_never_loaded(world):
    assert await world.desire("stopped") == []
    assert world.applied() == ("stopped", "it was never loaded")


async def test_a_faulted_strategy_is_left_alone(world):
    await world.desire("running")
    world.core.status["slots"][0]["state"] = "faulted"
    assert await world.desire("running") == []


async def test_a_half_loaded_slot_is_completed(world):
    world.core.status["slots"] = [{"slot": 0, "deployment": "d-1", "state": "loading", "flat": True}]
    assert await world.desire("running") == [*DEPLOYED[1:], Command.START]


async def test_a_break_is_resolved_once_as_the_person_saw_it_and_no_other(world):
    world.core.status["breaks"] = [{"symbol": "KO", "code": "unknown_bust", "value": 12}]
    seen, older = Resolution("KO", 12, "rhea", "paid twice"), Resolution("KO", 11, "rhea")
    for _ in range(2):
        await world.deployer.reconcile(Desired(1, [], resolutions=[older, seen]), world.core)
    (asked,) = world.core.asked
    assert asked == (Signature(["rhea"], "web", "symbol:KO", "paid twice"), 12)
