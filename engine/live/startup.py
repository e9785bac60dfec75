"""What stands before the core's loop: the node's lock, the journal and its recovery, the engine's settings."""

import fcntl
import json
import logging
import os
import time

import msgspec

from engine import engine_build
from engine.core.engine import FIRM, Engine, blob
from engine.core.events import BlobType
from engine.core.venues import VenueTerms
from engine.errors import BadInput
from engine.live.carry_over import carry_over, finish_carry_over
from engine.live.config import Config
from engine.live.journal import SUFFIX, Reader, Writer
from engine.live.kill_latch import find_hang, forget_hang, hung_record
from engine.live.limits import take_limits
from engine.live.pipeline import Pipeline
from engine.live.recovery import BuildDiffers, InputState, new_inputs, recover
from engine.live.spare import LOCAL_DISK, Disk
from engine.strategies.load import load_manifest

log = logging.getLogger("engine.core")

LOCK_TRIES, LOCK_PAUSE = 20, 0.02  # seconds between two


def lock_core(config: Config) -> int:
    """The descriptor that holds the node's core lock. Raises BadInput naming the core that holds it."""
    config.folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(config.lock, os.O_RDWR | os.O_CREAT, 0o600)
    if not _locked(descriptor):
        holder = os.pread(descriptor, 32, 0).decode().strip()
        os.close(descriptor)
        raise BadInput("core_running", "var", str(config.folder), f"no other core there (process {holder})")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours. A core keeps it for good; who only looks whether there is one, for an instant."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            time.sleep(LOCK_PAUSE)
    return False


def core_process(config: Config) -> int:
    """The process that holds the node's core lock, 0 for none."""
    try:
        descriptor = os.open(config.lock, os.O_RDONLY)
    except FileNotFoundError:
        return 0
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 32, 0).decode().strip()
        return int(holder) if holder.isdecimal() else 0
    finally:
        os.close(descriptor)
    return 0


def open_pipeline(config: Config, disk: Disk = LOCAL_DISK) -> tuple[Pipeline, list[InputState]]:
    """A new journal, or the old one recovered.

    A journal of another build that this one does not make again is replaced by one that carries on from it.
    Raises BadInput, JournalDamaged or JournalFull.
    """
    finish_carry_over(config.folder, config.journal)
    engine = Engine(load_manifest)
    if not any(config.journal.glob("*" + SUFFIX)):
        writer = Writer.create(config.journal, segment_bytes=config.segment_bytes, disk=disk)
        return Pipeline(engine, writer), new_inputs()
    began = time.monotonic()
    writer = Writer.open(config.journal, segment_bytes=config.segment_bytes, disk=disk)
    hang = find_hang(config.folder, writer)
    reader = Reader(config.journal)
    try:
        recovered = recover(engine, reader, config.snapshots, hung=hang.record if hang else 0)
    except BuildDiffers as error:
        if reader.origins[-1].build == engine_build():
            raise  # the same build must make the same records: this is a fault, and no journal hides it
        log.warning("%s", error)
        writer.close()
        return carry_over(config.folder, config.journal, config.segment_bytes)
    if len(recovered.missing):
        writer.append(recovered.missing)
    if (written := reader.origins[-1].build) != engine_build():
        log.warning("the journal was written by build %s; this build makes every record of it again", written[:16])
        writer.begin_segment()
    log.warning(
        "recovered %d journal records: %d replayed, %d lost with a torn end, %.2f s",
        writer.last,
        recovered.replayed,
        writer.recovery.dropped,
        time.monotonic() - began,
    )
    pipeline = Pipeline(engine, writer)
    if hang:
        log.error("the core before was ended inside a kernel: it is not called again, its strategy is faulted")
        pipeline.take(hung_record(hang.kind, pipeline.last_ts))
        forget_hang(config.folder)
    return pipeline, recovered.inputs


def load_settings(pipeline: Pipeline, config: Config, speed: float) -> None:
    """Journals instrument table, venues, settings, fees and the node's limits where they are not what the engine has.

    ``speed`` is session time per wall time. Raises BadInput when the instruments are not those of the
    journal, in their order, with new ones only behind, or when the limits cannot be verified or are older ones.
    """
    engine = pipeline.engine
    settings = {
        "fee_per_share": config.fee_per_share,
        "timer_interval": int(config.timer_wall_ms * 1_000_000 * speed),
        "reprice_after": config.reprice_after_s * 1_000_000_000,
        "hang_after": int(config.hang_after_ms * 1_000_000 * speed),
    }
    fees = [[venue.adding_fee, venue.taking_fee] for venue in config.venues]
    venues = [VenueTerms(one.name, one.dark, one.latency_ns, one.min_qty) for one in config.venues]
    due = []
    for old, new in config.symbol_changes.items():
        if old in engine.instruments:
            change = {"instrument": engine.instruments.index(old), "symbol": new}
            _take(pipeline, BlobType.SYMBOL_CHANGE, json.dumps(change).encode())
    if engine.instruments != config.symbols:
        due.append((BlobType.INSTRUMENTS, json.dumps(config.symbols).encode()))
    if engine.venues != venues:
        due.append((BlobType.VENUES, msgspec.json.encode(venues)))
    if any(int(engine.state[name]) != value for name, value in settings.items()):
        due.append((BlobType.SETTINGS, json.dumps(settings).encode()))
    if engine.state["venue_fees"][: len(fees)].tolist() != [tuple(each) for each in fees]:
        due.append((BlobType.VENUE_FEES, json.dumps(fees).encode()))
    for blob_type, payload in due:
        _take(pipeline, blob_type, payload)
    take_limits(pipeline, config)


def _take(pipeline: Pipeline, blob_type: BlobType, payload: bytes) -> None:
    pipeline.take_blob(blob(blob_type, payload, strategy=FIRM, ts=pipeline.last_ts), payload)
