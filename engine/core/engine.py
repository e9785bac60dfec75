"""The engine's state and its step behind one Python class; what backtest, replay and live all hold."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

import msgspec
import numpy as np

from engine.core import memory
from engine.core.capacities import VENUES
from engine.core.carry import carry_in, decode_carried
from engine.core.events import EVENT, EVENT_BYTES, BlobType, Kind
from engine.core.kernels import BOXED, BOXES, KERNELS
from engine.core.limit_tables import (
    SignedBundle,
    decode_bundle,
    decode_strategy_limits,
    fill_bundle,
    fill_strategy,
    fill_symbols,
)
from engine.core.outbox import post_what_stands
from engine.core.recount import recount_states
from engine.core.risk_record import LEVEL, LOT_RING, STRATEGY_LEVELS
from engine.core.schedules import PLAN_SHARES, SCHEDULE, check_schedule
from engine.core.signature import decode_signature, signers_of
from engine.core.state import (
    ARTIFACT_BYTES,
    INSTRUMENTS,
    OUTPUTS,
    PARAMETER_BYTES,
    STATE,
    STRATEGIES,
    StrategyState,
)
from engine.core.step import apply
from engine.core.venues import VenueTerms, decode_venues, set_fees, set_terms
from engine.errors import BadInput

SETTINGS = ("fee_per_share", "timer_interval", "reprice_after", "hang_after")
FIRM = -1  # the ``strategy`` of a LIMITS blob that bounds the whole firm


@dataclass(frozen=True)
class Loaded:
    """What the core needs to know of a manifest: the kernel's address, what it wakes for, its capital, whose it is.

    ``desk_key`` and ``strategy_key`` are digests (``engine.core.signature.digest_of``) of names, 0 for none.
    """

    kernel: int
    interests: frozenset[Kind]
    capital: int
    desk_key: int = 0
    strategy_key: int = 0


def blob(blob_type: BlobType, payload: bytes, *, strategy: int, ts: int) -> np.ndarray:
    """The BLOB header record of ``payload`` as an EVENT array of one."""
    header = np.zeros(1, EVENT)
    header["ts_event"] = header["ts_recv"] = ts
    header["instrument"] = -1
    header["kind"] = Kind.BLOB
    header["blob_type"] = blob_type
    header["length"] = len(payload)
    header["digest"] = blob_digest(payload)
    header["strategy"] = strategy
    return header


def blob_digest(payload: bytes) -> int:
    """First eight bytes of the payload's SHA-256 as a signed little-endian integer."""
    return int.from_bytes(sha256(payload).digest()[:8], "little", signed=True)


