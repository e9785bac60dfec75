"""Complex events: windows over the last t, and sequences of conditions, "A, then B within t, unless C".

A strategy declares them on named columns (the fields of its signals); `compile_patterns` makes one PROGRAM record of
them, which is data: it goes into the strategy's artifact, is hashed and journaled with it, and needs no compiler where
it runs. `observe` runs it on one subject (an instrument, a pair) at an event, in bounded time.

    spread, z = column("spread"), column("z")
    burst = Window("burst", Aggregate.COUNT, span=SECOND, where=column("traded") != 0)
    turn = Sequence("turn", [abs(z) > 2, abs(z) < 1.5], within=60 * SECOND, unless=column("burst") >= 20)
    program = compile_patterns(("spread", "z", "traded"), windows=[burst], sequences=[turn])

**Sequence.** Its steps are conditions that must hold one after the other, each at a later event than the one before
and at most ``within`` after it; a step that holds at several events counts from the last of them. When the last step
holds the sequence fires, and begins anew. ``unless`` takes back everything that came before, and is asked first: where
it holds, nothing fires. Partial matches are not consumed by others: of all ways to match, one is found when there is
one (in the words of event languages: skip till any match, latest binding).
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from engine.core.compiled import njit
from engine.core.signals.windows import PANES, WINDOW_STATE, Aggregate, window_add, window_value
from engine.errors import BadInput

CODE = 96  # instructions of all conditions together
CONDITIONS = 24
WINDOWS = 4
SEQUENCES = 4
STEPS = 4
COLUMNS = 32  # those of the subject and the windows
NEVER = -(1 << 62)


class Op(IntEnum):
    """Of an instruction. Comparisons put one truth on the stack, the rest work on what is there."""

    GREATER = 0  # column over the threshold or over another column
    AT_LEAST = 1
    LESS = 2
    AT_MOST = 3
    EQUAL = 4
    AND = 5
    OR = 6
    NOT = 7


GREATER, AT_LEAST, LESS, AT_MOST = int(Op.GREATER), int(Op.AT_LEAST), int(Op.LESS), int(Op.AT_MOST)
EQUAL, AND, OR = int(Op.EQUAL), int(Op.AND), int(Op.OR)

# ``other`` is the column on the right side, -1 for ``threshold``; ``absolute`` takes the left side without its sign.
INSTRUCTION = np.dtype([("op", "<i4"), ("column", "<i4"), ("other", "<i4"), ("absolute", "<i4"), ("threshold", "<f8")])
WINDOW = np.dtype([("aggregate", "<i4"), ("column", "<i4"), ("where", "<i4"), ("unused", "<i4"), ("span", "<i8")])
SEQUENCE = np.dtype([("steps", "<i4"), ("unless", "<i4"), ("condition", "<i4", (STEPS,)), ("within", "<i8", (STEPS,))])
PROGRAM = np.dtype(
    [
        ("columns", "<i4"),
        ("windows", "<i4"),
        ("sequences", "<i4"),
        ("unused", "<i4"),
        ("start", "<i4", (CONDITIONS + 1,)),  # of a condition's instructions; its end is the next one's start
        ("padding", "<i4"),
        ("code", INSTRUCTION, (CODE,)),
        ("window", WINDOW, (WINDOWS,)),
        ("sequence", SEQUENCE, (SEQUENCES,)),
    ]
)

# What is remembered of one subject. ``reached`` is when a sequence's steps last held in their order, NEVER for not.
SUBJECT = np.dtype([("window", WINDOW_STATE, (WINDOWS,)), ("reached", "<i8", (SEQUENCES, STEPS))])


# ---- what a strategy declares ------------------------------------------------------------------------


@dataclass(frozen=True)
class Condition:
    """A truth about columns; ``&``, ``|`` and ``~`` combine them. Code in postfix order: (op, column, other, absolute,
    threshold)."""

    code: tuple[tuple[Op, str, str, bool, float], ...]

    def __and__(self, other: "Condition") -> "Condition":
        return Condition((*self.code, *other.code, (Op.AND, "", "", False, 0.0)))

    def __or__(self, other: "Condition") -> "Condition":
        return Condition((*self.code, *other.code, (Op.OR, "", "", False, 0.0)))

    def __invert__(self) -> "Condition":
        return Condition((*self.code, (Op.NOT, "", "", False, 0.0)))

    def __bool__(self) -> bool:
        raise TypeError("a condition has no truth before it is run: combine with &, | and ~, not with and, or, not")


class Column:
    """A named column, to be compared with a number or another column."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, absolute: bool = False) -> None:
        self.name, self.absolute = name, absolute

    def __abs__(self) -> "Column":
        return Column(self.name, absolute=True)

    def _compared(self, op: Op, right: "Column | float") -> Condition:
        if isinstance(right, Column):
            if right.absolute:
                raise BadInput("pattern", "condition", f"abs({right.name})", "a plain column on the right side")
            return Condition(((op, self.name, right.name, self.absolute, 0.0),))
        return Condition(((op, self.name, "", self.absolute, float(right)),))

    def __gt__(self, right: "Column | float") -> Condition:
        return self._compared(Op.GREATER, right)

    def __ge__(self, right: "Column | float") -> Condition:
        return self._compared(Op.AT_LEAST, right)

    def __lt__(self, right: "Column | float") -> Condition:
        return self._compared(Op.LESS, right)

    def __le__(self, right: "Column | float") -> Condition:
        return self._compared(Op.AT_MOST, right)

    def __eq__(self, right: "Column | float") -> Condition:  # type: ignore[override]
        return self._compared(Op.EQUAL, right)

    def __ne__(self, right: "Column | float") -> Condition:  # type: ignore[override]
        return ~self._compared(Op.EQUAL, right)


