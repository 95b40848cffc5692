"""Criteria 2, 3, 5 and 7: the engine filled, asked, deleted from and scanned."""

from __future__ import annotations

import random

import pytest

from grader.acceptance.database._lsm import (
    DELETES,
    ENGINE,
    MAGIC,
    TABLES,
    asked,
    count,
    expect_gets,
    files_of,
    fresh_values,
    key,
    levels_of,
    put_all,
    rows_of,
)
from grader.judging.compare import expect, require, show
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

RECORDS = 100_000
PER_TABLE = 48_771  # of 86 bytes are 4 MiB and a little
OVERWRITES = 100_000
STORED, DELETED = 5_000, 1_000
SCANNED = 100_000
SAMPLED = 40


@pytest.mark.criterion("2", points=5)
def test_two_tables(submission: Submission, rng: random.Random) -> None:
    """100,000 records of 86 bytes, 4 MiB memtables: two files, and 2,458 records in memory."""
    folder = "ingest"
    engine = submission.LsmEngine(submission.path(folder))
    rows = rows_of(rng, rng.sample(range(1, 2**31), RECORDS))
    put_all(submission, engine, rows)
    names = files_of(submission, folder)
    tables, rest = divmod(RECORDS, PER_TABLE)
    require(
        len(names) == tables,
        f"After {RECORDS:,} records of 86 bytes there are {len(names)} table files, expected "
        f"{tables}, named sst_000001.dat and so on",
        show(names),
    )
    values = list(rows.values())
    for number, name in enumerate(names):
        raw = submission.read(f"{folder}/{name}")
        require(raw[-8:] == MAGIC, f"{name} ends with {raw[-8:]!r}, expected {MAGIC!r}")
        mine = values[number * PER_TABLE : (number + 1) * PER_TABLE]
        lost = sum(value not in raw for value in rng.sample(mine, min(SAMPLED, len(mine))))
        require(lost == 0, f"{name} lacks {lost} of {SAMPLED} values that were flushed into it")
    expect(count(engine, "memtable_entries"), rest, "stats()['memtable_entries'] then")


@pytest.mark.criterion("2", points=2)
def test_overwrites_make_no_file(submission: Submission, rng: random.Random) -> None:
    """100,000 overwrites of one key fill no memtable."""
    folder = "hot"
    engine = submission.LsmEngine(submission.path(folder))
    values = fresh_values(rng, OVERWRITES)
    asked(submission, engine.put, [(key(25_544), value) for value in values])
    names = files_of(submission, folder)
    require(
        not names,
        f"{OVERWRITES:,} overwrites of one key made {len(names)} files: the memtable holds one row",
    )
    expect(count(engine, "memtable_entries"), 1, "stats()['memtable_entries'] then")


@pytest.mark.criterion("3", points=5, after=TABLES)
def test_what_was_put_is_found(submission: Submission, rng: random.Random) -> None:
    """1,000 ids that are there, 1,000 that are not, half of these between others; empty values."""
    ids = rng.sample(range(2, 60_000, 2), 12_000)
    rows = rows_of(rng, ids)
    empty = rng.sample(list(rows), 50)
    rows |= dict.fromkeys(empty, b"")
    engine = submission.LsmEngine(
        submission.path("found"), memtable_bytes=256 << 10, auto_compact=False
    )
    put_all(submission, engine, rows)
    want: dict[bytes, bytes | None] = {each: rows[each] for each in rng.sample(list(rows), 1_000)}
    expect_gets(submission, engine, want, "of a record that was put")
    expect_gets(submission, engine, dict.fromkeys(empty, b""), "of an empty value")
    inside = [key(i) for i in rng.sample(range(3, 60_000, 2), 500)]
    outside = [key(i) for i in rng.sample(range(70_000, 2**32), 500)]
    expect_gets(submission, engine, dict.fromkeys(inside), "of an odd id, where all are even")
    expect_gets(submission, engine, dict.fromkeys(outside), "of an id beyond all others")
    for bad, kind in ((b"", "ValueError"), ("25544", "TypeError")):
        with submission.raises(kind, call=f"put({bad!r}, ...)"):
            engine.put(bad, b"value")


@pytest.mark.criterion("3", points=3, after=(TABLES, ENGINE))
def test_the_ends_of_every_table(submission: Submission, rng: random.Random) -> None:
    """The first and the last key of every table are found, after reopening too."""
    engine = submission.LsmEngine(submission.path("ends"), auto_compact=False)
    ends: dict[bytes, bytes | None] = {}
    for rows in (1, 2, 42, 43, 44, 86, 87, rng.randint(100, 3_000)):
        start = rng.randrange(2**31)
        data = rows_of(rng, range(start, start + 3 * rows, 3))
        put_all(submission, engine, data)
        engine.flush()
        ends |= {each: data[each] for each in (min(data), max(data))}
    expect_gets(submission, engine, ends, "of the first or last key of a table")
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path("ends"), auto_compact=False)
    expect_gets(submission, engine, ends, "of the first or last key of a table after reopening")


