"""Criteria 7 and 8: the same run twice, and the race against sqlite3."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from grader.acceptance.database._storage import (
    place,
    record_ids,
    require,
    tle_records,
    values_of,
)
from grader.compare import expect, show
from grader.proxy import Batch, Remote
from grader.race import Race, timed
from grader.submission import Submission

Rng = random.Random


@pytest.mark.criterion("7", points=5)
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
ROUNDS = 20  # 100,000 inserts and 100,000 gets in all
INSERT_TARGET, GET_TARGET, FLAT_TARGET = 1.0, 0.7, 1 / 1.5


SAMPLED = 100  # of so many results of inserts, one travels inside the clock


def _judge_ratio(result: Any, what: str, target: float) -> None:
    """The median of the pairs must reach the target; `Race` measures again where it is close."""
    low, high = result.ci95 or (result.ratio, result.ratio)
    require(
        result.ratio >= target,
        f"{what}: {result.ratio:.2f} times the speed of {result.peer}, expected at least "
        f"{target:.2f}",
        f"95 % interval {low:.2f}..{high:.2f}, {result.pairs} pairs",
    )


class _Inserts:
    """The same records inserted again in every round; some ids arrive inside the clock.

    Which ones is drawn anew, so that the work cannot wait until the results are asked for.
    """

    def __init__(
        self, side: Submission, store: Remote, calls: list[tuple[bytes]], seed: int
    ) -> None:
        self._rng = random.Random(seed)
        self._batch = side.prepare(store.insert, calls)
        self._calls = len(calls)
        self.rounds = 0

    def __call__(self) -> float:
        last = self._calls - 1
        chosen = [*self._rng.sample(range(last), self._calls // SAMPLED), last]

        def run() -> None:
            self._batch.run()
            self._batch.results(chosen)

        self.rounds += 1
        return timed(run)

    def results(self) -> list[Any]:
        return self._batch.results()


class _Gets:
    """Every key read once a round, in a new order; all that is read arrives inside the clock."""

    def __init__(self, side: Submission, get: Remote, keys: list[tuple[Any]], seed: int) -> None:
        self._side, self._get, self._keys = side, get, keys
        self._rng = random.Random(seed)
        self.rounds = 0
        self.order: list[int] = []
        self.read: list[Any] = []  # what the latest round read, in its `order`

    def __call__(self) -> float:
        self.order = self._rng.sample(range(len(self._keys)), len(self._keys))
        batch = self._side.prepare(self._get, [self._keys[i] for i in self.order])

        def run() -> None:
            batch.run()
            self.read = batch.results()

        self.rounds += 1
        return timed(run)


def _fetches(manager: Remote) -> int:
    """Pages fetched so far, by the pool's own count."""
    counts = manager.pool.stats.hits, manager.pool.stats.misses
    require(all(type(n) is int for n in counts), "pool.stats must count hits and misses")
    return sum(counts)


