"""Criteria 3 and 4 on tables and filters, and 2 on the memtable alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import strategies

from grader.acceptance.database._lsm import (
    ENGINE,
    MAGIC,
    TABLES,
    asked,
    count,
    expect_gets,
    files_of,
    key,
    meta_of,
    put_all,
    reader,
    rows_of,
    rows_told,
    told,
)
from grader.judging.compare import expect, require, show
from grader.judging.properties import Finder, values
from grader.judging.source_rules import Sources
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

MEMBERS = 100_000  # keys in the filter, and strangers asked
LOWEST_RATE, HIGHEST_RATE = 0.006, 0.011  # of false positives at 10 bits a key
SKIPPED = 0.95
EXAMPLES = 60

_KEYS = strategies.integers(0, 5).map(lambda i: b"key-%d" % i)


class MemTableBesideDict:
    """One memtable and a dict: the same rows, the same size."""

    def __init__(self, submission: Submission) -> None:
        self.table = submission.MemTable(1000)
        self.rows: dict[bytes, bytes | str] = {}

    @values(key=_KEYS, size=strategies.integers(0, 40))
    def put(self, key: bytes, size: int) -> None:
        value = bytes([size]) * size
        self.rows[key] = value
        self.table.put(key, value)
        self._compare(f"after put({key!r}, {size} bytes)")

    @values(key=_KEYS)
    def delete(self, key: bytes) -> None:
        self.rows[key] = "TOMBSTONE"
        self.table.delete(key)
        self._compare(f"after delete({key!r})")

    def _compare(self, when: str) -> None:
        live = sum(
            len(key) + (0 if isinstance(value, str) else len(value))
            for key, value in self.rows.items()
        )
        expect(self.table.size_bytes, live, f"MemTable.size_bytes {when}")
        expect(self.table.should_flush, live >= 1000, f"MemTable.should_flush {when}")


@pytest.mark.criterion("2", points=3)
def test_a_memtable_knows_its_size(submission: Submission, find: Finder) -> None:
    """size_bytes is the sum of key and value bytes that are in the table now, a tombstone's key
    alone; overwriting changes it by the difference.
    """
    find.operations(
        MemTableBesideDict, submission, examples=EXAMPLES, steps=30, questions=3_000, shrink_s=5.0
    )


def _table(
    submission: Submission, rng: random.Random, name: str, rows: int
) -> dict[bytes, bytes | str]:
    """A table of `rows` random rows, some of them tombstones and empty values."""
    keys = sorted({rng.randbytes(rng.randint(1, 12)) for _ in range(rows)})
    data: dict[bytes, bytes | str] = {}
    builder = submission.SsTableBuilder(submission.path(name))
    for each in keys:
        kind = rng.random()
        if kind < 0.1:
            data[each] = "TOMBSTONE"
        else:
            data[each] = b"" if kind < 0.2 else rng.randbytes(rng.choice((1, 82, 82, 82, 300)))
    tombstone = submission.TOMBSTONE
    calls = [(each, tombstone if isinstance(v, str) else v) for each, v in data.items()]
    asked(submission, builder.add, calls)
    builder.finish()
    return data


@pytest.mark.criterion("3", points=5)
def test_a_table_gives_back_its_rows(submission: Submission, rng: random.Random) -> None:
    """Every row that went into a table is found in it, the last one too; other keys are MISSING,
    tombstones are TOMBSTONE, empty values are empty; iter gives all rows or a range in order.
    """
    for rows in (1, 2, rng.randint(40, 60), 600):
        name = f"sst_{rows:06d}.dat"
        data = _table(submission, rng, name, rows)
        require(
            submission.read(name)[-8:] == MAGIC,
            f"{name}: the last 8 bytes must be {MAGIC!r}, got {submission.read(name)[-8:]!r}",
        )
        table = submission.SsTableReader(submission.path(name))
        what = f"of a table of {len(data)} rows"
        found = [told(v) for v in asked(submission, table.get, [(each,) for each in data])]
        for number, (each, got) in enumerate(zip(data, found, strict=True), 1):
            expect(got, data[each], f"get() of row {number} {what}")
        drawn = (rng.randbytes(rng.randint(1, 12)) for _ in range(300))
        strangers = [each for each in drawn if each not in data]
        for each, got in zip(
            strangers, asked(submission, table.get, [(s,) for s in strangers]), strict=True
        ):
            expect(told(got), "MISSING", f"get({show(each)}), which is not there, {what}")
        expect(rows_told(table.iter(), "iter()"), list(data.items()), f"iter() {what}")
        low, high = sorted(rng.choices([*data, *strangers[:20]], k=2))
        want = [row for row in data.items() if low <= row[0] <= high]
        between = rows_told(table.iter(low, high), "iter(lo, hi)")
        expect(between, want, f"iter({show(low)}, {show(high)}) {what}")
        meta, dead = meta_of(table), sum(isinstance(v, str) for v in data.values())
        due = {"entries": len(data), "tombstones": dead}
        due |= {"min_key": min(data), "max_key": max(data)}  # type: ignore[dict-item]
        expect(meta, due, f"meta {what}")


@pytest.mark.criterion("3", points=2, after=TABLES)
def test_keys_must_ascend(submission: Submission) -> None:
    """A key that does not follow the last one raises OutOfOrder, and no file is left."""
    for second in (b"b", b"a"):
        builder = submission.SsTableBuilder(submission.path("sst_000007.dat"))
        builder.add(b"b", b"first")
        with submission.raises("OutOfOrder", call=f'add({second!r}, ...) after add(b"b", ...)'):
            builder.add(second, b"second")
        left = [p.name for p in submission.host_path("sst_000007.dat").parent.glob("sst_*")]
        expect(left, [], "Files after OutOfOrder")


@pytest.mark.criterion("4", points=5)
def test_filters(submission: Submission, rng: random.Random) -> None:
    """Of 100,000 keys in a filter none is denied; at 10 bits a key, 0.6 to 1.1 % of others pass."""
    step = rng.randrange(1, 1000)
    members = [(key(step + 2 * i),) for i in range(MEMBERS)]
    strangers = [(key(step + 2 * i + 1),) for i in range(MEMBERS)]
    bloom = submission.BloomFilter(MEMBERS, 10)
    asked(submission, bloom.insert, members)
    _admits_all(submission, bloom, members, "")
    passed = asked(submission, bloom.may_contain, strangers)
    rate = sum(map(bool, passed)) / MEMBERS
    low, high = LOWEST_RATE * 100, HIGHEST_RATE * 100
    require(
        LOWEST_RATE <= rate <= HIGHEST_RATE,
        f"may_contain() said True to {100 * rate:.2f} % of {MEMBERS:,} keys that were never "
        f"inserted; at 10 bits a key {low:.1f} to {high:.1f} % is expected (0.82 by the formula)",
    )
    empty = submission.BloomFilter(0)
    said = asked(submission, empty.may_contain, strangers[:100])
    expect(said, [False] * 100, "may_contain() of a filter without keys")
    with submission.raises("ValueError", call="BloomFilter(10, 0)"):
        submission.BloomFilter(10, 0)


def _admits_all(
    submission: Submission, bloom: Remote, members: list[tuple[Any]], when: str
) -> None:
    said = asked(submission, bloom.may_contain, members)
    denied = said.count(False)
    require(
        denied == 0 and set(said) == {True},
        f"may_contain(){when} denies {denied:,} of {len(members):,} keys that were inserted: a "
        "record behind a false negative is lost",
    )


@pytest.mark.criterion("4", points=4, after="test_filters")
def test_a_filter_in_another_process(submission: Submission, rng: random.Random) -> None:
    """The bytes of a filter admit the same keys in a process with another hash seed."""
    for place in Sources(submission.sources()).called("hash", "builtins.hash", "*.__hash__"):
        require(
            False,
            f"{place}: {place.text}: hash() of bytes is another one in every process; a filter "
            "lies on disk",
        )
    members = [(rng.randbytes(rng.randint(1, 20)),) for _ in range(5_000)]
    bloom = submission.BloomFilter(len(members))
    asked(submission, bloom.insert, members)
    raw = bloom.to_bytes()
    require(type(raw) is bytes, f"to_bytes(): expected bytes, got {show(raw)}")
    asked_before = asked(submission, bloom.may_contain, [(key(i),) for i in range(2_000)])
    for _ in range(2):
        submission.restart()
        again = submission.BloomFilter.from_bytes(raw)
        _admits_all(submission, again, members, " after from_bytes() in another process")
        said = asked(submission, again.may_contain, [(key(i),) for i in range(2_000)])
        require(
            said == asked_before,
            "from_bytes(to_bytes()) in another process answers otherwise than the filter before",
        )


@pytest.mark.criterion("4", points=6, after=("test_filters", TABLES, ENGINE))
def test_absent_keys_are_skipped(submission: Submission, rng: random.Random) -> None:
    """Keys inside the range of the tables that are in none: the filters skip more than 95 %, by
    the engine's own count, which the filters of the files confirm; also after reopening.
    """
    folder = "skips"
    rows = rows_of(rng, rng.sample(range(2, 40_000, 2), 10_000))
    options = {"memtable_bytes": 256 << 10, "auto_compact": False}
    engine = submission.LsmEngine(submission.path(folder), **options)
    put_all(submission, engine, rows)
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path(folder), **options)
    absent = [key(i) for i in rng.sample(range(3_001, 37_000, 2), 1_000)]
    before = [count(engine, name) for name in ("bloom_checked", "bloom_skipped", "block_reads")]
    expect_gets(submission, engine, dict.fromkeys(absent), "of an odd id, where all are even")
    after = [count(engine, name) for name in ("bloom_checked", "bloom_skipped", "block_reads")]
    checked, skipped, read = (b - a for a, b in zip(before, after, strict=True))
    in_range = passing = 0
    for name in files_of(submission, folder):
        table = reader(submission, folder, name)
        meta = meta_of(table)
        said = asked(submission, table.bloom.may_contain, [(each,) for each in absent])
        inside = [meta["min_key"] <= each <= meta["max_key"] for each in absent]
        in_range += sum(inside)
        passing += sum(bool(s) and i for s, i in zip(said, inside, strict=True))
        present = [(each,) for each, _ in rows_told(table.iter(), "iter()")]
        _admits_all(submission, table.bloom, present, f" of the filter of {name}")
    require(in_range >= 1_000, f"Only {in_range} of the lookups lie in the range of a table")
    require(
        checked >= in_range,
        f"{in_range:,} lookups lie in the range of a table and in none: bloom_checked must have "
        f"grown by at least as much, it grew by {checked:,}",
    )
    require(
        skipped > SKIPPED * checked,
        f"bloom_skipped / bloom_checked = {skipped / checked:.3f} for keys inside the range, "
        f"expected more than {SKIPPED}",
    )
    require(
        checked - skipped >= passing and read <= checked - skipped,
        f"The filters of the files let {passing} of these lookups pass; the engine counts "
        f"{checked - skipped} that were not skipped and {read} block reads",
    )
