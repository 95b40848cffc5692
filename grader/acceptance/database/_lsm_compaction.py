"""Criterion 6: what is merged, in which order, and what may be dropped; tiers as a bonus."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from grader.acceptance.database._lsm import (
    DELETES,
    ENGINE,
    FLUSHED,
    TABLES,
    asked,
    expect_gets,
    file_of,
    fresh_values,
    key,
    levels_of,
    meta_of,
    put_all,
    reader,
    require_files,
    rows_of,
    rows_told,
)
from grader.judging.compare import expect, require, show
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

HIDING = "test_tombstones_that_still_hide"


def _bytes_on_disk(submission: Submission, folder: str, names: Sequence[str]) -> int:
    return sum(len(submission.read(f"{folder}/{name}")) for name in names)


def _metas(submission: Submission, folder: str, numbers: Sequence[int]) -> list[dict[str, Any]]:
    return [meta_of(reader(submission, folder, file_of(number))) for number in numbers]


def _require_apart(metas: Sequence[dict[str, Any]], what: str) -> None:
    """Key ranges of a level's tables may not overlap."""
    ranges = sorted((meta["min_key"], meta["max_key"]) for meta in metas)
    for (_, end), (start, _) in itertools.pairwise(ranges):
        require(
            end < start,
            f"{what}: a table ends with {show(end)}, the next begins with {show(start)}",
        )


@pytest.mark.criterion("6", points=7, after=(TABLES, ENGINE))
def test_the_fourth_flush_compacts(submission: Submission, rng: random.Random) -> None:
    """Three flushes stay in level 0; the fourth leaves level 0 empty, fewer files, level 1 without
    overlap, every key with its newest value, and no file of the old ones.
    """
    folder = "fourth"
    engine = submission.LsmEngine(
        submission.path(folder), l0_trigger=4, target_file_bytes=100 << 10
    )
    want: dict[bytes, bytes | None] = {}
    for flush in range(1, 5):
        rows = rows_of(rng, rng.sample(range(1, 1_500), 700))
        put_all(submission, engine, rows)
        want |= rows
        engine.flush()
        if flush < 4:
            expect([len(n) for n in levels_of(engine)], [flush], f"Tables by level, flush {flush}")
    levels = levels_of(engine)
    require(
        levels[0] == [] and len(levels) == 2,
        f"After the 4th flush: expected no table in level 0 and some in level 1, got {levels}",
    )
    names = require_files(submission, engine, folder, "After the 4th flush")
    require(len(names) < 4, f"4 tables were merged into {len(names)}: expected fewer")
    expect_gets(submission, engine, want, "after the 4th flush and its compaction")
    metas = _metas(submission, folder, levels[1])
    _require_apart(metas, "Level 1")
    expect(sum(m["entries"] for m in metas), len(want), "Rows in level 1: one for each key")
    for _ in range(4):  # the next four meet the tables of level 1
        rows = rows_of(rng, rng.sample(range(500, 2_500), 300))
        put_all(submission, engine, rows)
        want |= rows
        engine.flush()
    levels = levels_of(engine)
    _require_apart(_metas(submission, folder, levels[1]), "Level 1 after 8 flushes")
    expect_gets(submission, engine, want, "after 8 flushes and two compactions")
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path(folder), l0_trigger=4)
    expect(levels_of(engine), levels, "stats()['levels'] after reopening")
    expect_gets(submission, engine, want, "after two compactions and reopening")


@pytest.mark.criterion("6", points=3, after=(TABLES, ENGINE, DELETES, FLUSHED))
def test_at_the_bottom_nothing_is_left(submission: Submission, rng: random.Random) -> None:
    """After compact() there is no tombstone, and the bytes of what was deleted are free."""
    folder = "bottom"
    engine = submission.LsmEngine(submission.path(folder))
    rows = rows_of(rng, range(1, 4_000))
    put_all(submission, engine, rows)
    engine.flush()
    before = _bytes_on_disk(submission, folder, require_files(submission, engine, folder, "Then"))
    gone = rng.sample(list(rows), 3_000)
    asked(submission, engine.delete, [(each,) for each in gone])
    engine.compact()
    names = require_files(submission, engine, folder, "After compact()")
    metas = [meta_of(reader(submission, folder, name)) for name in names]
    expect(sum(m["tombstones"] for m in metas), 0, "Tombstones in the tables after compact()")
    expect(sum(m["entries"] for m in metas), len(rows) - 3_000, "Rows in them")
    after = _bytes_on_disk(submission, folder, names)
    require(
        after < before * 0.35,
        f"3,000 of 3,999 records were deleted; after compact() the tables have {after:,} bytes, "
        f"before they had {before:,}",
    )


