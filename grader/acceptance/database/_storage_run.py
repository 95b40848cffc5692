"""Criteria 7 and 8: the same run twice, and the race against sqlite3."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from grader.acceptance.database._storage import MANAGER, counters
from grader.acceptance.database._storage_race import (
    Gets,
    Inserts,
    Ledger,
    fresh_records,
    stored_keys,
)
from grader.judging.compare import expect, require, show
from grader.proxy.proxy import Batch, Remote
from grader.proxy.submission import Submission
from grader.races.race import Race, exponent_of, require_growth, require_ratio


@pytest.mark.criterion("7", points=5, after=MANAGER)
def test_the_same_run_twice(submission: Submission) -> None:
    """run_acceptance(path) gives and prints the same counts every time."""
    runs, printed = [], []
    for name in ("one.oor", "one.oor", "two.oor"):
        seen = len(submission.output())
        runs.append(submission.run_acceptance(submission.path(name)))
        printed.append(submission.output()[seen:])
        submission.restart()  # another hash seed, another process
    first = runs[0]
    require(type(first) is dict, f"run_acceptance(path): expected a dict, got {show(first)}")
    keys = ["inserted", "read", "deleted", "hits", "misses"]
    expect(sorted(first), sorted(keys), "Keys of the dict from run_acceptance(path)")
    for key in keys:
        require(
            type(first[key]) is int and first[key] >= 0,
            f"run_acceptance(path)[{key!r}]: expected a count, got {show(first[key])}",
        )
    expect((first["inserted"], first["read"]), (200, 200), "Records inserted and read")
    require(0 < first["deleted"] < 200, f"deleted must be about half of 200: {first['deleted']}")
    for other, when in ((runs[1], "over the same file"), (runs[2], "on another file")):
        expect(other, first, f"run_acceptance {when}, compared with the first run")
        require(list(other) == list(first), "The keys come in another order in the second run")
    for text in printed[1:]:
        expect(text, printed[0], "What the run printed, compared with the first run")
    for key in keys:
        shown = re.search(rf"\b{first[key]}\b", printed[0])
        require(shown is not None, f"The run must print {key}: {first[key]}", printed[0][:200])


# -- 8: speed ------------------------------------------------------------------------------------

BATCH = 5_000
ROUNDS = 20  # at most, before a race is measured again: up to 100,000 inserts and 100,000 gets
STORED = 20  # batches in the file that is read
FRAMES = (64, 512, 4_096)
INSERT_TARGET, GET_TARGET = 1.0, 0.7
FLAT_TIMES = 1.5  # the largest pool may be slower than the smallest by this


@pytest.mark.criterion("8", points=4, after=MANAGER)
def test_insert_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Inserting one record after the other, and flushing, against sqlite3."""
    seed = rng.getrandbits(32)
    ledger = Ledger(submission, "insert.oor")

    def inserts(side: Submission, ledger: Ledger | None = None) -> tuple[Remote, Inserts]:
        manager = side.PageManager(side.path("insert.oor"), frames=8192)
        flush = manager.pool.flush_all
        return manager, Inserts(side, manager.insert, flush, count=BATCH, seed=seed, ledger=ledger)

    manager, mine = inserts(submission, ledger)
    table = peer.Table(peer.path("insert.db"))
    result = race.compare(
        "Single inserts",
        mine,
        Inserts(peer, table.insert, table.flush, count=BATCH, seed=seed),
        peer_name="sqlite3",
        unit="record",
        rounds=ROUNDS,
        per=BATCH,
        target=INSERT_TARGET,
        reference=inserts(reference)[1] if reference else None,
        memory=(submission, peer, reference),
    )
    rids = mine.results()
    places = {mine.require_place(i, rid) for i, rid in enumerate(rids)}
    require(len(places) == BATCH, f"{BATCH} inserts gave {len(places)} different RecordIds")
    found = submission.map(manager.get, [(rid,) for rid in rids])
    require(found == mine.records, "get(rid) of the records that were inserted in the race")
    manager.close()
    closed = {entry.record for entry in Ledger(submission, "insert.oor").changed().values()}
    lost = len(mine.all - closed)
    require(not lost, f"After close() the file lacks {lost} of {len(mine.all)} records of the race")
    require_ratio(result, "insert")


