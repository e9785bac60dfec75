"""The control plane's ledger in memory: what the rows in PostgreSQL are there. What is news is decided by the same code
(`engine.ledger`), and a batch is acknowledged only once it is stored."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from engine.ledger import Key, LinkRefused, StoredBatch, Story, Verdict, batches_that_are_news, tell
from engine.messages import (
    Acknowledge,
    AnomalyReport,
    BreakReport,
    BustReport,
    Desired,
    FillReport,
    Heartbeat,
    Hello,
    OrderReport,
    PositionReport,
    Report,
    ReportBatch,
    Welcome,
    decode_up,
    encode,
)


@dataclass
class Account:
    """What is stored of one journal."""

    venue: str
    committed: int = 0
    batches: dict[int, StoredBatch] = field(default_factory=dict)  # by last record
    busts_told: Counter[Key] = field(default_factory=Counter)


class MemoryLedger:
    """``fills`` are written once, by venue, execution and revision; orders and positions are the newest report."""

    def __init__(self) -> None:
        self.accounts: dict[tuple[str, str], Account] = {}  # by node and journal
        self.epochs: Counter[str] = Counter()  # of each node's links
        self.fills: list[tuple[Key, FillReport]] = []
        self.orders: dict[tuple[str, int], OrderReport] = {}  # by deployment and order id
        self.positions: dict[tuple[str, str], PositionReport] = {}  # by deployment and symbol
        self.anomalies: Counter[str] = Counter()
        self.incidents: list[str] = []
        self.repeated = 0  # batches that were stored already
        self._stories: dict[Key, Story] = defaultdict(Story)

    def open(self, hello: Hello) -> int:
        """How far the journal is committed."""
        account = self.accounts.setdefault((hello.node, hello.journal), Account(hello.venue))
        self.epochs[hello.node] += 1
        return account.committed

    def commit(self, hello: Hello, batch: ReportBatch) -> None:
        """Raises `LinkRefused`, with nothing changed."""
        account = self.accounts[hello.node, hello.journal]
        stored = account.batches
        new = batches_that_are_news([batch], hello.journal, account.committed, lambda one: stored.get(one.last))
        self.repeated += not new
        for each in new:
            self._fold(account, each.reports)
            stored[each.last] = StoredBatch(each.first, each.payload_hash)
            account.committed = each.last

    def _fold(self, account: Account, reports: list[Report]) -> None:
        executions: list[FillReport | BustReport] = []
        for report in reports:
            if isinstance(report, FillReport | BustReport):
                executions.append(report)
            elif isinstance(report, OrderReport):
                self.orders[report.deployment, report.order_id] = report
            elif isinstance(report, PositionReport):
                self.positions[report.deployment, report.symbol] = report
            elif isinstance(report, AnomalyReport):
                self.anomalies[report.code] += 1
            elif isinstance(report, BreakReport):
                self.incidents.append(f"{report.code} in {report.symbol or 'every symbol'}: {report.value}")
        for chapter in tell(executions, account.venue, self._stories, account.busts_told):
            if chapter.verdict in (Verdict.CONTRADICTED, Verdict.UNKNOWN):
                self.incidents.append(f"execution {chapter.key}: {chapter.verdict.value}")
            elif chapter.verdict is Verdict.NEW and isinstance(chapter.report, FillReport):
                self.fills.append((chapter.key, chapter.report))


class LedgerConnection:
    """The control plane's end of one link: frames in, frames out."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self._ledger, self._hello, self._epoch = ledger, Hello("", "", "", 0, ""), 0
        self.closed = False

    def receive(self, frame: bytes) -> list[bytes]:
        message = decode_up(frame)
        if isinstance(message, Hello):
            self._hello, committed = message, self._ledger.open(message)
            self._epoch = self._ledger.epochs[message.node]
            return [encode(Welcome(message.node, committed)), encode(Desired(1, []))]
        if isinstance(message, Heartbeat):
            return [encode(Desired(1, []))]
        try:
            self._check_newest()
            self._ledger.commit(self._hello, message)
        except LinkRefused as refused:
            self.closed = True
            if refused.fatal and refused.code != "fenced":
                self._ledger.incidents.append(str(refused))
            return [encode(refused.as_message())]
        return [encode(Acknowledge(message.journal, message.last))]

    def _check_newest(self) -> None:
        if self._epoch != self._ledger.epochs[self._hello.node]:
            raise LinkRefused("fenced", f"A newer link of node {self._hello.node} is open.")
