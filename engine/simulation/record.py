"""The exchange's own durable record of what its accounts did, and of what it told them.

``record.jsonl`` holds one JSON object a line for each message of an account's sequenced OUCH stream: what happened,
and the message itself in hexadecimal. It is written, in one call, before anything of it is sent. So the process may be
killed at any instant: an order, its executions and the stream that reports them are there together or not at all, and
SoupBinTCP replays the stream over restarts. (It survives the process, not the host: nothing waits for the disk.)

``state.json`` holds the SoupBinTCP session, the last trading day that was begun, the last that was finished, and a
match number that no execution has reached yet: numbers are reserved in blocks, so none is ever used twice.

Venues of one process keep a record each, and together ``all.jsonl``, which has the lines of all of them and is made
again from them at each start. Their match numbers begin far apart, so that there one number is one execution.
"""

import os
import secrets
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from engine.errors import BadInput
from engine.files import replace_file

RECORD, TOGETHER = "record.jsonl", "all.jsonl"
MATCH_NUMBER_BLOCK = 1_000_000
MATCHES_OF_A_VENUE = 1 << 48
TAKES_USER_REF_NUM = {"order", "reject", "replace", "mass_cancel", "disable", "enable"}
MATCH_NUMBER_MARGIN = 200_000  # more executions than one step or one order can make
RECENT = 1 << 15  # messages of a stream kept in memory: more than a mass cancel of all that can work


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One line. ``price`` in 1/10,000, ``qty`` in shares, ``ts`` ns UTC on the session clock."""

    type: str  # order, execution, cancel, reject, replace, modify, restated, mass_cancel, disable, enable, system, ...
    account: str
    sequence: int  # in the account's stream, from 1
    trade_date: int  # yyyymmdd
    ts: int
    message: str  # OUCH, hexadecimal
    user_ref_num: int = 0
    symbol: str = ""
    side: str = ""  # buy, sell
    price: int = 0
    qty: int = 0  # entered, executed, taken off, or refused
    match_number: int = 0
    fee: int = 0  # of an execution, 1/10,000 of the currency; negative: earned
    reason: str = ""
    replaces: int = 0  # the UserRefNum that a replace took over
    venue: str = ""  # "": the only one


class State(msgspec.Struct):
    session: str
    started: int = 0  # yyyymmdd
    finished: int = 0
    next_match_number: int = 1


class Working(msgspec.Struct, gc=False):
    """What the record knows about an order that has not come to its end."""

    account: str
    user_ref_num: int
    symbol: str
    side: str
    price: int
    qty: int


class Stream:
    """One account's sequenced messages (``soupbintcp_session.SequencedStream``), read back from the record."""

    def __init__(self, session: str, file: int) -> None:
        self.session = session
        self.last_user_ref_num = 0
        self.disabled = False  # the account has switched its order entry off
        self._file = file
        self._places = array("Q")  # byte offset of each message's line in the record
        self._recent: deque[bytes] = deque(maxlen=RECENT)

    @property
    def next_sequence(self) -> int:
        return len(self._places) + 1

    def add(self, place: int, entry: Entry) -> None:
        self._places.append(place)
        self._recent.append(bytes.fromhex(entry.message))
        if entry.type in TAKES_USER_REF_NUM:
            self.last_user_ref_num = max(self.last_user_ref_num, entry.user_ref_num)
        if entry.type in ("disable", "enable"):
            self.disabled = entry.type == "disable"

    def read(self, sequence: int, limit: int) -> Sequence[bytes]:
        """Up to ``limit`` messages from number ``sequence`` (1 is the first) on."""
        first = max(sequence - 1, 0)
        last = min(first + limit, len(self._places))
        oldest = len(self._places) - len(self._recent)
        return [
            self._recent[i - oldest] if i >= oldest else self._read_back(self._places[i]) for i in range(first, last)
        ]

    def _read_back(self, place: int) -> bytes:
        line = b""
        while b"\n" not in line:
            line += os.pread(self._file, 1024, place + len(line))
        return bytes.fromhex(_decode(line[: line.index(b"\n")]).message)


_decode = msgspec.json.Decoder(Entry).decode
_encode = msgspec.json.Encoder().encode