def column(name: str) -> Column:
    return Column(name)


@dataclass(frozen=True)
class Window:
    """A new column: ``aggregate`` of column ``of`` over the last ``span`` ns, of the events at which ``where``
    holds."""

    name: str
    aggregate: Aggregate
    span: int
    of: str = ""  # not needed for a count
    where: Condition | None = None  # columns of the subject alone


@dataclass(frozen=True)
class Sequence:
    """Fires when ``steps`` have held one after the other, each at most ``within`` ns after the one before."""

    name: str
    steps: Items[Condition]
    within: int
    unless: Condition | None = None


@dataclass
class _Compiler:
    columns: list[str]
    program: np.ndarray = field(default_factory=lambda: np.zeros(1, PROGRAM))
    conditions: int = 0
    instructions: int = 0

    def condition(self, condition: Condition | None, known: list[str]) -> int:
        """Index of a compiled condition, -1 for none."""
        if condition is None:
            return -1
        if self.conditions == CONDITIONS or self.instructions + len(condition.code) > CODE:
            raise BadInput("pattern", "conditions", self.conditions + 1, f"at most {CONDITIONS}, {CODE} terms in all")
        for op, name, other, absolute, threshold in condition.code:
            left = _index_of(name, known) if name else -1
            right = _index_of(other, known) if other else -1
            self.program["code"][0, self.instructions] = (op, left, right, absolute, threshold)
            self.instructions += 1
        self.conditions += 1
        self.program["start"][0, self.conditions :] = self.instructions
        return self.conditions - 1


def _index_of(name: str, known: list[str]) -> int:
    if name not in known:
        raise BadInput("pattern", "column", name, f"one of {', '.join(known)}")
    return known.index(name)