def blob_cells(payload: bytes) -> np.ndarray:
    """The payload as raw cells, uint8[n, 64], padded with zeros."""
    cells = np.zeros((-(-len(payload) // EVENT_BYTES), EVENT_BYTES), np.uint8)
    cells.reshape(-1)[: len(payload)] = np.frombuffer(payload, np.uint8)
    return cells


class Engine:
    """Deterministic: equal inputs in equal order give equal states and equal outputs, byte for byte.

    ``load`` turns a manifest's bytes into what the core needs of it. ``outputs`` holds what the last call
    emitted; it is reused by the next one. ``fee_per_share`` is money (1/10,000), ``commission_ppm`` millionths of the
    value (no setting of a journal's: backtests alone), intervals are ns on the engine's clock. Nothing may be traded
    before the firm's limits are loaded; ``limits`` is their newest bundle.
    """

    def __init__(
        self,
        load: Callable[[bytes], Loaded],
        *,
        fee_per_share: int = 0,
        commission_ppm: int = 0,
        timer_interval: int = 0,
        reprice_after: int = 0,
    ) -> None:
        self._load = load
        self.record = memory.zeros(STATE)
        self.state = self.record[0]
        self.kernels = np.zeros(KERNELS, np.int64)
        self._boxes: dict[int, np.ndarray] = {}
        self.outputs = np.zeros(OUTPUTS, EVENT)
        self.instruments: list[str] = []
        self.venues: list[VenueTerms] = []
        self.manifests: dict[int, bytes] = {}
        self.limits: SignedBundle | None = None
        self.state["next_order_id"] = 1
        self.state["next_parent"] = 1
        self.state["venue_count"] = 1
        self.state["levels"]["limit"] = -1
        self.state["bundle"]["valid_until"] = -1
        self.state["fee_per_share"] = fee_per_share
        self.state["commission_ppm"] = commission_ppm
        self.state["timer_interval"] = timer_interval
        self.state["reprice_after"] = reprice_after

    def apply(self, events: np.ndarray, index: int = 0, *, kernels: bool = True) -> np.ndarray:
        """Steps one record of ``events`` (EVENT array; not a BLOB) and returns what it emitted (a view)."""
        woken = self.kernels if kernels else np.zeros_like(self.kernels)
        return self.outputs[: apply(self.record, woken, events, index, self.outputs)]

    def apply_blob(self, header: np.ndarray, payload: bytes, *, kernels: bool = True) -> np.ndarray:
        """Takes a blob over: instruments, settings, fees, manifest, parameters, limits, plan, artifact, the carried.

        Raises BadInput, with nothing changed, when the payload is not what the header says or does not fit.
        """
        record = header[0]
        if int(record["length"]) != len(payload) or int(record["digest"]) != blob_digest(payload):
            raise BadInput("blob_digest", "payload", f"{len(payload)} bytes", "the bytes that the header names")
        strategy = int(record["strategy"])
        blob_type = BlobType(int(record["blob_type"]))
        if blob_type is BlobType.INSTRUMENTS:
            self._set_instruments(json.loads(payload))
        elif blob_type is BlobType.SETTINGS:
            self._set_settings(json.loads(payload))
        elif blob_type is BlobType.CARRIED:
            carry_in(self.state, decode_carried(payload))
            recount_states(self.record)
        elif blob_type is BlobType.VENUE_FEES:
            self._set_venue_fees(json.loads(payload))
        elif blob_type is BlobType.VENUES:
            self._set_venues(decode_venues(payload))
        elif blob_type is BlobType.SYMBOL_CHANGE:
            change = json.loads(payload)
            self._change_symbol(change["instrument"], change["symbol"])
        elif blob_type is BlobType.SIGNATURE:
            self.state["signers"] = signers_of(decode_signature(payload))
        elif blob_type is BlobType.LIMITS and strategy == FIRM:
            bundle = decode_bundle(payload)
            fill_bundle(self.state, bundle, int(record["digest"]), self.instruments)
            self.limits = bundle
        elif not 0 <= strategy < STRATEGIES:
            raise BadInput("slot", "strategy", strategy, f"0 to {STRATEGIES - 1}")
        elif blob_type is BlobType.MANIFEST:
            self._set_manifest(strategy, payload)
        elif blob_type is BlobType.LIMITS:
            fill_strategy(self.state, strategy, decode_strategy_limits(payload), self.instruments)
            recount_states(self.record)  # its desk may be another one
        elif blob_type is BlobType.PLAN:
            self._set_plan(strategy, payload)
        elif blob_type is BlobType.PARAMETERS:
            self._fill(strategy, "parameters", payload, PARAMETER_BYTES)
        else:
            self._fill(strategy, "artifact", payload, ARTIFACT_BYTES)
            return self.apply(header, kernels=kernels)
        return self.outputs[:0]

    def attach(self, strategy: int, box: np.ndarray) -> None:
        """Posts to ``box`` (OUTBOX[1], see ``outbox``) from here on what the strategy, which runs outside, is to hear;
        first what stands. The ring that the box names must last until ``detach``."""
        self.detach(strategy)
        self._boxes[strategy] = box
        self.kernels[BOXES + strategy] = box.ctypes.data
        self.kernels[BOXED] = len(self._boxes)
        post_what_stands(self.record, self.kernels, strategy)

    def detach(self, strategy: int) -> None:
        """Posts nothing more; the strategy itself stays what it is."""
        self._boxes.pop(strategy, None)
        self.kernels[BOXES + strategy] = 0
        self.kernels[BOXED] = len(self._boxes)

    def free_slot(self) -> int:
        """A slot that no strategy needs any more: never used, or stopped and flat. BadInput when all are taken."""
        for slot in range(STRATEGIES):
            state = self.state["slots"][slot]["state"]
            flat = not self.state["positions"][slot]["position"].any()
            ended = state in (StrategyState.STOPPED, StrategyState.FAULTED)
            if state == StrategyState.NONE or (ended and flat and not self._open_children(slot)):
                return slot
        raise BadInput("slots", "deployment", STRATEGIES, f"at most {STRATEGIES} strategies on one engine")

    def snapshot(self) -> bytes:
        """Everything that the next step depends on, but for the kernels' addresses."""
        manifests = {slot: manifest.decode() for slot, manifest in self.manifests.items()}
        limits = msgspec.to_builtins(self.limits) if self.limits else None
        venues = msgspec.to_builtins(self.venues)
        known = {"instruments": self.instruments, "venues": venues, "manifests": manifests, "limits": limits}
        head = json.dumps(known).encode()
        return len(head).to_bytes(8, "little") + head + self.record.tobytes()

    def restore(self, snapshot: bytes) -> None:
        """Raises BadInput when the snapshot is of another layout."""
        head_bytes = int.from_bytes(snapshot[:8], "little")
        body = snapshot[8 + head_bytes :]
        if len(body) != STATE.itemsize:
            raise BadInput("snapshot", "state", f"{len(body)} bytes", f"{STATE.itemsize} bytes")
        head = json.loads(snapshot[8 : 8 + head_bytes])
        self.record[:] = np.frombuffer(body, STATE)
        self.instruments = head["instruments"]
        self.venues = msgspec.convert(head["venues"], list[VenueTerms])
        self.manifests = {int(slot): text.encode() for slot, text in head["manifests"].items()}
        self.limits = msgspec.convert(head["limits"], SignedBundle) if head["limits"] else None
        self.kernels[:] = 0
        self._boxes.clear()
        for slot, manifest in self.manifests.items():
            self.kernels[slot] = self._load(manifest).kernel

    def state_hash(self) -> str:
        """SHA-256 (hex) over the whole state."""
        return sha256(self.record.tobytes()).hexdigest()

    def _set_instruments(self, symbols: list[str]) -> None:
        if len(symbols) > INSTRUMENTS:
            raise BadInput("instruments", "symbols", len(symbols), f"at most {INSTRUMENTS}")
        if self.instruments and symbols[: len(self.instruments)] != self.instruments:
            raise BadInput(
                "instruments", "symbols", symbols, "the same instruments, in their order, and new ones after"
            )
        self.instruments = list(symbols)
        self.state["instruments"] = len(symbols)
        if self.limits:
            fill_symbols(self.state, self.limits.bundle, self.instruments)

    def _set_settings(self, settings: dict[str, int]) -> None:
        settings = {"hang_after": 0, **settings}  # which journals of older builds do not have
        if set(settings) != set(SETTINGS) or not all(type(value) is int and value >= 0 for value in settings.values()):
            raise BadInput("settings", "settings", settings, f"whole numbers from 0 for {', '.join(SETTINGS)}")
        for name, value in settings.items():
            self.state[name] = value

    def _set_venue_fees(self, fees: list[list[int]]) -> None:
        if len(fees) > VENUES or not all(len(fee) == 2 and all(type(each) is int for each in fee) for fee in fees):
            raise BadInput("venue_fees", "fees", fees, f"at most {VENUES} pairs of whole numbers, adding and taking")
        for row, (adding, taking) in zip(self.state["venue_fees"], fees, strict=False):
            row["adding"], row["taking"] = adding, taking
        set_fees(self.state)

    def _set_venues(self, venues: list[VenueTerms]) -> None:
        """Nothing is known of the feed of a new one."""
        known = [venue.name for venue in self.venues]
        if [venue.name for venue in venues][: len(known)] != known:
            raise BadInput("venues", "names", known, "the same venues, in their order, and new ones after")
        set_terms(self.state, venues, len(known))
        self.venues = venues

    def _change_symbol(self, instrument: int, symbol: str) -> None:
        """Positions, orders and costs stay with the instrument; only its name is another one."""
        if not 0 <= instrument < len(self.instruments) or symbol in self.instruments:
            raise BadInput("symbol_change", "symbol", (instrument, symbol), "an instrument, and a symbol that is free")
        self.instruments[instrument] = symbol
        if self.limits:
            fill_symbols(self.state, self.limits.bundle, self.instruments)

    def _set_manifest(self, strategy: int, manifest: bytes) -> None:
        loaded = self._load(manifest)
        self.detach(strategy)
        slot = self.state["slots"][strategy]
        self.state["levels"][STRATEGY_LEVELS + strategy] = np.zeros((), LEVEL)
        self.state["levels"][STRATEGY_LEVELS + strategy]["limit"] = -1
        slot["desk"] = 0
        self.state["stores"][strategy] = np.zeros_like(self.state["stores"][strategy])
        self.state["positions"][strategy] = 0
        self.state["parents"][strategy] = 0
        self.state["plans"][strategy] = np.zeros_like(self.state["plans"][strategy])
        scheduled = self.state["scheduled"]
        scheduled[(scheduled - 1) // INSTRUMENTS == strategy] = 0
        self.state["lots"][strategy] = np.zeros((), LOT_RING)
        recount_states(self.record)
        wakes = self.state["wakes"]
        wakes &= ~(1 << strategy)
        wakes[sorted(loaded.interests)] |= 1 << strategy
        slot["capital"] = loaded.capital
        slot["desk_key"], slot["strategy_key"] = loaded.desk_key, loaded.strategy_key
        slot["state"] = StrategyState.LOADING
        self.kernels[strategy] = loaded.kernel
        self.manifests[strategy] = manifest

    def _set_plan(self, strategy: int, payload: bytes) -> None:
        """From now on: what a schedule of the old plan works already, goes on by it."""
        if payload and len(payload) != SCHEDULE.itemsize:
            raise BadInput("blob_size", "plan", len(payload), f"one SCHEDULE of {SCHEDULE.itemsize} bytes, or none")
        plan = np.frombuffer(payload, SCHEDULE)[0] if payload else np.zeros(1, SCHEDULE)[0]
        if payload:
            check_schedule(plan)
            if (plan["qty"], plan["start"]) != (PLAN_SHARES, 0):
                shown = (int(plan["qty"]), int(plan["start"]))
                raise BadInput("plan", "qty, start", shown, f"{PLAN_SHARES} shares from 0")
        self.state["plans"][strategy] = plan

    def _fill(self, strategy: int, field: str, payload: bytes, capacity: int) -> None:
        if len(payload) > capacity:
            raise BadInput("blob_size", field, len(payload), f"at most {capacity} bytes")
        target = self.state["stores"][strategy][field]
        target[:] = 0
        target[: len(payload)] = np.frombuffer(payload, np.uint8)

    def _open_children(self, slot: int) -> bool:
        return bool(self.state["parents"][slot]["child"].any())
