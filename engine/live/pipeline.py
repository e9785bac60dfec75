"""Inputs through the journal and the step: every input is journaled before it acts, what it causes after.

The compiled loops here are what the live core and the replay run; the rest is bookkeeping around them.
"""

from dataclasses import dataclass

import numpy as np

from engine.core.compiled import njit
from engine.core.engine import Engine, blob_cells
from engine.core.events import EVENT, EVENT_BYTES, Command, Kind
from engine.core.mass_cancels import TOLD_IN_ONE
from engine.core.state import OUTPUTS
from engine.core.step import step
from engine.errors import BadInput
from engine.live.journal import Writer, words_of
from engine.live.segment import BLOB, append

ORDER_NEW, ORDER_CANCEL, ORDER_REPLACE = int(Kind.ORDER_NEW), int(Kind.ORDER_CANCEL), int(Kind.ORDER_REPLACE)
MASS_CANCEL = int(Kind.MASS_CANCEL)
COMMAND, HUNG = int(Kind.COMMAND), int(Command.HUNG)
FIRST_OUTPUT, FIRST_CONTROL = int(Kind.ORDER_NEW), int(Kind.TIMER)

END, AT_BLOB, DIVERGED, INCOMPLETE = 0, 1, 2, 3


@njit(cache=True, nogil=True)
def drive(states, kernels, inputs, words, start, stop, out, out_words, header, cells, checksums, cursor, orders):
    """Journals and steps ``inputs[start:stop]``; returns (index of the first not taken, orders written).

    ``words`` and ``out_words`` are the uint64[n, 8] views of ``inputs`` and ``out``. Stops behind an input whose
    outputs hold orders, cancels or replaces, which are copied to ``orders`` (EVENT[OUTPUTS]), so that they go out
    before anything else is looked at; and before an input when the segment may lack room for what it causes.
    """
    for index in range(start, stop):
        if cursor.capacity - cursor.count < 1 + OUTPUTS:
            return index, 0
        append(header, cells, checksums, cursor, words, index, 1)
        emitted = step(states[0], kernels, inputs, index, out)
        if emitted:
            append(header, cells, checksums, cursor, out_words, 0, emitted)
            made = _copy_orders(out, emitted, orders)
            if made:
                return index + 1, made
    return stop, 0


@njit(cache=True, nogil=True)
def _copy_orders(out, emitted, orders):
    """Copies what is for the venue of the first ``emitted`` outputs to ``orders``; how many."""
    made = 0
    for position in range(emitted):
        if _is_for_the_venue(out[position]):
            orders[made] = out[position]
            made += 1
    return made


@njit(cache=True, nogil=True)
def _is_for_the_venue(record):
    """Whether it has a message of its own."""
    if record.kind == ORDER_CANCEL:
        return record.flags != TOLD_IN_ONE
    return record.kind in (ORDER_NEW, ORDER_REPLACE, MASS_CANCEL)


@njit(cache=True, nogil=True)
def _same(words, at, out_words, emitted):
    """How many of the emitted records, from the first, equal the journal's from ``at`` on."""
    for row in range(min(emitted, len(words) - at)):
        for word in range(words.shape[1]):
            if words[at + row, word] != out_words[row, word]:
                return row
    return min(emitted, len(words) - at)


@njit(cache=True, nogil=True)
def _hung(records, index):
    """Whether a kernel that the input before ``index`` woke never came back: HUNG stands behind its outputs."""
    while index < len(records) and FIRST_OUTPUT <= records[index].kind < FIRST_CONTROL:
        index += 1
    return index < len(records) and records[index].kind == COMMAND and records[index].command == HUNG


@njit(cache=True, nogil=True)
def follow(states, kernels, no_kernels, hung, records, words, start, out, out_words):
    """Steps a journal's ``records`` from ``start`` and compares what comes out with what stands behind each input.

    An input whose kernel hung (it is at ``hung``, or the journal says so) is stepped with ``no_kernels`` (zeros): what
    that kernel would have done, nobody will know.

    Returns (status, index, emitted, same): END at the end; AT_BLOB with the blob's header at ``index``;
    DIVERGED or INCOMPLETE (the journal ends inside the outputs) with the input at ``index``, of whose
    ``emitted`` outputs the first ``same`` stand in the journal.
    """
    index = start
    while index < len(records):
        if records[index].kind == BLOB:
            return AT_BLOB, index, 0, 0
        woken = no_kernels if index == hung or _hung(records, index + 1) else kernels
        emitted = step(states[0], woken, records, index, out)
        same = _same(words, index + 1, out_words, emitted)
        if same < emitted:
            return (INCOMPLETE if index + 1 + same == len(records) else DIVERGED), index, emitted, same
        index += 1 + emitted
    return END, index, 0, 0


@dataclass(frozen=True)
class Divergence:
    """The first journal record that replay does not make again. ``record`` counts from 1."""

    record: int
    kind: str


