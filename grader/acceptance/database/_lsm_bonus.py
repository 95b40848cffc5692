"""The bonuses that are not strategies: thread, cache, crashes, prefixes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from grader.acceptance.database._lsm import (
    DELETES,
    ENGINE,
    FLUSHED,
    TABLES,
    asked,
    count,
    expect_gets,
    fresh_values,
    key,
    levels_of,
    put_all,
    require_files,
    rows_of,
)
from grader.judging.compare import CriterionFailed, expect, require
from grader.proxy.proxy import Remote
from grader.proxy.submission import Submission

PROBE = Path(__file__).with_name("_lsm_probe.py")
SYNCS = 2  # a flush, and a compaction, sync their table and their manifest at least


@pytest.mark.criterion("thread", points=2, after=(TABLES, ENGINE, DELETES, FLUSHED))
def test_a_thread_flushes(submission: Submission, rng: random.Random) -> None:
    """background=True: a put that fills the memtable returns while the table is being written, all
    records are found meanwhile, and flush() and close() wait for it.
    """
    folder = "thread"
    engine = submission.LsmEngine(submission.path(folder), memtable_bytes=64 << 10, background=True)
    disk = submission.probe(PROBE).SlowDisk()
    rows = rows_of(rng, rng.sample(range(1, 50_000), 1_500))  # two memtables are filled
    try:
        put_all(submission, engine, rows)
        waited = disk.is_waited_for(1.0)
        expect_gets(submission, engine, dict(rows), "while the thread writes a table")
    finally:
        disk.release()
    require(
        waited is True,
        "After puts that filled two memtables nobody is busy with an fsync that takes long: either "
        "the puts waited for it, or no thread came to flush",
    )
    engine.flush()
    expect(count(engine, "memtable_entries"), 0, "stats()['memtable_entries'] after flush()")
    more = rows_of(rng, rng.sample(range(1, 50_000), 6_000))
    put_all(submission, engine, more)
    rows |= more
    expect_gets(submission, engine, dict(rows), "with a thread, while it works")
    engine.close()
    submission.restart()
    engine = submission.LsmEngine(submission.path(folder))
    require_files(submission, engine, folder, "After close() with a thread, and reopening")
    expect_gets(submission, engine, dict(rows), "after close() with a thread, and reopening")


@pytest.mark.criterion("cache", points=2, after=(TABLES, ENGINE))
def test_blocks_are_kept(submission: Submission, rng: random.Random) -> None:
    """block_cache_bytes: a block that was read is read again from memory, index and filter always;
    never more bytes than that are kept, and newer values are seen.
    """
    folder, capacity = "cache", 64 << 10
    rows = rows_of(rng, rng.sample(range(1, 50_000), 4_000))
    engine = submission.LsmEngine(submission.path(folder), block_cache_bytes=1 << 20)
    put_all(submission, engine, rows)
    engine.flush()
    expect_gets(submission, engine, dict(rows), "with a cache, first time")
    read = count(engine, "block_reads")
    for name in require_files(submission, engine, folder, "With a cache"):
        path = f"{folder}/{name}"
        intact = submission.read(path)
        submission.write(path, bytes(len(intact)), 0)
        expect_gets(submission, engine, dict(rows), "again, while the judge has zeroed the file")
        submission.write(path, intact, 0)
    expect(count(engine, "block_reads"), read, "stats()['block_reads'], all blocks in the cache")
    newer = rows_of(rng, [int.from_bytes(each, "big") for each in rng.sample(list(rows), 500)])
    put_all(submission, engine, newer)
    rows |= newer
    engine.compact()
    expect_gets(submission, engine, dict(rows), "with a cache, after newer values and compact()")
    engine.close()
    engine = submission.LsmEngine(submission.path(folder), block_cache_bytes=capacity)
    expect_gets(submission, engine, dict(rows), "with a small cache")
    kept = count(engine, "cache_bytes")
    require(
        0 < kept <= capacity,
        f"stats()['cache_bytes']: expected 1 to {capacity:,} with that capacity, got {kept:,}",
    )


@pytest.mark.criterion("crash", points=3, after=(TABLES, ENGINE, DELETES))
def test_killed_at_any_fsync(submission: Submission, rng: random.Random) -> None:
    """Killed at any os.fsync of a flush or a compaction, the engine opens with all that was flushed
    before, nothing that was deleted, all or none of what was being flushed, and no orphan file.
    """
    for doing in ("flush", "compact"):
        for hit in range(1, 9):
            if not _killed(submission, rng, doing, hit):
                break


def _killed(submission: Submission, rng: random.Random, doing: str, hit: int) -> bool:
    """One crash, and what must hold after it; False when there are no more points to crash at."""
    folder = f"crash-{doing}-{hit}"

    def opened() -> Remote:
        made = submission.LsmEngine(submission.path(folder), auto_compact=False)
        assert isinstance(made, Remote)
        return made

    engine = opened()
    want: dict[bytes, bytes | None] = {}
    for _ in range(3):
        rows = rows_of(rng, rng.sample(range(1, 1_000), 200))
        put_all(submission, engine, rows)
        want |= rows
        gone = rng.sample(list(want), 20)
        asked(submission, engine.delete, [(each,) for each in gone])
        want |= dict.fromkeys(gone)
        engine.flush()
    out = dict(zip(map(key, range(2_000, 2_100)), fresh_values(rng, 100), strict=True))
    if doing == "flush":
        put_all(submission, engine, out)
    call = engine.flush if doing == "flush" else engine.compact
    try:
        submission.crash(call, [()], call="os.fsync", hit=hit)
    except CriterionFailed:
        if hit <= SYNCS:
            raise
        return False
    when = f"after SIGKILL at os.fsync number {hit} of {doing}(), and reopening"
    engine = opened()
    expect_gets(submission, engine, want, when)
    require_files(submission, engine, folder, f"The folder {when}")
    left = [p.name for p in submission.host_path(folder).iterdir() if p.name.endswith(".dat.tmp")]
    expect(left, [], f"Unfinished files {when}")
    found = asked(submission, engine.get, [(each,) for each in out])
    require(
        found in ([None] * len(out), list(out.values())),
        f"{when}: {sum(v is not None for v in found)} of {len(out)} records of the flush are "
        "there; expected all or none",
    )
    engine.compact()
    expect_gets(submission, engine, want, f"{when}, and compact()")
    require(len(levels_of(engine)) > 1, f"{when}: compact() leaves all tables in level 0")
    engine.close()
    return True


@pytest.mark.criterion("prefix", points=1, after="test_filters")
def test_prefixes(submission: Submission, rng: random.Random) -> None:
    """PrefixBloom admits prefixes of its keys and few others; other lengths raise ValueError."""
    ids = [256 * block + rng.randrange(256) for block in rng.sample(range(0, 8_000, 2), 2_000)]
    bloom = submission.PrefixBloom(len(ids), 3)
    asked(submission, bloom.insert, [(key(i),) for i in ids])
    said = asked(submission, bloom.may_contain_prefix, [(key(i)[:3],) for i in ids])
    expect(said.count(True), len(ids), "may_contain_prefix() of prefixes that are there: True")
    others = [key(256 * block)[:3] for block in range(1, 8_000, 2)]
    passed = asked(submission, bloom.may_contain_prefix, [(p,) for p in others]).count(True)
    require(
        passed < 0.03 * len(others),
        f"may_contain_prefix() says True to {passed} of {len(others)} prefixes that no key has",
    )
    with submission.raises("ValueError", call="may_contain_prefix(2 of 3 bytes)"):
        bloom.may_contain_prefix(key(ids[0])[:2])
