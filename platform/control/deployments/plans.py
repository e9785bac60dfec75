"""The execution plan that a deployment may carry: checked, hashed, in words."""

from collections.abc import Mapping
from typing import Any

import msgspec

from control.errors import InvalidInput
from control.strategies.models import StrategyVersion
from engine.errors import BadInput
from engine.execution.plans import plan_schedule
from engine.messages import Plan

KINDS = {
    "twap": "TWAP: evenly over the time",
    "vwap": "VWAP: along a volume curve",
    "pov": "POV: a share of the market's volume",
    "shortfall": "Implementation shortfall: sooner the more urgent",
}


def plan_checked(values: Mapping[str, Any] | Plan | None) -> Plan | None:
    """Raises ``InvalidInput`` at ``plan.<field>`` for what no engine would work by."""
    if values is None:
        return None
    try:
        plan = values if isinstance(values, Plan) else msgspec.convert(dict(values), Plan, strict=False)
        plan_schedule(plan)
    except msgspec.ValidationError as error:
        raise InvalidInput("plan", "plan", f"{error}.") from error
    except BadInput as error:
        field = error.field.split(",")[0]
        raise InvalidInput("plan", f"plan.{field}", f"{error.value} is refused; expected {error.expected}.") from error
    return plan


def plan_stored(values: Mapping[str, Any] | None) -> Plan | None:
    """What a deployment's row holds."""
    return msgspec.convert(values, Plan) if values else None


def plan_hash_of(version: StrategyVersion, plan: Plan | None) -> str:
    """Imported here: the engine's content loads the kernels' machine code."""
    from engine.content import plan_hash

    return plan_hash(version.content_hash, plan) if plan else ""


def plan_words(plan: Plan | None) -> str:
    """For a page: "TWAP over 30 minutes, slices of 100 to 300 shares"."""
    if plan is None:
        return "at once"
    text = f"{KINDS[plan.kind].partition(':')[0]} over {plan.minutes:g} minutes"
    text += f", slices of {plan.min_slice:,} to {plan.max_slice:,} shares"
    if plan.kind == "pov":
        text += f", {plan.rate:.0%} of the volume"
    if plan.max_participation:
        text += f", at most {plan.max_participation:.0%} of the volume"
    return text