def compile_patterns(
    columns: Items[str], *, windows: Items[Window] = (), sequences: Items[Sequence] = ()
) -> np.ndarray:
    """PROGRAM[1] of what is declared on the subject's ``columns``, in their order.

    Raises BadInput for a column that is not there, a name given twice, no span, and for more than fits a program.
    """
    names = [*columns, *(window.name for window in windows)]
    if len(set(names)) != len(names):
        raise BadInput("pattern", "windows", names, "different names")
    for what, given, most in (
        ("columns", len(names), COLUMNS),
        ("windows", len(windows), WINDOWS),
        ("sequences", len(sequences), SEQUENCES),
    ):
        if given > most:
            raise BadInput("pattern", what, given, f"at most {most}")
    compiler = _Compiler(names)
    program = compiler.program
    program["columns"], program["windows"], program["sequences"] = len(columns), len(windows), len(sequences)
    for index, window in enumerate(windows):
        if window.span < PANES or window.span % PANES:
            raise BadInput("pattern", f"{window.name}.span", window.span, f"ns, a multiple of {PANES}")
        if not window.of and window.aggregate is not Aggregate.COUNT:
            raise BadInput("pattern", f"{window.name}.of", window.of, "the column to aggregate")
        of = _index_of(window.of, list(columns)) if window.of else 0
        where = compiler.condition(window.where, list(columns))
        program["window"][0, index] = (window.aggregate, of, where, 0, window.span)
    for index, sequence in enumerate(sequences):
        if not 1 <= len(sequence.steps) <= STEPS:
            raise BadInput("pattern", f"{sequence.name}.steps", len(sequence.steps), f"1 to {STEPS}")
        if sequence.within <= 0:
            raise BadInput("pattern", f"{sequence.name}.within", sequence.within, "ns, over 0")
        row = program["sequence"][0, index]
        row["steps"] = len(sequence.steps)
        row["unless"] = compiler.condition(sequence.unless, names)
        for step, condition in enumerate(sequence.steps):
            row["condition"][step] = compiler.condition(condition, names)
            row["within"][step] = sequence.within
    return program


# ---- what the step runs ------------------------------------------------------------------------------


@njit(cache=True)
def forget(subject):
    """Nothing has been observed."""
    for index in range(len(subject.window)):
        window = subject.window[index]
        window.pane = 0
        window.counts[:] = 0
        window.values[:] = 0.0
    subject.reached[:, :] = NEVER


@njit(cache=True)
def observe(program, subject, columns, now, scratch):
    """One event of a subject: the sequences that fire, as bits.

    ``columns`` float64[n] in the program's order, ``now`` ns, never going back; ``scratch`` float64[COLUMNS], whose
    first entries hold columns and windows afterwards.
    """
    for index in range(program.columns):
        scratch[index] = columns[index]
    for index in range(program.windows):
        window = program.window[index]
        kept = subject.window[index]
        if window.where < 0 or holds(program, window.where, scratch):
            window_add(kept, scratch[window.column], now, window.span, window.aggregate)
        scratch[program.columns + index] = window_value(kept, now, window.span, window.aggregate)
    fired = 0
    for index in range(program.sequences):
        if _follow(program, program.sequence[index], subject.reached[index], now, scratch):
            fired |= 1 << index
    return fired


@njit(cache=True)
def _follow(program, sequence, reached, now, scratch):
    """Whether the sequence fires at this event. From the last step to the first, so that one event is one step."""
    if sequence.unless >= 0 and holds(program, sequence.unless, scratch):
        reached[:] = NEVER
        return False
    last = sequence.steps - 1
    for step in range(last, -1, -1):
        in_time = step == 0 or (reached[step - 1] != NEVER and now - reached[step - 1] <= sequence.within[step])
        if in_time and holds(program, sequence.condition[step], scratch):
            if step == last:
                reached[:] = NEVER
                return True
            reached[step] = now
    return False


@njit(cache=True)
def holds(program, condition, columns):
    """Whether a condition of the program holds."""
    stack = 0  # truths as bits, the top one lowest
    for position in range(program.start[condition], program.start[condition + 1]):
        instruction = program.code[position]
        if instruction.op <= EQUAL:
            stack = stack << 1 | _compare(instruction, columns)
        elif instruction.op == AND:
            stack = (stack >> 2 << 1) | (stack & stack >> 1 & 1)
        elif instruction.op == OR:
            stack = (stack >> 2 << 1) | ((stack | stack >> 1) & 1)
        else:
            stack ^= 1
    return stack & 1 == 1


@njit(cache=True, inline="always")
def _compare(instruction, columns):
    left = columns[instruction.column]
    if instruction.absolute:
        left = abs(left)
    right = columns[instruction.other] if instruction.other >= 0 else instruction.threshold
    if instruction.op == GREATER:
        return 1 if left > right else 0
    if instruction.op == AT_LEAST:
        return 1 if left >= right else 0
    if instruction.op == LESS:
        return 1 if left < right else 0
    if instruction.op == AT_MOST:
        return 1 if left <= right else 0
    return 1 if left == right else 0
