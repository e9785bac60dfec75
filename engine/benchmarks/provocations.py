"""What makes an order be refused, for each limit: the limit at its least, or the market against it."""

import msgspec

from engine.core.limit_names import Limit
from engine.core.limit_tables import Limits, SignedBundle, bundle_within, canonical_bytes, limits_within
from engine.messages import LimitEnvelope


class Provocation(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of the strategy's limits and of the bundle; ``price_test`` puts Rule 201 in force; with ``silent`` the
    venue answers nothing, so that orders rest, and another strategy trades beside."""

    limits: dict[str, object] = {}
    bundle: dict[str, object] = {}
    price_test: bool = False
    silent: bool = False


def provocations(symbols: list[str]) -> dict[Limit, Provocation]:
    """For all limits but a crossed market, which the day itself has."""
    measured = list(Limit)[1 : list(Limit).index(Limit.EXECUTIONS) + 1]
    return {
        **{
            limit: Provocation(limits={name: 0})
            for limit, name in zip(measured, Limits.__struct_fields__, strict=False)
        },
        Limit.VENUE: Provocation(limits={"venues": []}),
        Limit.HOURS: Provocation(limits={"hours_until_ns": 0}),
        Limit.INSTRUMENT: Provocation(limits={"instruments": []}),
        Limit.RESTRICTED: Provocation(bundle={"restricted": symbols}),
        Limit.LOCATE: Provocation(bundle={"other_locate": 0}),
        Limit.BUNDLE: Provocation(bundle={"valid_until": 1}),
        Limit.PRICE_TEST: Provocation(price_test=True),
        Limit.SELF_TRADE: Provocation(silent=True),
    }


def bundle_of(envelope: LimitEnvelope, number: int, changes: dict[str, object]) -> bytes:
    """The firm's limits, unsigned, wide but for the changes."""
    return canonical_bytes(SignedBundle(msgspec.structs.replace(bundle_within(envelope, number=number), **changes)))


def limits_of(envelope: LimitEnvelope, changes: dict[str, object]) -> Limits:
    return msgspec.structs.replace(limits_within(envelope), **changes)