@pytest.mark.criterion("8", points=3, after=MANAGER)
def test_get_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """Reading records in random order, all pages in the pool, against sqlite3."""
    records = fresh_records(rng, BATCH)
    # Twenty times the same records are stored; some of each time are read.
    reads = [sorted(rng.sample(range(BATCH), BATCH // STORED)) for _ in range(STORED)]
    read = [records[i] for chosen in reads for i in chosen]
    seed = rng.getrandbits(32)

    def everything(rng: random.Random) -> list[int]:
        return rng.sample(range(len(read)), len(read))

    def stored(insert: Batch) -> list[Any]:
        found = []
        for chosen in reads:
            insert.run()
            found += insert.results(chosen)
        return found

    def gets(side: Submission) -> tuple[Remote, Gets]:
        manager = side.PageManager(side.path("get.oor"), frames=4096)
        ids = stored(side.prepare(manager.insert, [(record,) for record in records]))
        manager.pool.flush_all()
        keys, found, places = stored_keys(side, Ledger(side, "get.oor"), ids)
        require(found == read, "Records in the file, at the places that insert gave: other bytes")
        made = Gets(side, manager.get, keys, read, draw=everything, seed=seed)
        return manager, made.rewrite(manager.pool, places)

    manager, mine = gets(submission)
    before = _fetches(manager)
    table = peer.Table(peer.path("get.db"), 65_536)
    keys = stored(peer.prepare(table.insert, [(record,) for record in records]))
    result = race.compare(
        "Single gets",
        mine,
        Gets(peer, table.get, [(key,) for key in keys], read, draw=everything, seed=seed),
        peer_name="sqlite3",
        unit="get",
        rounds=ROUNDS,
        per=len(read),
        target=GET_TARGET,
        reference=gets(reference)[1] if reference else None,
        memory=(submission, peer, reference),
    )
    counted = _fetches(manager) - before
    require(
        counted >= mine.calls,
        f"pool.stats counts {counted} hits and misses for {mine.calls} gets: each must read its "
        "page through the pool",
    )
    require_ratio(result, "get")


def _fetches(manager: Remote) -> int:
    """Pages fetched so far, by the pool's own count."""
    return sum(counters(manager.pool))


@pytest.mark.criterion("8", points=3, after=MANAGER)
def test_hits_do_not_depend_on_pool_size(
    submission: Submission, reference: Submission | None, rng: random.Random, race: Race
) -> None:
    """A hit in a full pool of 4,096 frames takes at most 1.5 times as long as in one of 64."""
    big, small = rng.randbytes(3900), rng.randbytes(60)
    seed = rng.getrandbits(32)

    def hits(side: Submission) -> Callable[[int], Gets]:
        return lambda frames: _hits(side, frames, big, small, seed)

    result = race.growth(
        f"Hits, {FRAMES[0]} to {FRAMES[-1]:,} frames",
        hits(submission),
        FRAMES,
        expected=0,
        margin=exponent_of(FLAT_TIMES, over=FRAMES[-1] / FRAMES[0]),
        size_name="frames",
        unit="get",
        rounds=ROUNDS,
        per=HOT * (BATCH // 100),
        reference_at=hits(reference) if reference else None,
        memory=(submission, reference),
    )
    require_growth(result, "A get that hits")


HOT = 48  # pages that a round reads, of all that are in the pool


def _hits(side: Submission, frames: int, big: bytes, small: bytes, seed: int) -> Gets:
    """A pool that is full but for 8 frames, and gets of records that lie in it."""
    name, pages = f"frames-{frames}.oor", frames - 8
    manager = side.PageManager(side.path(name), frames=frames, policy="lru")
    # One big record and one small one per page fill the pool without 47 inserts each.
    step = next(step for step in range(min(pages, 511), 0, -1) if pages % step == 0)
    fill = side.prepare(manager.insert, [(big,), (small,)] * step)
    ids: list[Any] = []
    for _ in range(pages // step):
        fill.run()
        ids += fill.results(range(1, 2 * step, 2))
    side.prepare(manager.get, [(rid,) for rid in ids]).run()
    manager.pool.flush_all()
    keys, found, places = stored_keys(side, Ledger(side, name), ids)
    require(set(found) == {small}, "Records in the file, at the places that insert gave: others")

    def draw(rng: random.Random) -> list[int]:
        return rng.sample(range(len(ids)), HOT) * (BATCH // 100)

    made = Gets(side, manager.get, keys, found, draw=draw, seed=seed)
    return made.rewrite(manager.pool, places)
