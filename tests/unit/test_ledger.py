"""What the ledgers, in PostgreSQL and in memory, decide by."""

from collections import Counter, defaultdict

import pytest

from engine.ledger import (
    IncidentRefused,
    LinkRefused,
    StoredBatch,
    Story,
    Verdict,
    batches_that_are_news,
    tell,
)
from engine.messages import BustReport, FillReport, batch

CONTENT = {"deployment": "d", "order_id": 7, "trade_date": 20130102, "symbol": "KO", "side": "buy", "ts": 0}
FILL = FillReport(record=1, execution_id=5, price=100_000, qty=10, **CONTENT)
BUST = BustReport(record=2, execution_id=5, price=100_000, qty=10, **CONTENT)
DEARER = FillReport(record=1, execution_id=5, price=100_100, qty=10, **CONTENT)


def verdicts(*reports) -> list[tuple[int, Verdict]]:
    chapters = tell(reports, "XNAS", defaultdict(Story), Counter())
    return [(chapter.revision, chapter.verdict) for chapter in chapters]


def stored_in(*batches):
    kept = {one.last: StoredBatch(one.first, one.payload_hash) for one in batches}
    return lambda asked: kept.get(asked.last)


def test_a_fill_that_is_told_twice_is_news_once():
    assert verdicts(FILL, FILL) == [(1, Verdict.NEW), (1, Verdict.KNOWN)]


def test_a_fill_told_again_at_another_price_contradicts():
    assert verdicts(FILL, DEARER) == [(1, Verdict.NEW), (1, Verdict.CONTRADICTED)]


def test_a_fill_behind_its_bust_is_the_next_revision():
    assert verdicts(FILL, BUST, DEARER) == [(1, Verdict.NEW), (1, Verdict.NEW), (2, Verdict.NEW)]


def test_a_bust_of_what_was_never_told_is_unknown():
    assert verdicts(BUST) == [(1, Verdict.UNKNOWN)]


def test_another_journal_that_tells_the_same_story_tells_no_news():
    stories = defaultdict(Story)
    for _ in tell([FILL, BUST, DEARER], "XNAS", stories, Counter()):
        continue
    again = [chapter.verdict for chapter in tell([FILL, BUST, DEARER], "XNAS", stories, Counter())]
    assert again == [Verdict.KNOWN] * 3


def test_batches_that_follow_each_other_are_news_together():
    first, second = batch("j", 0, 3, [FILL]), batch("j", 3, 9, [])
    assert batches_that_are_news([first, second], "j", 0, stored_in()) == [first, second]


def test_a_batch_that_is_stored_already_is_no_news():
    known = batch("j", 0, 3, [FILL])
    assert batches_that_are_news([known], "j", 3, stored_in(known)) == []


def test_a_stored_batch_with_another_content_is_an_incident():
    known, other = batch("j", 0, 3, [FILL]), batch("j", 0, 3, [DEARER])
    with pytest.raises(IncidentRefused) as refused:
        batches_that_are_news([other], "j", 3, stored_in(known))
    assert refused.value.code == "batch_contradicted"


def test_a_batch_that_leaves_records_out_is_refused_as_a_gap():
    with pytest.raises(LinkRefused, match="from 4, does not follow record 3") as refused:
        batches_that_are_news([batch("j", 4, 9, [])], "j", 3, stored_in())
    assert (refused.value.code, refused.value.fatal) == ("gap", False)
