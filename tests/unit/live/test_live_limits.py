"""Where the engine host's limits come from: its own signed bundle, or one that somebody else has signed."""

import json
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from live_world import SEGMENT, SYMBOLS, WIDE, blobs, manifest, new_pipeline, opened, record, wanted

from engine.core.engine import Engine, Loaded, blob
from engine.core.events import PRICE_SCALE, BlobType, Kind
from engine.core.limit_names import Level, Limit
from engine.core.limit_tables import StrategyLimits, bundle_within, canonical_bytes, decode_bundle, limits_within
from engine.errors import BadInput
from engine.limits_bundle import sign, verify, write_public_key
from engine.live.config import Config, FirmLimits, VenueConfig
from engine.live.journal import Writer
from engine.live.limits import manifest_limits, node_limits, only_reduces
from engine.live.pipeline import Pipeline
from engine.live.startup import load_settings
from engine.messages import LimitEnvelope

FIRM = LimitEnvelope(1_000, 10**10, 5_000, 10**11)


def config(folder: Path, **changed: object) -> Config:
    venue = VenueConfig("sim", "127.0.0.1:0", "ports.json", "clock.json", "account.json")
    fields = {"firm_limits": FirmLimits(), **changed}
    return Config("node-1", str(folder), "ws://", "token", [venue], SYMBOLS, "history", **fields)  # type: ignore[arg-type]


def started(folder: Path, settings: Config, engine: Engine | None = None) -> Pipeline:
    engine = engine or Engine(lambda _: Loaded(0, frozenset(), 0))
    journal = folder / f"journal{len(list(folder.iterdir()))}"
    pipeline = Pipeline(engine, Writer.create(journal, segment_bytes=SEGMENT))
    load_settings(pipeline, settings, 1.0)
    return pipeline


def test_a_host_without_a_bundle_signs_what_its_configuration_says(tmp_path):
    pipeline = started(tmp_path, config(tmp_path))
    engine = pipeline.engine
    assert engine.limits is not None
    assert int(engine.state["levels"][0]["limit"][Limit.ORDER_QTY]) == FirmLimits().max_order_qty
    assert (tmp_path / "limits.key").stat().st_mode & 0o777 == 0o600
    written = pipeline.writer.last
    load_settings(pipeline, config(tmp_path), 1.0)
    assert pipeline.writer.last == written  # nothing is said twice
    load_settings(pipeline, config(tmp_path, firm_limits=FirmLimits(max_order_qty=7)), 1.0)
    assert int(engine.state["levels"][0]["limit"][Limit.ORDER_QTY]) == 7
    assert engine.limits.bundle.number == 2


def signed_elsewhere(folder: Path, **changed: object) -> tuple[Config, Path]:
    """A configuration that names a bundle by a key of its own, and the bundle's file."""
    key = Ed25519PrivateKey.generate()
    write_public_key(folder / "issuer.pub", key.public_key())
    bundle = msgspec.structs.replace(bundle_within(FIRM, number=12, node="node-1"), **changed)  # type: ignore[arg-type]
    (folder / "bundle.json").write_bytes(sign(bundle, key))
    named = {"limits_bundle": str(folder / "bundle.json"), "limits_key": str(folder / "issuer.pub")}
    return config(folder, **named), folder / "bundle.json"


def test_a_signed_bundle_takes_the_place_of_the_configurations_limits(tmp_path):
    settings, _ = signed_elsewhere(tmp_path)
    engine = started(tmp_path, settings).engine
    assert int(engine.state["levels"][0]["limit"][Limit.ORDER_QTY]) == 1_000
    assert int(engine.state["bundle"]["number"]) == 12


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("signature", lambda text: text.replace('"max_order_qty":1000', '"max_order_qty":1001', 1)),
        ("signature", lambda text: text.replace('"signature":"', '"signature":"00')),
        ("key_id", lambda text: text.replace('"key_id":"', '"key_id":"0')),
        ("bundle", lambda text: text.replace('"number":12', '"number":12,"more":1')),
        ("bundle", lambda text: text[:-1]),
        ("bundle.firm.max_order_qty", lambda text: text.replace('"max_order_qty":1000', '"max_order_qty":-1')),
    ],
)
def test_a_bundle_that_was_changed_on_the_way_is_refused(tmp_path, field, change):
    settings, path = signed_elsewhere(tmp_path)
    path.write_text(change(path.read_text()))
    with pytest.raises(BadInput) as refused:
        node_limits(settings, None)
    assert refused.value.field == field