@pytest.mark.criterion("6", points=4, after=TABLES)
def test_tombstones_that_still_hide(submission: Submission, rng: random.Random) -> None:
    """compacted_rows keeps a tombstone while an older table outside of the inputs could hold its
    key, and drops it otherwise; of several versions the newest input wins.
    """
    old, new = rows_of(rng, range(100, 200)), rows_of(rng, range(150, 300, 2))
    dead = [key(i) for i in range(105, 195, 10)] + [key(i) for i in range(305, 395, 10)]
    tombstone = submission.TOMBSTONE
    newest: dict[bytes, Any] = {**new, **dict.fromkeys(dead, tombstone)}
    for name, data in (("sst_000001.dat", old), ("sst_000002.dat", newest)):
        builder = submission.SsTableBuilder(submission.path(name))
        asked(submission, builder.add, sorted(data.items(), key=lambda row: row[0]))
        builder.finish()

    def rows(older: list[tuple[int, int]], *inputs: int) -> list[tuple[bytes, bytes | str]]:
        tables = [submission.SsTableReader(submission.path(file_of(n))) for n in inputs]
        metas = [submission.SstMeta(9, 1, 0, key(a), key(b), 1_000) for a, b in older]
        made = submission.compacted_rows([table.iter() for table in tables], metas)
        return rows_told(made, "compacted_rows(inputs, older)")

    live = {each: value for each, value in old.items() if each not in dead} | {
        each: value for each, value in new.items() if each not in dead
    }
    expect(
        rows([], 2, 1),
        sorted(live.items()),
        "compacted_rows() of all tables, newest first: newest values, and no tombstone",
    )
    kept: dict[bytes, bytes | str] = {k: v for k, v in new.items() if k not in dead}
    kept |= {each: "TOMBSTONE" for each in dead if key(100) <= each <= key(199)}
    expect(
        rows([(100, 199)], 2),
        sorted(kept.items()),
        "compacted_rows() with a table of keys 100 to 199 left out that is older: tombstones in "
        "its range must stay, or what they hide comes back; others go",
    )


@pytest.mark.criterion("6", points=3, after=(TABLES, ENGINE, FLUSHED))
def test_what_is_chosen(submission: Submission) -> None:
    """pick_leveled: level 0 by number of tables, with what it overlaps; deeper levels by size,
    their tables in turn; None when nothing is due.
    """

    def metas(*ranges: tuple[int, int, int]) -> list[Any]:
        return [submission.SstMeta(n, 10, 0, key(a), key(b), 1_000) for n, a, b in ranges]

    def picked(levels: list[list[Any]], **options: Any) -> tuple[list[int], int] | None:
        task = submission.pick_leveled(levels, **options)
        if task is None:
            return None
        return [meta.sst_id for meta in task.inputs], task.output_level

    first = metas((1, 0, 99), (2, 100, 199), (3, 200, 299), (4, 300, 399))
    second = metas((5, 0, 149), (6, 150, 320), (7, 390, 500))
    flushed = metas((13, 120, 130), (12, 110, 125), (11, 290, 299), (10, 120, 121))
    call = "pick_leveled(levels)"
    expect(picked([flushed[:3], first]), None, f"{call} with 3 tables in level 0")
    expect(
        picked([flushed, first]),
        ([13, 12, 11, 10, 2, 3], 1),
        f"{call}: inputs and level, for tables 13, 12, 11 and 10 in level 0 that meet 2 and 3",
    )
    size = {"level_bytes": 3_500}
    expect(picked([flushed, first, second], **size), ([13, 12, 11, 10, 2, 3], 1), f"{call} level 0")
    due = [([1, 5], 2), ([2, 5, 6], 2), ([3, 6], 2), ([4, 6, 7], 2), ([1, 5], 2)]
    for turn, want in zip((b"", key(99), key(199), key(299), key(399)), due, strict=True):
        got = picked([[], first, second], turn=turn, **size)
        expect(got, want, f"{call} with level 1 too large, after {show(turn)} was moved")
    expect(picked([[], first, second], level_bytes=4_000), None, f"{call} with all in its size")