@pytest.mark.criterion("8", points=4)
def test_insert_speed(
    submission: Submission, reference: Submission | None, peer: Submission, rng: Rng, race: Race
) -> None:
    """Inserting one record after the other, against sqlite3."""
    records = tle_records(rng, BATCH)
    calls = [(record,) for record in records]
    seed = rng.getrandbits(32)

    def inserts(side: Submission) -> tuple[Remote, _Inserts]:
        manager = side.PageManager(side.path("insert.oor"), frames=8192)
        return manager, _Inserts(side, manager, calls, seed)

    manager, mine = inserts(submission)
    table = peer.Table(peer.path("insert.db"))
    result = race.compare(
        "Single inserts",
        mine,
        _Inserts(peer, table, calls, seed),
        peer_name="sqlite3",
        unit="record",
        rounds=ROUNDS,
        per=BATCH,
        target=INSERT_TARGET,
        reference=inserts(reference)[1] if reference else None,
    )
    rids = mine.results()
    ids = {place(rid) for rid in rids}
    require(len(ids) == BATCH, f"{BATCH} inserts of one round gave {len(ids)} different RecordIds")
    found = submission.map(manager.get, [(rid,) for rid in rids])
    require(found == records, "get(rid) of the records that were inserted in the race")
    manager.close()
    raw = submission.read("insert.oor")
    sought = records[:: max(1, BATCH // 20)]
    stored, expected = sum(map(raw.count, sought)), mine.rounds * len(sought)
    require(
        stored == expected,
        f"After close() the file holds {stored} of {expected} records of the race looked for",
    )
    _judge_ratio(result, "insert", INSERT_TARGET)


@pytest.mark.criterion("8", points=3)
def test_get_speed(
    submission: Submission, reference: Submission | None, peer: Submission, rng: Rng, race: Race
) -> None:
    """Reading records in random order, all pages in the pool, against sqlite3."""
    records = tle_records(rng, BATCH)
    # Twenty times the same records are stored; some of each time are read.
    reads = [sorted(rng.sample(range(BATCH), BATCH // 20)) for _ in range(20)]
    seed = rng.getrandbits(32)

    def stored(insert: Batch) -> list[Any]:
        found = []
        for chosen in reads:
            insert.run()
            found += insert.results(chosen)
        return found

    def gets(side: Submission) -> tuple[Remote, _Gets]:
        manager = side.PageManager(side.path("get.oor"), frames=4096)
        rids = stored(side.prepare(manager.insert, [(record,) for record in records]))
        return manager, _Gets(side, manager.get, record_ids(side, map(place, rids)), seed)

    manager, mine = gets(submission)
    before = _fetches(manager)
    table = peer.Table(peer.path("get.db"), 65_536)
    keys = stored(peer.prepare(table.insert, [(record,) for record in records]))
    result = race.compare(
        "Single gets",
        mine,
        _Gets(peer, table.get, [(key,) for key in keys], seed),
        peer_name="sqlite3",
        unit="get",
        rounds=ROUNDS,
        per=BATCH,
        target=GET_TARGET,
        reference=gets(reference)[1] if reference else None,
    )
    stored_records = [records[i] for chosen in reads for i in chosen]
    want = [stored_records[i] for i in mine.order]
    require(mine.read == want, "get(rid) in the race: other bytes")
    calls, counted = mine.rounds * len(want), _fetches(manager) - before
    require(
        counted >= calls,
        f"pool.stats counts {counted} hits and misses for {calls} gets: each must read its page "
        "through the pool",
    )
    _judge_ratio(result, "get", GET_TARGET)


@pytest.mark.criterion("8", points=3)
def test_hits_do_not_depend_on_pool_size(
    submission: Submission, reference: Submission | None, rng: Rng, race: Race
) -> None:
    """A hit in a full pool of 4,096 frames takes at most 1.5 times as long as in one of 64."""

    big, small = rng.randbytes(3900), rng.randbytes(60)

    def hits(side: Submission, frames: int) -> Batch:
        path = side.path(f"frames-{frames}.oor")
        manager = side.PageManager(path, frames=frames, policy="lru")
        # One big record and one small one per page fill the pool without 47 inserts each.
        fill = side.prepare(manager.insert, [(big,), (small,)] * (frames - 8))
        fill.run()
        loads = fill.results(range(0, 2 * (frames - 8), 2))
        hot = fill.results(rng.sample(range(1, 2 * (frames - 8), 2), 48))
        values_of(side.map(manager.get, [(rid,) for rid in loads]))
        return side.prepare(manager.get, [(rid,) for rid in hot] * (BATCH // 50))

    result = race.compare(
        "Hits in a pool of 4,096 frames",
        _seconds(hits(submission, 4096)),
        _seconds(hits(submission, 64)),
        peer_name="64 frames",
        unit="get",
        rounds=ROUNDS,
        per=48 * (BATCH // 50),
        target=FLAT_TARGET,
        reference=_seconds(hits(reference, 4096)) if reference else None,
        reference_peer=_seconds(hits(reference, 64)) if reference else None,
    )
    _judge_ratio(result, "A get that hits, with 4,096 frames", FLAT_TARGET)


def _seconds(batch: Batch) -> Callable[[], float]:
    return lambda: timed(batch.run)