def test_layout_of_the_file_does_not_matter_to_the_signature(tmp_path):
    settings, path = signed_elsewhere(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_bytes()), indent=4))
    assert decode_bundle(node_limits(settings, None)).bundle.number == 12


def test_the_bundle_of_another_node_is_refused(tmp_path):
    key = Ed25519PrivateKey.generate()
    with pytest.raises(BadInput) as refused:
        verify(sign(bundle_within(FIRM, node="node-2"), key), "node-1", key.public_key())
    assert refused.value.field == "bundle.node"


def test_a_deployment_gets_its_row_of_the_bundle_within_what_was_approved(tmp_path):
    assert manifest_limits(config(tmp_path), manifest()) == canonical_bytes(
        StrategyLimits(0, limits_within(manifest().envelope))
    )
    row = StrategyLimits(1, msgspec.structs.replace(limits_within(FIRM), max_order_qty=50_000, max_day_loss=3))
    settings, _ = signed_elsewhere(tmp_path, strategies={"d-1": row})
    found = msgspec.json.decode(manifest_limits(settings, manifest()), type=StrategyLimits)
    assert found.desk == 1
    assert found.limits.max_order_qty == manifest().envelope.max_order_qty  # approved: 10,000
    assert found.limits.max_gross_notional == FIRM.max_gross_notional
    assert found.limits.max_day_loss == 3


def test_bundles_need_a_key_and_a_key_needs_a_bundle(tmp_path):
    settings, _ = signed_elsewhere(tmp_path)
    with pytest.raises(BadInput, match="limits_key"):
        node_limits(msgspec.structs.replace(settings, limits_key=str(tmp_path / "none")), None)


def test_levels_are_named_as_the_control_plane_shows_them():
    assert [level.name.lower() for level in Level] == ["firm", "desk", "strategy", "symbol"]


def long_of_100(folder: Path, **changed: int) -> Pipeline:
    """A strategy with limits ``changed`` that has bought 100 at 10.02."""
    pipeline = new_pipeline(folder)
    blobs(pipeline)
    row = canonical_bytes(StrategyLimits(0, msgspec.structs.replace(limits_within(WIDE), **changed)))
    pipeline.take_blob(blob(BlobType.LIMITS, row, strategy=0, ts=0), row)
    opened(pipeline)
    (order,) = wanted(pipeline, 100)
    number = int(order["order_id"])
    pipeline.take(record(Kind.ACCEPTED, 0, order_id=number, price=100_200, qty=100))
    pipeline.take(record(Kind.EXECUTION, 0, order_id=number, price=100_200, qty=100, ref=1, sequence=1))
    return pipeline


def quoted_at(pipeline: Pipeline, mid: int, order_id: int) -> None:
    """KO's quotes move from where they were to two cents around ``mid``, by orders ``order_id`` and the next."""
    for number, side in ((order_id, 1), (order_id + 1, -1)):
        pipeline.take(record(Kind.DELETE, 0, order_id=number - 10))
        pipeline.take(record(Kind.ADD, 0, side, order_id=number, price=mid - side * 100, qty=300))


@pytest.mark.parametrize(("field", "words"), [("max_drawdown", "drawdown"), ("max_day_loss", "day loss")])
def test_a_strategy_that_has_lost_what_it_may_says_that_it_only_reduces(tmp_path, field, words):
    pipeline = long_of_100(tmp_path, **{field: 10 * PRICE_SCALE})
    assert only_reduces(pipeline.engine, 0) == ""
    quoted_at(pipeline, 99_200, 11)
    assert only_reduces(pipeline.engine, 0) == ""  # exactly USD 10 lost
    quoted_at(pipeline, 99_100, 21)
    expected = f"it only reduces: the strategy is beyond its {words} limit of USD 10.00"
    assert only_reduces(pipeline.engine, 0) == expected
    assert len(wanted(pipeline, 300)) == 0
    quoted_at(pipeline, 98_000, 31)
    assert only_reduces(pipeline.engine, 0) == expected  # it does not say how far beyond


def test_a_strategy_whose_executions_are_latched_says_so(tmp_path):
    pipeline = long_of_100(tmp_path, max_executions=1)
    assert only_reduces(pipeline.engine, 0) == ""
    (order,) = wanted(pipeline, 300)
    pipeline.take(record(Kind.EXECUTION, 0, order_id=int(order["order_id"]), price=100_200, qty=100, ref=2, sequence=2))
    assert "more executions than 1; a person has to re-enable it" in only_reduces(pipeline.engine, 0)