@pytest.mark.criterion("6", points=3, after=(TABLES, ENGINE, DELETES, FLUSHED))
def test_nothing_comes_back(submission: Submission, rng: random.Random) -> None:
    """A record that lies in level 2 and is deleted stays deleted when its tombstone is compacted
    into level 1, and after reopening.
    """
    folder, options = "back", {"level_bytes": 40 << 10, "target_file_bytes": 16 << 10}
    engine = submission.LsmEngine(submission.path(folder), **options)
    rows: dict[bytes, bytes | None] = {}
    for _ in range(8):
        some = rows_of(rng, rng.sample(range(1, 3_000), 250))
        put_all(submission, engine, some)
        rows |= some
        engine.flush()
    levels = levels_of(engine)
    require(
        len(levels) > 2 and bool(levels[2]),
        f"8 flushes of 21 KB with 40 KiB in level 1: level 2 must hold tables, got {levels}",
    )
    for number in range(1, len(levels)):
        metas = _metas(submission, folder, levels[number])
        _require_apart(metas, f"Level {number}")
    deep = [
        each
        for number in levels[2]
        for each, _ in rows_told(reader(submission, folder, file_of(number)).iter(), "iter()")
    ]
    gone = rng.sample(deep, min(200, len(deep)))
    for part in range(4):
        asked(submission, engine.delete, [(each,) for each in gone[part::4]])
        engine.flush()
    rows |= dict.fromkeys(gone)
    expect(levels_of(engine)[0], [], "Level 0 after four flushes more")
    what = "after deletes of records in level 2 were compacted into level 1"
    expect_gets(submission, engine, rows, what)
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path(folder), **options)
    expect_gets(submission, engine, rows, what + ", and reopening")
    engine.compact()
    expect_gets(submission, engine, rows, "after compact() of all that")


@pytest.mark.criterion("tiered", points=2, after=(TABLES, ENGINE, DELETES, FLUSHED, HIDING))
def test_tiers(submission: Submission, rng: random.Random) -> None:
    """strategy="tiered" merges runs of like size, newest values win, and a tombstone outlives an
    older run that is left out.
    """
    folder = "tiers"

    def opened() -> Remote:
        made = submission.LsmEngine(submission.path(folder), strategy="tiered", l0_trigger=4)
        assert isinstance(made, Remote)
        return made

    engine = opened()
    want: dict[bytes, bytes | None] = {}

    def flushed(deleted: Sequence[bytes] = ()) -> int:
        rows = rows_of(rng, rng.sample(range(1, 100_000), 500))
        put_all(submission, engine, rows)
        want.update(rows)
        asked(submission, engine.delete, [(each,) for each in deleted])
        want.update(dict.fromkeys(deleted))
        engine.flush()
        require_files(submission, engine, folder, "After a flush in tiers")
        return sum(map(len, levels_of(engine)))

    expect([flushed() for _ in range(4)], [1, 2, 3, 1], "Runs after each of four equal flushes")
    gone = rng.sample(list(want), 100)
    counts = [flushed(gone[part::3]) for part in range(3)]
    expect(counts, [2, 3, 2], "Runs after three more: the three new ones, and the large one")
    expect_gets(submission, engine, want, "in tiers, with the oldest run left out")
    engine.close()
    submission.restart()
    engine = opened()
    expect_gets(submission, engine, want, "in tiers, after reopening")
    again = dict(zip(gone, fresh_values(rng, len(gone)), strict=True))
    put_all(submission, engine, again)
    want |= again
    engine.compact()
    expect(sum(map(len, levels_of(engine))), 1, "Runs after compact()")
    expect_gets(submission, engine, want, "in tiers, after compact()")