class Pipeline:
    """One engine and the journal it writes. ``last_ts`` is the newest ``ts_recv``, which never goes back."""

    def __init__(self, engine: Engine, writer: Writer) -> None:
        self.engine, self.writer = engine, writer
        self.last_ts = int(engine.state["now"])
        self.out_words = words_of(engine.outputs)
        self.orders = np.zeros(OUTPUTS, EVENT)

    def take(self, inputs: np.ndarray) -> np.ndarray:
        """Journals and steps EVENT records whose ``ts_recv`` is set; returns the orders to send, a copy.

        Raises JournalFull, with the rest of the inputs untouched.
        """
        sent: list[np.ndarray] = []
        position, words = 0, words_of(inputs)
        while position < len(inputs):
            self.writer.make_room(1 + OUTPUTS)
            segment = self.writer.segment
            position, made = drive(
                self.engine.record,
                self.engine.kernels,
                inputs,
                words,
                position,
                len(inputs),
                self.engine.outputs,
                self.out_words,
                segment.header,
                segment.cells,
                segment.checksums,
                self.writer.cursor[0],
                self.orders,
            )
            if made:
                sent.append(self.orders[:made].copy())
        if len(inputs):
            self.last_ts = int(inputs[-1]["ts_recv"])
        return sent[0] if len(sent) == 1 else joined(sent)

    def take_blob(self, header: np.ndarray, payload: bytes) -> np.ndarray:
        """Journals and applies a blob; returns the orders to send.

        Raises BadInput when the engine refuses it: it stands in the journal, and replay refuses it again.
        """
        cells = blob_cells(payload).reshape(-1).view(EVENT)
        self.writer.make_room(1 + len(cells) + OUTPUTS)
        self.writer.append(joined([header, cells]))
        self.last_ts = int(header[0]["ts_recv"])
        outputs = self.engine.apply_blob(header, payload)
        if len(outputs):
            self.writer.append(outputs)
        return self.orders[: _copy_orders(outputs, len(outputs), self.orders)].copy()


def joined(parts: list[np.ndarray]) -> np.ndarray:
    """Concatenates EVENT arrays (numpy would repack their overlapping fields)."""
    if not parts:
        return np.empty(0, EVENT)
    return np.concatenate([part.view("V64") for part in parts]).view(EVENT)


class Replay:
    """Steps a journal's records again. Sends nothing; compares every output with the journal's.

    ``missing`` are outputs of the last input that the journal lost with its torn end. ``hung`` is the number of an
    input (of a blob, its last cell) whose kernel never came back while the journal does not say so yet; 0 for none.
    """

    def __init__(self, engine: Engine, after: int = 0, *, hung: int = 0) -> None:
        self.engine, self.record, self.hung = engine, after, hung
        self.divergence: Divergence | None = None
        self.missing = np.empty(0, EVENT)
        self._out_words = words_of(engine.outputs)
        self._no_kernels = np.zeros_like(engine.kernels)

    def take(self, records: np.ndarray) -> bool:
        """Replays ``records``, which follow those taken before and end where a segment or the journal ends.

        False once replay and journal differ; ``divergence`` says where.
        """
        words, index = words_of(records), 0
        while index < len(records):
            status, index, emitted, same = follow(
                self.engine.record,
                self.engine.kernels,
                self._no_kernels,
                self.hung - self.record - 1,
                records,
                words,
                index,
                self.engine.outputs,
                self._out_words,
            )
            if status == AT_BLOB:
                index, emitted, same = self._blob(records, index)
            if emitted > same and index + 1 + same < len(records):
                return self._diverged(index + 1, same)
            if emitted > same:
                self.missing = self.engine.outputs[same:emitted].copy()
                break
            if status == AT_BLOB:
                index += 1 + emitted
        self.record += len(records)
        return True

    def _blob(self, records: np.ndarray, index: int) -> tuple[int, int, int]:
        """(index of the blob's last cell, outputs, how many of them stand in the journal)."""
        header = records[index : index + 1].copy()
        length = int(header[0]["length"])
        last = index - (-length // EVENT_BYTES)
        payload = words_of(records)[index + 1 : last + 1].tobytes()[:length]
        hung = self.record + 1 + last == self.hung or _hung(records, last + 1)
        try:
            emitted = len(self.engine.apply_blob(header, payload, kernels=not hung))
        except BadInput:
            emitted = 0  # refused when it came, and refused again
        same = int(_same(words_of(records), last + 1, self._out_words, emitted))
        return last, emitted, same

    def _diverged(self, index: int, same: int) -> bool:
        """The outputs that stand at ``index`` differ from this engine's behind the first ``same``."""
        kind = Kind(int(self.engine.outputs[same]["kind"]))
        self.divergence = Divergence(self.record + 1 + index + same, kind.name)
        self.record += index + same
        return False
