"""The venues that an engine trades at, and what the router expects of each before it has learned anything."""

from typing import Any

import msgspec
import numpy as np

from engine.core.capacities import MARKETS
from engine.core.router_records import GRAIN, LOT, MIDPOINT, PART, POST, TAKE
from engine.core.router_records import VENUE as TERMS
from engine.errors import BadInput

PRIOR = 500  # shares that what is expected weighs as much as
LIT_RATES, DARK_RATES = (0.95, 0.0, 0.5), (0.0, 0.2, 0.0)  # of what is asked for, by Action


class VenueTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``latency_ns`` one way, ``min_qty`` the least order. A dark venue displays nothing and takes midpoint orders."""

    name: str
    dark: bool = False
    latency_ns: int = 0
    min_qty: int = 1


def decode_venues(payload: bytes) -> list[VenueTerms]:
    """Raises BadInput for what is no list of up to MARKETS venues, each with a name of its own."""
    try:
        venues = msgspec.json.decode(payload, type=list[VenueTerms])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput("venues", "payload", f"{len(payload)} bytes", str(error)) from error
    names = [venue.name for venue in venues]
    if not 1 <= len(venues) <= MARKETS or len(set(names)) != len(names) or "" in names:
        raise BadInput("venues", "names", names, f"1 to {MARKETS} different names")
    if venues[0].dark:
        raise BadInput("venues", "dark", names[0], "a first venue that displays")
    for venue in venues:
        if venue.latency_ns < 0 or venue.min_qty < 1:
            raise BadInput("venues", venue.name, (venue.latency_ns, venue.min_qty), "a latency from 0, a least order")
    return venues


def fresh_terms(*, dark: bool, latency: int, min_qty: int) -> np.void:
    """TERMS of a venue of which nothing is known yet; fees are to be filled in."""
    made = np.zeros(1, TERMS)[0]
    made["displays"] = made["protected"] = made["posts"] = not dark
    made["midpoint"] = dark
    made["latency"], made["min_qty"] = latency, min_qty
    made["prior"] = [round(rate * PART) for rate in (DARK_RATES if dark else LIT_RATES)]
    made["asked"] = PRIOR << GRAIN
    made["hidden"] = LOT << GRAIN
    made["got"] = made["prior"] * (PRIOR << GRAIN) // PART
    return made


def set_terms(state: Any, venues: list[VenueTerms], known: int) -> None:
    """Puts them into ``state`` (a STATE record). What was learned of the first ``known`` of them stays."""
    for number, venue in enumerate(venues):
        terms = state["terms"][number]
        if number >= known or bool(terms["midpoint"]) != venue.dark:
            state["terms"][number] = fresh_terms(dark=venue.dark, latency=venue.latency_ns, min_qty=venue.min_qty)
        terms["latency"], terms["min_qty"] = venue.latency_ns, venue.min_qty
    state["venue_count"] = len(venues)
    set_fees(state)


def set_fees(state: Any) -> None:
    """What the router reckons with is what executions are booked at."""
    for terms, fees in zip(state["terms"], state["venue_fees"], strict=False):
        terms["fees"][TAKE] = terms["fees"][MIDPOINT] = fees["taking"]
        terms["fees"][POST] = fees["adding"]
