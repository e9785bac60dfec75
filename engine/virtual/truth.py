"""What the venues' records say, added up in plain Python, by none of the code that is under test."""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial

import msgspec

from engine.messages import LimitEnvelope
from engine.virtual.engine_host import EngineHost

SIGN = {"buy": 1, "sell": -1}


class Line(msgspec.Struct, frozen=True):
    """What is read of a line of the venue's record."""

    type: str
    trade_date: int
    user_ref_num: int = 0
    symbol: str = ""
    side: str = ""
    price: int = 0
    qty: int = 0
    match_number: int = 0
    replaces: int = 0


@dataclass(frozen=True)
class Fill:
    order_id: int
    symbol: str
    price: int
    qty: int


decode = msgspec.json.Decoder(Line).decode
Execution = tuple[str, int, int, str]  # venue, trade date, match number, side
Executions = dict[Execution, Fill]


@dataclass
class Truth:
    """What the records of an engine's venues add up to."""

    fills: Executions = field(default_factory=dict)
    filled: Counter[int] = field(default_factory=Counter)  # shares, by order id
    positions: Counter[str] = field(default_factory=Counter)
    cash: int = 0
    working: dict[int, tuple[str, int, int]] = field(default_factory=dict)  # order id: symbol, side, shares left
    ids: list[int] = field(default_factory=list)  # in the order in which the venue has taken them
    problems: list[str] = field(default_factory=list)


def take(truth: Truth, venue: str, line: Line) -> None:
    side = SIGN.get(line.side, 0)
    if line.type in ("order", "replace"):
        truth.ids.append(line.user_ref_num)
        truth.working.pop(line.replaces, None)
        truth.working[line.user_ref_num] = (line.symbol, side, line.qty)
    elif line.type == "execution":
        key = (venue, line.trade_date, line.match_number, line.side)
        if key in truth.fills:
            truth.problems.append(f"the venue's record has execution {key} twice")
        truth.fills[key] = Fill(line.user_ref_num, line.symbol, line.price, line.qty)
        truth.filled[line.user_ref_num] += line.qty
        truth.positions[line.symbol] += side * line.qty
        truth.cash -= side * line.qty * line.price
    if line.type in ("execution", "cancel"):
        symbol, own_side, left = truth.working.pop(line.user_ref_num)
        if left > line.qty:
            truth.working[line.user_ref_num] = (symbol, own_side, left - line.qty)


def beyond_limits(who: str, truth: Truth, line: Line, envelope: LimitEnvelope) -> list[str]:
    """The order that came, and everything that could be held if all that works on its side were filled."""
    measured = (
        ("order size", line.qty, envelope.max_order_qty),
        ("order notional", line.qty * line.price, envelope.max_order_notional),
        ("position", worst_position(truth, line), envelope.max_position_qty),
    )
    return [
        f"{who}, order {line.user_ref_num}: {name} {value} is beyond {limit}"
        for name, value, limit in measured
        if value > limit
    ]


def worst_position(truth: Truth, line: Line) -> int:
    """Shares on the side of an order that has come, if all that works there were filled; negative on the other."""
    side = SIGN[line.side]
    working = sum(left for symbol, one, left in truth.working.values() if symbol == line.symbol and one == side)
    return side * truth.positions[line.symbol] + working


class Watch:
    """Reads the records as they grow: every moment of them is held against the firm's limits, and at each ``look``
    against what the engine has set aside by then. ``lines`` keeps them in the order in which they were written."""

    def __init__(self, engine: EngineHost) -> None:
        self.truth = Truth()
        self.lines: list[tuple[str, Line]] = []
        self._engine, self._files = engine, [venue.record.path.open("rb") for venue in engine.venues]
        self._rests = [b""] * len(self._files)
        for number, venue in enumerate(engine.venues):
            venue.observe = partial(self._read, number)

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _read(self, number: int) -> None:
        """What one venue has written since."""
        *whole, self._rests[number] = (self._rests[number] + self._files[number].read()).split(b"\n")
        name = self._engine.config.venue_names[number]
        for line in map(decode, whole):
            self.lines.append((name, line))
            take(self.truth, name, line)
            if line.type in ("order", "replace"):
                self.truth.problems += beyond_limits("firm", self.truth, line, self._engine.plan.envelope)

    def read(self) -> Truth:
        """Up to what is there now."""
        for number in range(len(self._files)):
            self._read(number)
        return self.truth

    def look(self) -> None:
        """Whatever the venue knows and the core does not yet, position and holds of the core cover the worst of it."""
        truth, core = self.read(), self._engine.core
        if core is None:
            return
        working: Counter[tuple[str, int]] = Counter()
        for symbol, side, left in truth.working.values():
            working[symbol, side] += left
        holding = core.engine.state["holdings"][0]
        for (symbol, side), left in working.items():
            own = holding[self._engine.symbols.index(symbol)]
            worst = side * truth.positions[symbol] + left
            covered = side * int(own["position"]) + int(own["working_buy" if side > 0 else "working_sell"])
            if worst > covered:
                truth.problems.append(
                    f"{symbol}: {worst} shares may be held at the venue, {covered} are set aside here"
                )