@pytest.mark.criterion("5", points=7, after=(TABLES, ENGINE))
def test_a_deleted_key_stays_deleted(submission: Submission, rng: random.Random) -> None:
    """1,000 deletes: None before and after the flush, the compaction and the next opening, beside
    neighbours that stay.
    """
    folder = "deletes"

    def opened() -> Remote:
        made = submission.LsmEngine(
            submission.path(folder), memtable_bytes=128 << 10, auto_compact=False
        )
        assert isinstance(made, Remote)
        return made

    engine = opened()
    rows = rows_of(rng, rng.sample(range(1, 2 * STORED), STORED))
    put_all(submission, engine, rows)
    engine.flush()
    gone = rng.sample(list(rows), DELETED)
    asked(submission, engine.delete, [(each,) for each in gone])
    want: dict[bytes, bytes | None] = {**rows, **dict.fromkeys(gone)}
    expect_gets(submission, engine, want, f"after {DELETED:,} deletes, before a flush")
    engine.flush()
    expect_gets(submission, engine, want, f"after {DELETED:,} deletes and a flush")
    engine.close()
    submission.restart()
    engine = opened()
    expect_gets(submission, engine, want, "after deletes, a flush and reopening")
    engine.compact()
    expect_gets(submission, engine, want, "after deletes and compact()")
    again = dict(zip(gone[:100], fresh_values(rng, 100), strict=True))
    put_all(submission, engine, again)
    engine.close()
    submission.restart()
    engine = opened()
    want |= again
    expect_gets(
        submission, engine, want, "after deletes, compact(), new puts, close() and reopening"
    )


@pytest.mark.criterion("5", points=3, after=DELETES)
def test_unknown_keys_may_be_deleted(submission: Submission, rng: random.Random) -> None:
    """Deleting a key that was never put hides nothing else, now and after flush and reopening."""
    engine = submission.LsmEngine(submission.path("unknown"))
    rows = rows_of(rng, range(10, 1_000, 10))
    put_all(submission, engine, rows)
    asked(submission, engine.delete, [(key(i),) for i in range(5, 1_000, 10)])
    want: dict[bytes, bytes | None] = dict(rows)
    want |= dict.fromkeys(key(i) for i in range(5, 1_000, 10))
    expect_gets(submission, engine, want, "after unknown keys were deleted")
    engine.flush()
    expect_gets(submission, engine, want, "after unknown keys were deleted and a flush")
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path("unknown"))
    expect_gets(submission, engine, want, "after unknown keys were deleted, and reopening")


@pytest.mark.criterion("7", points=2)
def test_keys_sort_as_numbers(submission: Submission, rng: random.Random) -> None:
    """norad_key gives 4 bytes that sort as the catalog numbers do, norad_id the number again."""
    for i in (0, 255, 256, 25_544, 2**32 - 1, rng.randrange(2**32)):
        expect(submission.norad_key(i), key(i), f"norad_key({i})")
        expect(submission.norad_id(key(i)), i, f"norad_id(norad_key({i}))")


@pytest.mark.criterion("7", points=5, after=(TABLES, ENGINE, DELETES))
def test_scan_of_a_range(submission: Submission, rng: random.Random) -> None:
    """Ids 1 to 100,000 spread over memtable, level 0 and level 1: scan gives the 501 rows from
    40,000 to 40,500 in order, with the newest values, without what was deleted.
    """
    engine = submission.LsmEngine(submission.path("scan"), memtable_bytes=2 << 20)
    rows = rows_of(rng, rng.sample(range(1, SCANNED + 1), SCANNED))
    low, high = SCANNED * 2 // 5, SCANNED * 2 // 5 + 500
    put_all(submission, engine, rows)
    engine.flush()

    def scanned(when: str) -> None:
        want = [(key(i), rows[key(i)]) for i in range(low, high + 1) if key(i) in rows]
        found = list(engine.scan(key(low), key(high)))
        call = f"scan(norad_key({low}), norad_key({high})) {when}"
        require(len(found) == len(want), f"{call}: expected {len(want)} rows, got {len(found)}")
        expect(found, want, call)

    scanned("after loading")
    for place in ("level 0", "level 0", "the memtable"):
        newer = rows_of(rng, rng.sample(range(low - 50, high + 50), 200))
        put_all(submission, engine, newer)
        rows |= newer
        dead = [key(i) for i in rng.sample(range(low, high), 20)]
        asked(submission, engine.delete, [(each,) for each in dead])
        for each in dead:
            rows.pop(each, None)
        if place == "level 0":
            engine.flush()
        scanned(f"with newer values and tombstones in {place}")
    inside = list(engine.scan(key(high), key(low)))
    expect(inside, [], "scan(start, end) with start > end")
    whole = [each for each, _ in engine.scan(key(1), key(SCANNED // 20))]
    expect(whole, sorted(k for k in rows if k <= key(SCANNED // 20)), "Keys of a longer scan")


@pytest.mark.criterion("7", points=3, after=(TABLES, ENGINE, DELETES))
def test_a_scan_sees_its_moment(submission: Submission, rng: random.Random) -> None:
    """A scan gives what was there when it was called, whatever is written, flushed and compacted
    before its rows are taken.
    """
    engine = submission.LsmEngine(submission.path("moment"), auto_compact=False)
    rows = rows_of(rng, range(1, 1_500))
    some = list(rows)
    for part in (some[::2], some[1::2]):
        put_all(submission, engine, {each: rows[each] for each in part})
        engine.flush()
    rows |= rows_of(rng, range(500, 600))
    put_all(submission, engine, {key(i): rows[key(i)] for i in range(500, 600)})
    scan = iter(engine.scan())
    later = iter(engine.scan())
    first = next(scan)
    put_all(submission, engine, rows_of(rng, range(1, 2_000, 3)))
    asked(submission, engine.delete, [(key(i),) for i in range(2, 1_500, 3)])
    engine.compact()
    require(len(levels_of(engine)) > 1, "compact() left no table in a deeper level")
    expect([first, *scan], sorted(rows.items()), "A scan begun before puts, deletes and compact()")
    expect(list(later), sorted(rows.items()), "A scan called, and not begun, before all that")
