"""Windows and sequences of conditions, against a search over the whole history."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.signals.patterns import (
    COLUMNS,
    NEVER,
    SUBJECT,
    Aggregate,
    Sequence,
    Window,
    column,
    compile_patterns,
    forget,
    holds,
    observe,
)
from engine.core.signals.windows import PANES
from engine.errors import BadInput

SECOND = 1_000_000_000
SPAN = PANES * 100  # panes of 100 ns
A, B, C = (column(name) > 0 for name in "abc")


def run(program, events):
    """What fires at each of (now, columns), as bits, and the scratch after each."""
    subject, scratch = np.zeros(1, SUBJECT)[0], np.zeros(COLUMNS)
    forget(subject)
    fired, seen = [], []
    for now, values in events:
        fired.append(int(observe(program[0], subject, np.array(values, float), now, scratch)))
        seen.append(scratch.copy())
    return fired, seen


# ---- conditions --------------------------------------------------------------------------------------

X, Y = column("x"), column("y")
CONDITION_CASES = [
    (X > 1, lambda x, y: x > 1),
    (X >= 1, lambda x, y: x >= 1),
    (X < Y, lambda x, y: x < y),
    (X <= Y, lambda x, y: x <= y),
    (X == 2, lambda x, y: x == 2),
    (X != Y, lambda x, y: x != y),
    (abs(X) > Y, lambda x, y: abs(x) > y),
    ((X > 0) & (Y > 0) | (X < -1), lambda x, y: (x > 0 and y > 0) or x < -1),
    (~((X > 0) | (Y > 0)) & (X != -2), lambda x, y: not (x > 0 or y > 0) and x != -2),
    ((X > 0) | ((Y > 0) & ~(X < -1)), lambda x, y: x > 0 or (y > 0 and not x < -1)),
]


@pytest.mark.parametrize(("condition", "meant"), CONDITION_CASES)
def test_a_compiled_condition_says_what_it_reads_like(condition, meant):
    program = compile_patterns(("x", "y"), sequences=[Sequence("one", [condition], within=1)])
    for x in range(-3, 4):
        for y in range(-3, 4):
            assert holds(program[0], 0, np.array([x, y], float)) == meant(x, y), (x, y)


def test_a_condition_refuses_to_be_asked_for_its_truth():
    with pytest.raises(TypeError, match="combine with &"):
        bool((X > 1) and (Y > 1))


# ---- windows -----------------------------------------------------------------------------------------

PLAIN = {
    Aggregate.COUNT: len,
    Aggregate.SUM: sum,
    Aggregate.MEAN: lambda values: sum(values) / len(values) if values else 0.0,
    Aggregate.MIN: lambda values: min(values, default=0.0),
    Aggregate.MAX: lambda values: max(values, default=0.0),
}


@pytest.mark.parametrize("aggregate", list(Aggregate))
@given(st.lists(st.tuples(st.integers(0, 700), st.integers(-50, 50)), min_size=1, max_size=80))
def test_a_window_aggregates_the_panes_that_its_span_covers(aggregate, steps):
    window = Window("w", aggregate, span=SPAN, of="x", where=column("x") != 13)
    program = compile_patterns(("x",), windows=[window])
    now, events = 10_000, []
    for gap, value in steps:
        now += gap
        events.append((now, [value]))
    _, seen = run(program, events)
    for index, (now, _) in enumerate(events):
        oldest = now // 100 - PANES + 1
        inside = [float(v[0]) for at, v in events[: index + 1] if at // 100 >= oldest and v[0] != 13]
        assert seen[index][1] == pytest.approx(PLAIN[aggregate](inside))


def test_a_window_never_reaches_back_by_its_span_and_always_by_all_but_a_pane():
    program = compile_patterns(("x",), windows=[Window("w", Aggregate.COUNT, span=SPAN, where=column("x") > 0)])
    for offset in range(0, 100, 7):
        start = 50_000 + offset
        _, seen = run(program, [(start, [1]), (start + SPAN - 100, [0]), (start + SPAN, [0])])
        assert [row[1] for row in seen] == [1, 1, 0]


# ---- sequences ---------------------------------------------------------------------------------------


def brute_force(events, steps, within):
    """Fires where some way to choose earlier events, none before the last firing or a C, satisfies every step."""
    fired, start = [], 0
    for index, (_, truths) in enumerate(events):
        if truths[2] > 0:
            start = index + 1
            fired.append(0)
            continue
        found = _matches(events, steps, within, len(steps) - 1, index, start)
        fired.append(int(found))
        if found:
            start = index + 1
    return fired


def _matches(events, steps, within, step, index, start):
    now, truths = events[index]
    if not truths[steps[step]] > 0:
        return False
    return step == 0 or any(
        now - events[earlier][0] <= within and _matches(events, steps, within, step - 1, earlier, start)
        for earlier in range(start, index)
    )


TRUTHS = st.tuples(*[st.sampled_from([0.0, 0.0, 1.0])] * 2, st.sampled_from([0.0] * 8 + [1.0]))
HISTORY = st.lists(st.tuples(st.integers(0, 60), TRUTHS), min_size=1, max_size=40)


@pytest.mark.parametrize("steps", [(0, 1), (0, 1, 0), (1, 1), (0,)])
@given(HISTORY)
def test_a_sequence_fires_exactly_where_a_search_of_the_history_finds_it(steps, history):
    now, events = 0, []
    for gap, truths in history:
        now += gap
        events.append((now, truths))
    sequence = Sequence("s", [(A, B)[step] for step in steps], within=100, unless=C)
    fired, _ = run(compile_patterns(("a", "b", "c"), sequences=[sequence]), events)
    assert fired == brute_force(events, steps, 100)


def test_a_then_b_within_t_unless_c():
    program = compile_patterns(("a", "b", "c"), sequences=[Sequence("s", [A, B], within=2 * SECOND, unless=C)])
    a, b, c, nothing = (1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)

    def fires(*events):
        return run(program, [(at * SECOND // 10, values) for at, values in events])[0][-1] == 1

    assert fires((0, a), (20, b))
    assert not fires((0, a), (21, b))
    assert fires((0, a), (15, a), (30, b))  # the last A counts
    assert not fires((0, a), (5, c), (10, b))
    assert fires((0, a), (5, c), (6, a), (10, b))
    assert not fires((0, b), (1, a), (2, nothing))
    assert not fires((0, (1, 1, 0)))  # one event is one step
    assert not fires((0, a), (5, b), (6, b))  # what has fired begins anew
    assert not fires((0, a), (5, (0, 1, 1)))  # C is asked first


def test_a_sequence_may_stand_on_a_window():
    burst = Window("burst", Aggregate.COUNT, span=SPAN, where=A)
    program = compile_patterns(
        ("a", "b", "c"), windows=[burst], sequences=[Sequence("s", [column("burst") >= 3, B], within=1_000)]
    )
    a, b = (1, 0, 0), (0, 1, 0)
    assert run(program, [(t, a) for t in (1, 2)] + [(10, b)])[0] == [0, 0, 0]
    assert run(program, [(t, a) for t in (1, 2, 3)] + [(10, b)])[0] == [0, 0, 0, 1]


def test_subjects_do_not_disturb_each_other():
    program = compile_patterns(("a", "b", "c"), sequences=[Sequence("s", [A, B], within=10)])
    subjects, scratch = np.zeros(2, SUBJECT), np.zeros(COLUMNS)
    for subject in subjects:
        forget(subject)
    assert observe(program[0], subjects[0], np.array([1.0, 0, 0]), 1, scratch) == 0
    assert observe(program[0], subjects[1], np.array([0.0, 1, 0]), 2, scratch) == 0
    assert observe(program[0], subjects[0], np.array([0.0, 1, 0]), 3, scratch) == 1
    assert subjects[1]["reached"][0, 0] == NEVER


@pytest.mark.parametrize(
    ("field", "declared"),
    [
        ("column", {"sequences": [Sequence("s", [column("d") > 0], within=1)]}),
        ("windows", {"windows": [Window("a", Aggregate.COUNT, span=SPAN)]}),
        ("w.span", {"windows": [Window("w", Aggregate.COUNT, span=SPAN + 1)]}),
        ("w.of", {"windows": [Window("w", Aggregate.SUM, span=SPAN)]}),
        ("s.steps", {"sequences": [Sequence("s", [], within=1)]}),
        ("s.within", {"sequences": [Sequence("s", [A], within=0)]}),
        ("sequences", {"sequences": [Sequence(str(n), [A], within=1) for n in range(5)]}),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_name(field, declared):
    with pytest.raises(BadInput) as refused:
        compile_patterns(("a", "b", "c"), **declared)
    assert refused.value.field == field


def test_a_program_has_room_for_so_many_terms():
    long = A
    for _ in range(47):
        long = long & B
    with pytest.raises(BadInput, match="terms"):
        compile_patterns(("a", "b", "c"), sequences=[Sequence("s", [long, long], within=1)])