class Record:
    """Opens, or begins, the record in ``directory`` for ``accounts``.

    A last line that a kill cut off is dropped: nothing of it had been sent. Raises ``BadInput`` for any other line that
    cannot be read.
    """

    def __init__(
        self, directory: Path, accounts: Sequence[str], *, venue: str = "", number: int = 0, together: int = -1
    ) -> None:
        """``venue`` is named in each line; its match numbers are those of the ``number``-th one. ``together`` is the
        descriptor of the record of all venues, -1 for none."""
        directory.mkdir(parents=True, exist_ok=True)
        self.venue, self._together, self._first_match = venue, together, number * MATCHES_OF_A_VENUE + 1
        self._state_path = directory / "state.json"
        self.path = directory / RECORD
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        self.state = self._load_state()
        self.streams: dict[str, Stream] = {}
        self.working: dict[tuple[str, int], Working] = {}
        for account in accounts:
            self._stream(account)
        self._pending: list[tuple[Entry, bytes]] = []
        self._pending_of: Counter[str] = Counter()
        self._length = 0
        self._load()
        self.reserve_match_numbers(self.state.next_match_number)

    def _load_state(self) -> State:
        if self._state_path.exists():
            return msgspec.json.decode(self._state_path.read_bytes(), type=State)
        return State(session=secrets.token_hex(5), next_match_number=self._first_match)

    def _stream(self, account: str) -> Stream:
        found = self.streams.get(account)
        if found is None:
            found = self.streams[account] = Stream(self.state.session, self._file)
        return found

    def _load(self) -> None:
        for place, line in self._whole_lines():
            try:
                entry = _decode(line)
            except msgspec.MsgspecError as error:
                raise BadInput(
                    "bad_record", f"{self.path.name} at byte {place}", str(error), "a record line"
                ) from error
            self._take(place, entry)
            self.state.started = max(self.state.started, entry.trade_date)
            self.state.next_match_number = max(self.state.next_match_number, entry.match_number + 1)

    def _whole_lines(self) -> Iterator[tuple[int, bytes]]:
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, self._length)
                    return
                yield self._length, line
                self._length += len(line)

    def _take(self, place: int, entry: Entry) -> None:
        self._stream(entry.account).add(place, entry)
        key = (entry.account, entry.user_ref_num)
        if entry.type in ("order", "replace"):
            self.working.pop((entry.account, entry.replaces), None)
            self.working[key] = Working(*key, entry.symbol, entry.side, entry.price, entry.qty)
        elif entry.type == "modify" and key in self.working:
            self.working[key].qty = entry.qty
        elif entry.type in ("execution", "cancel") and key in self.working:
            self.working[key].qty -= entry.qty
            if self.working[key].qty <= 0:
                del self.working[key]

    def add(self, entry: Entry) -> None:
        """Takes ``entry`` into the next ``commit``. Its ``sequence`` must be ``next_sequence`` of its account."""
        if self.venue:
            entry = msgspec.structs.replace(entry, venue=self.venue)
        self._pending.append((entry, _encode(entry) + b"\n"))
        self._pending_of[entry.account] += 1

    def next_sequence(self, account: str) -> int:
        """The number of the next message to ``account``, the ones not committed yet counted in."""
        return self.streams[account].next_sequence + self._pending_of[account]

    def commit(self) -> None:
        """Writes what was added, in one call; only then do the streams show it."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        self._pending_of.clear()
        lines = b"".join(line for _, line in pending)
        _write(self._file, lines)
        if self._together >= 0:
            _write(self._together, lines)
        for entry, line in pending:
            self._take(self._length, entry)
            self._length += len(line)

    def start_day(self, trade_date: int) -> None:
        self.state.started = trade_date
        self._save()

    def finish_day(self, trade_date: int) -> None:
        self.state.finished = trade_date
        self._save()

    def reserve_match_numbers(self, next_match_number: int) -> None:
        """Keeps the reserved numbers well ahead of ``next_match_number``, which is not used yet.

        At opening ``state.next_match_number`` is that number; later it is the end of what is reserved.
        """
        self.first_free_match_number = next_match_number
        self.state.next_match_number = next_match_number + MATCH_NUMBER_BLOCK
        self._save()

    def runs_short(self, next_match_number: int) -> bool:
        """Whether ``reserve_match_numbers`` should be called before another step."""
        return next_match_number + MATCH_NUMBER_MARGIN > self.state.next_match_number

    def _save(self) -> None:
        replace_file(self._state_path, msgspec.json.encode(self.state))

    def close(self) -> None:
        self.commit()
        os.close(self._file)


def _write(file: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(file, content[written:])


def open_together(path: Path, folders: Sequence[Path]) -> int:
    """Makes the record of all venues anew from those in ``folders``; the descriptor that they append to."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        for folder in folders:
            record = folder / RECORD
            if record.exists():
                with record.open("rb") as lines:
                    file.writelines(line for line in lines if line.endswith(b"\n"))
    fresh.replace(path)
    return os.open(path, os.O_WRONLY | os.O_APPEND)
