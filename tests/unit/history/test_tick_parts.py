"""The embedded store's parts of rows: merging, readers beside a writer, what a kill and a lost machine leave."""

import multiprocessing
from pathlib import Path

import pyarrow as pa
import pytest
from tick_rows import NOON, table_of, trade

from engine.history import CorruptHistory, day_parts, open_history

DAY = 20260302
FOLDER = f"tick/d/trade/{DAY}"


def append(root: Path, number: int, rows: int = 3) -> None:
    """The batch of that number: rows of one source, a millisecond apart."""
    numbers = range(number * rows, (number + 1) * rows)
    batch = table_of("trade", *[trade(n / 1000, "ABC"[n % 3], n + 1, seq=n + 1) for n in numbers])
    open_history(root).append("d", "trade", batch, source="feed")


def prices(root: Path) -> list[int]:
    return open_history(root).rows("d", "trade")["price"].to_pylist()


def parts(root: Path) -> list[Path]:
    return sorted((root / FOLDER).glob("*.parquet"))


def test_many_small_parts_become_one_and_a_reader_of_before_still_finds_its_own(tmp_path: Path) -> None:
    for number in range(day_parts.FAN - 1):
        append(tmp_path, number)
    before = day_parts.read_day(tmp_path / FOLDER)
    assert before is not None
    append(tmp_path, day_parts.FAN - 1)
    after = day_parts.read_day(tmp_path / FOLDER)
    assert after is not None
    assert [(part.rows, part.level) for part in after.parts] == [(day_parts.FAN * 3, 1)]
    assert day_parts.read_parts(tmp_path / FOLDER, before.parts).num_rows == (day_parts.FAN - 1) * 3
    append(tmp_path, day_parts.FAN)
    assert prices(tmp_path) == list(range(1, (day_parts.FAN + 1) * 3 + 1))
    assert day_parts.read_parts(tmp_path / FOLDER, before.parts).num_rows, "an append takes nothing from readers"


def test_a_closed_day_is_one_part_with_a_row_group_where_a_symbol_is_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(day_parts, "GROUP_ROWS", 10)
    sizes = {"A": 4, "B": 5, "C": 12, "D": 3}
    for symbol, size in sizes.items():
        rows = table_of("trade", *[trade(n, symbol, n + 1) for n in range(size)])
        open_history(tmp_path).append("d", "trade", rows)
    open_history(tmp_path).close_day("d", DAY)
    manifest = day_parts.read_day(tmp_path / FOLDER)
    assert manifest is not None
    [part] = manifest.parts
    file = pa.parquet.ParquetFile(tmp_path / FOLDER / part.file)
    groups = [file.read_row_group(at)["symbol"].to_pylist() for at in range(file.num_row_groups)]
    assert groups == [["A"] * 4 + ["B"] * 5, ["C"] * 10, ["C"] * 2, ["D"] * 3]


def _write(root: Path, batches: int) -> None:
    day_parts.FAN = 5  # merges all the time
    for number in range(batches):
        append(root, number)


def test_readers_beside_a_writer_always_see_whole_batches(tmp_path: Path) -> None:
    append(tmp_path, 0)
    writer = multiprocessing.get_context("spawn").Process(target=_write, args=(tmp_path, 60))
    writer.start()
    looks = 0
    while writer.is_alive() or not looks:
        found = prices(tmp_path)
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 3 == 0
        looks += 1
    writer.join()
    assert writer.exitcode == 0
    assert prices(tmp_path) == list(range(1, 181))


def test_a_kill_between_part_and_log_leaves_the_rows_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path, 0)
    with monkeypatch.context() as kill:

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        kill.setattr(day_parts, "_append_to_log", die)
        with pytest.raises(KeyboardInterrupt):
            append(tmp_path, 1)
    assert prices(tmp_path) == [1, 2, 3]
    append(tmp_path, 1)
    assert prices(tmp_path) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("lost", ["newest part", "end of the log", "nothing"])
def test_a_lost_machine_costs_at_most_what_the_source_sends_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    append(tmp_path, 0)
    append(tmp_path, 1)
    open_history(tmp_path).close_day("d", DAY)  # synced
    append(tmp_path, 2)
    newest = max(parts(tmp_path), key=lambda path: path.name)
    if lost == "newest part":
        newest.write_bytes(newest.read_bytes()[:100])
    elif lost == "end of the log":
        log = max((tmp_path / FOLDER).glob("*.log"))
        log.write_bytes(b"\0" * log.stat().st_size)
    monkeypatch.setattr(day_parts, "_boot", lambda: "the machine's next life")
    kept = 9 if lost == "nothing" else 6
    assert open_history(tmp_path).position("d", "trade", "feed") == kept
    assert prices(tmp_path) == list(range(1, kept + 1))
    append(tmp_path, 2)
    append(tmp_path, 3)
    assert prices(tmp_path) == list(range(1, 13))


def test_a_line_that_a_kill_cut_off_is_written_again(tmp_path: Path) -> None:
    append(tmp_path, 0)
    append(tmp_path, 1)
    [log] = (tmp_path / FOLDER).glob("*.log")
    log.write_bytes(log.read_bytes()[:-5])
    assert prices(tmp_path) == [1, 2, 3]
    append(tmp_path, 1)
    assert prices(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_part_that_vanishes_under_a_running_machine_is_named_not_passed_over(tmp_path: Path) -> None:
    append(tmp_path, 0)
    parts(tmp_path)[0].unlink()
    with pytest.raises(CorruptHistory, match="trade"):
        prices(tmp_path)


def test_a_range_opens_only_parts_that_may_hold_it(tmp_path: Path) -> None:
    history = open_history(tmp_path)
    for symbol in "AB":
        history.append("d", "trade", table_of("trade", trade(0, symbol, 1), trade(86_400, symbol, 2)))
    for day in (DAY, DAY + 1):
        folder = tmp_path / f"tick/d/trade/{day}"
        manifest = day_parts.read_day(folder)
        assert manifest is not None
        for part in manifest.parts:
            if day != DAY or part.symbols != ("A",):
                (folder / part.file).unlink()
    assert history.rows("d", "trade", ["A"], NOON, NOON + 1)["price"].to_pylist() == [1]
