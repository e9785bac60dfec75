"""Brings the core to what the control plane desires, one deployment at a time."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from engine.core.events import BlobType, Command
from engine.core.signature import Signature
from engine.errors import BadInput
from engine.live.core_client import CoreClient, CoreGone
from engine.live.person_commands import break_scope
from engine.live.preparation import Moment, Preparation
from engine.messages import Applied, Deployed, Desired, DesiredState, Manifest, Resolution, StrategyStateName

log = logging.getLogger("engine.agent")

ENDED = frozenset({"stopped", "faulted"})
TRIES = 5  # to prepare for a moment that has not passed when the artifact is loaded

# What to command a strategy in a state (key) to bring it to what is desired.
COMMANDS: dict[DesiredState, tuple[Command, frozenset[str]]] = {
    "running": (Command.START, frozenset({"paused", "stopped", "flattening"})),
    "paused": (Command.PAUSE, frozenset({"running", "flattening"})),
    "stopped": (Command.STOP, frozenset({"running", "paused", "flattening", "loading"})),
    "flat": (Command.FLATTEN, frozenset({"running", "paused", "loading"})),
}


class Deployer:
    """``applied`` says what became of each deployment; ``revision`` the newest desired state that was worked off.

    ``process_reasons`` (``strategy_processes``) says of a deployment why its strategy's process is not there.
    """

    def __init__(self, preparation: Preparation, process_reasons: Mapping[str, str] = {}) -> None:
        self.revision = 0
        self._preparation, self._process_reasons = preparation, process_reasons
        self._verified: dict[str, Manifest] = {}
        self._refused: dict[str, tuple[Manifest, str]] = {}
        self._waiting: dict[str, str] = {}
        self._formed: dict[tuple[int, str], int] = {}  # (core process, deployment) -> formation date
        self._loaded: set[tuple[int, str]] = set()  # the same, of what has all that it needs to start

    async def reconcile(self, desired: Desired, core: CoreClient) -> None:
        """One pass. Raises CoreGone; anything that is wrong with one deployment is that deployment's reason."""
        status = core.status or await core.refresh()
        await self._resolve(desired.resolutions, status, core)
        slots = {slot["deployment"]: slot for slot in status["slots"]}
        for deployed in desired.deployments:
            await self._one(deployed, slots.get(deployed.manifest.deployment), core)
        wanted = {deployed.manifest.deployment for deployed in desired.deployments}
        for name, slot in slots.items():
            if name not in wanted and slot["state"] not in ENDED:
                log.warning("deployment %s is not desired any more: stopped", name)
                await core.command(Command.STOP, slot["slot"])
        self.revision = desired.revision

    async def _resolve(self, resolutions: list[Resolution], status: dict[str, Any], core: CoreClient) -> None:
        """Resolves those breaks that are open as the person saw them; others were resolved, or are new ones."""
        open_ = {(one["symbol"], one["value"]) for one in status["breaks"]}
        for one in resolutions:
            if (one.symbol, one.value) in open_:
                await core.resolve(Signature([one.person], "web", break_scope(one.symbol), one.reason), one.value)
                log.warning("the break of %s was resolved by %s", one.symbol or "everything", one.person)
                await core.refresh()

    def applied(self, desired: Desired | None, status: dict[str, Any] | None) -> list[Applied]:
        """What the engine makes of each deployment."""
        slots = {slot["deployment"]: slot for slot in status["slots"]} if status else {}
        names = {deployed.manifest.deployment: deployed.desired for deployed in desired.deployments} if desired else {}
        return [self._applied(name, slots.get(name), names.get(name)) for name in {**names, **slots}]

    def _applied(self, name: str, slot: dict[str, Any] | None, desired: DesiredState | None) -> Applied:
        state: StrategyStateName | None = slot["state"] if slot else None
        _, refused = self._refused.get(name, (None, ""))
        if desired in ("stopped", "flat"):  # then it counts how far it has come, refused or not
            if state is None:
                return Applied(name, "stopped", refused or "it was never loaded")
            return Applied(name, state, refused)
        if refused:
            return Applied(name, state if state in ENDED else "refused", refused)
        reduces = slot["only_reduces"] if slot and state == "running" else ""
        return Applied(name, state or "loading", self._waiting.get(name) or reduces)

    async def _one(self, deployed: Deployed, slot: dict[str, Any] | None, core: CoreClient) -> None:
        name, reducing = deployed.manifest.deployment, deployed.desired in ("stopped", "flat")
        if slot is not None and (reducing or (deployed.desired == "paused" and slot["state"] != "loading")):
            await self._command(deployed, slot, core)  # taking risk off needs no proof of what runs
            return
        if reducing:
            return
        refused = self._refused.get(name)
        if refused and refused[0] == deployed.manifest:
            return
        self._refused.pop(name, None)
        try:
            await self._verify(deployed.manifest)
            if slot is None or (slot["state"] == "loading" and _key(core, name) not in self._loaded):
                await self._deploy(deployed, slot, core)
            elif slot["state"] == "loading":
                await self._begin(deployed, slot, core)
            else:
                await self._keep_running(deployed, slot, core)
        except CoreGone:
            raise
        except BadInput as error:
            await self._refuse(deployed, slot, core, str(error))
        except Exception as error:
            log.exception("deployment %s", name)
            await self._refuse(deployed, slot, core, f"the engine failed on it: {error!r}")

    async def _refuse(self, deployed: Deployed, slot: dict[str, Any] | None, core: CoreClient, reason: str) -> None:
        log.error("deployment %s is refused: %s", deployed.manifest.deployment, reason)
        self._refused[deployed.manifest.deployment] = (deployed.manifest, reason)
        if slot is not None and slot["state"] not in ENDED | {"paused"}:
            await core.command(Command.PAUSE, slot["slot"])

    async def _verify(self, manifest: Manifest) -> None:
        """Once for each content, not for each hash: what comes changed under the old hash is another content."""
        if self._verified.get(manifest.deployment) != manifest:
            await asyncio.to_thread(self._preparation.verify, manifest)
            self._verified[manifest.deployment] = manifest

    async def _deploy(self, deployed: Deployed, slot: dict[str, Any] | None, core: CoreClient) -> None:
        """Loads everything of a version, in the order in which the core needs it, and starts it."""
        manifest, name = deployed.manifest, deployed.manifest.deployment
        artifact = await self._prepared(manifest, core)
        if artifact is None:
            self._waiting[name] = "waiting for the venue's first session"
            return
        self._waiting.pop(name, None)
        place = slot["slot"] if slot else await core.load(BlobType.MANIFEST, msgspec.json.encode(manifest))
        await core.load(BlobType.PARAMETERS, self._preparation.parameter_record(manifest), place)
        await core.load(BlobType.LIMITS, self._preparation.limits(manifest), place)
        if manifest.plan is not None:
            await core.load(BlobType.PLAN, self._preparation.plan(manifest), place)
        await core.load(BlobType.ARTIFACT, artifact, place)
        status = await core.refresh()
        self._loaded.add((status["pid"], name))
        await self._begin(deployed, next(one for one in status["slots"] if one["slot"] == place), core)

    async def _begin(self, deployed: Deployed, slot: dict[str, Any], core: CoreClient) -> None:
        """Starts what has been loaded, once somebody is there to decide."""
        if not self._has_process(deployed, slot):
            return
        await core.command(COMMANDS[deployed.desired][0], slot["slot"])
        log.info("deployment %s: %s in slot %d", deployed.manifest.deployment, deployed.desired, slot["slot"])
        await core.refresh()

    def _has_process(self, deployed: Deployed, slot: dict[str, Any]) -> bool:
        """Whether a strategy that runs outside the core may start; with the reason where it may not."""
        name, process = deployed.manifest.deployment, slot.get("process")
        if process is None or process["attached"] or deployed.desired != "running":
            self._waiting.pop(name, None)
            return True
        self._waiting[name] = self._process_reasons.get(name) or process["fault"] or "its process is starting"
        return False

    async def _command(self, deployed: Deployed, slot: dict[str, Any], core: CoreClient) -> None:
        """Commands what is desired, unless it is so already."""
        command, states = COMMANDS[deployed.desired]
        unwound = deployed.desired == "flat" and slot["state"] in ENDED and not slot["flat"]
        if slot["state"] in states or unwound:
            await core.command(command, slot["slot"])
            log.info("deployment %s: %s", deployed.manifest.deployment, deployed.desired)
            await core.refresh()

    async def _keep_running(self, deployed: Deployed, slot: dict[str, Any], core: CoreClient) -> None:
        """Forms it again when its artifact is not of this year, or when sessions have passed its kernel by: those
        while it was not running, and those before this core started."""
        if slot["state"] == "faulted":
            return  # a person has to look at it
        if not self._has_process(deployed, slot):
            return
        manifest = deployed.manifest
        assert core.status is not None
        formation = await asyncio.to_thread(self._preparation.formation, manifest, core.status["date"])
        formed = self._formed.get((core.status["pid"], manifest.deployment))
        if slot["state"] != "running" or formed != formation:
            artifact = await self._prepared(manifest, core)
            if artifact is None:
                return
            await core.load(BlobType.ARTIFACT, artifact, slot["slot"])
            log.info("deployment %s: formed as of %d", manifest.deployment, formation)
        await self._command(deployed, slot, core)

    async def _prepared(self, manifest: Manifest, core: CoreClient) -> bytes | None:
        """An artifact for the present session; None before the first. A first formation takes longer than a
        compressed day, but is remembered: the next try is quick."""
        moment = _moment(await core.refresh())
        for _ in range(TRIES):
            if moment.date == 0:
                return None
            artifact = await asyncio.to_thread(self._preparation.artifact, manifest, moment)
            prepared_for, moment = moment, _moment(await core.refresh())
            if moment == prepared_for:
                break
        assert core.status is not None
        formation = await asyncio.to_thread(self._preparation.formation, manifest, prepared_for.date)
        self._formed[core.status["pid"], manifest.deployment] = formation
        return artifact


def _key(core: CoreClient, name: str) -> tuple[int, str]:
    assert core.status is not None
    return core.status["pid"], name


def _moment(status: dict[str, Any]) -> Moment:
    return Moment(status["date"], status["phase"] == "closed")
