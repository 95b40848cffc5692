"""Criteria 7 and 8: the same run twice, and the race against sqlite3."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from grader.acceptance.database._storage import (
    insert_all,
    place,
    record_ids,
    require,
    tle_records,
    values_of,
)
from grader.compare import expect, show
from grader.race import Race, timed
from grader.submission import Submission

Rng = random.Random


@pytest.mark.criterion("7", points=5)
def test_the_same_run_twice(submission: Submission, capsys: pytest.CaptureFixture[str]) -> None:
    """run_acceptance(path) gives and prints the same counts every time."""
    runs, printed = [], []
    for name in ("one.oor", "one.oor", "two.oor"):
        seen = len(submission.output())
        runs.append(submission.run_acceptance(submission.path(name)))
        # A trusted submission may run in this process; then it prints here.
        printed.append(submission.output()[seen:] or capsys.readouterr().out)
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


def _judge_ratio(result: Any, what: str, target: float) -> None:
    """Missed only if the whole 95 % interval lies below the target."""
    high = result.ci95[1] if result.ci95 else result.ratio
    require(
        high >= target,
        f"{what}: {result.ratio:.2f} times the speed of {result.peer}, expected at least "
        f"{target:.2f}",
        f"95 % interval {result.ci95[0]:.2f}..{high:.2f}, {result.pairs} pairs",
    )


@pytest.mark.criterion("8", points=4)
def test_insert_speed(submission: Submission, peer: Submission, rng: Rng, race: Race) -> None:
    """Inserting one record after the other, against sqlite3."""
    manager = submission.PageManager(submission.path("insert.oor"), frames=8192)
    records = tle_records(rng, BATCH)
    mine = submission.prepare(manager.insert, [(record,) for record in records])
    table = peer.Table(peer.path("insert.db"))
    theirs = peer.prepare(table.insert, [(record,) for record in records])
    result = race.compare(
        "Single inserts",
        lambda: timed(mine.run),
        lambda: timed(theirs.run),
        peer_name="sqlite3",
        unit="record",
        rounds=ROUNDS,
        per=BATCH,
        target=INSERT_TARGET,
    )
    rids = [(rid,) for rid in mine.results()]
    found = submission.map(manager.get, rids)
    require(found == records, "get(rid) of the records that were inserted in the race")
    _judge_ratio(result, "insert", INSERT_TARGET)


@pytest.mark.criterion("8", points=3)
def test_get_speed(submission: Submission, peer: Submission, rng: Rng, race: Race) -> None:
    """Reading records in random order, all pages in the pool, against sqlite3."""
    manager = submission.PageManager(submission.path("get.oor"), frames=4096)
    records = tle_records(rng, BATCH) * 20
    places = [place(rid) for rid in insert_all(submission, manager, records)]
    order = [rng.randrange(len(records)) for _ in range(BATCH)]
    mine = submission.prepare(manager.get, record_ids(submission, [places[i] for i in order]))
    table = peer.Table(peer.path("get.db"), 65_536)
    keys = values_of(peer.map(table.insert, [(record,) for record in records]))
    theirs = peer.prepare(table.get, [(keys[i],) for i in order])
    result = race.compare(
        "Single gets",
        lambda: timed(mine.run),
        lambda: timed(theirs.run),
        peer_name="sqlite3",
        unit="get",
        rounds=ROUNDS,
        per=BATCH,
        target=GET_TARGET,
    )
    require(mine.results() == [records[i] for i in order], "get(rid) in the race: other bytes")
    _judge_ratio(result, "get", GET_TARGET)


@pytest.mark.criterion("8", points=3)
def test_hits_do_not_depend_on_pool_size(submission: Submission, rng: Rng, race: Race) -> None:
    """A hit in a full pool of 4,096 frames takes at most 1.5 times as long as in one of 64."""
    sides = []
    for frames, policy in ((4096, "lru"), (64, "lru")):
        name = f"frames-{frames}.oor"
        manager = submission.PageManager(submission.path(name), frames=frames, policy=policy)
        # One big record and one small one per page fill the pool without 47 inserts each.
        pages = frames - 8
        records = [rng.randbytes(size) for _ in range(pages) for size in (3900, 60)]
        rids = insert_all(submission, manager, records)
        hot = rng.sample(range(1, len(rids), 2), 48)
        values_of(submission.map(manager.get, [(rids[i],) for i in range(0, len(rids), 2)]))
        sides.append(submission.prepare(manager.get, [(rids[i],) for i in hot] * (BATCH // 50)))
    large, small = sides
    result = race.compare(
        "Hits in a pool of 4,096 frames",
        lambda: timed(large.run),
        lambda: timed(small.run),
        peer_name="64 frames",
        unit="get",
        rounds=ROUNDS,
        per=48 * (BATCH // 50),
        target=FLAT_TARGET,
    )
    _judge_ratio(result, "A get that hits, with 4,096 frames", FLAT_TARGET)
