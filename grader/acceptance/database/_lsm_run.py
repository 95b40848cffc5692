"""Criteria 1 and 8: the race of ingest, and the acceptance run with its figures."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from grader.acceptance.database._lsm import (
    ENGINE,
    FLUSHED,
    MAGIC,
    TABLES,
    expect_gets,
    files_of,
    rows_of,
)
from grader.judging.compare import expect, require, show
from grader.proxy.submission import Submission
from grader.races.race import Race, require_ratio, timed

RECORDS = 100_000
ROUNDS = 12
HALF_TARGET, TARGET = 0.09, 0.18  # times the rows a second of sqlite3
LOOKED_UP = 40  # records that are looked for in the files, and asked for, after each round

PEER = "sqlite3"


class Ingest:
    """New records in a new engine in every round; the clock stops when all of them are flushed.

    The judge then looks for some of them in the files, while the worker stands still.
    """

    def __init__(self, side: Submission, name: str, seed: int, *, judged: bool = True) -> None:
        self._side, self._name, self._judged = side, name, judged
        self._rng = random.Random(seed)
        self._round = 0

    def __call__(self) -> float:
        self._round += 1
        folder = f"{self._name}-{self._round}"
        ids = self._rng.sample(range(1, 2**31), RECORDS)
        rows = rows_of(self._rng, ids)
        engine = self._side.LsmEngine(self._side.path(folder))
        batch = self._side.prepare(engine.put, list(rows.items()))

        def run() -> None:
            batch.run()
            engine.flush()

        seconds = timed(run)
        chosen = self._rng.sample(list(rows), min(LOOKED_UP, len(rows)))
        if self._judged:
            self._look_up(folder, {each: rows[each] for each in chosen})
            expect_gets(self._side, engine, {each: rows[each] for each in chosen}, "in the race")
        engine.close()
        if self._judged:
            for name in files_of(self._side, folder):
                self._side.truncate(f"{folder}/{name}", 0)  # room for the rounds to come
        return seconds

    def _look_up(self, folder: str, rows: dict[bytes, bytes]) -> None:
        raw = b""
        for name in files_of(self._side, folder):
            table = self._side.read(f"{folder}/{name}")
            require(
                table[-8:] == MAGIC, f"{name}, flushed in the race, does not end with {MAGIC!r}"
            )
            raw += table
        lost = sum(value not in raw for value in rows.values())
        require(
            not lost,
            f"{RECORDS:,} records were put and flushed: {lost} of {len(rows)} that were looked "
            "for are in no table file; a flush that returned must be done",
        )


def _raced(
    name: str,
    target: float,
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    seed = rng.getrandbits(32)
    result = race.compare(
        name,
        Ingest(submission, "race", seed),
        Ingest(peer, "race", seed, judged=False),
        peer_name=PEER,
        unit="record",
        rounds=ROUNDS,
        per=RECORDS,
        target=target,
        reference=Ingest(reference, "race", seed) if reference else None,
        memory=(submission, peer, reference),
    )
    require_ratio(result, "put of 100,000 records, with the flushes")


@pytest.mark.criterion("1", points=5, after=(TABLES, ENGINE))
def test_ingest_at_half_the_target(
    submission: Submission,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """100,000 puts with their flushes and fsyncs, at 0.09 times the speed of sqlite3 at least."""
    _raced("Ingest, half the target", HALF_TARGET, submission, None, peer, rng, race)


@pytest.mark.criterion("1", points=5, after=(TABLES, ENGINE))
def test_ingest_speed(
    submission: Submission,
    reference: Submission | None,
    peer: Submission,
    rng: random.Random,
    race: Race,
) -> None:
    """100,000 puts with their flushes and fsyncs, at 0.18 times the speed of sqlite3 at least."""
    _raced("Ingest", TARGET, submission, reference, peer, rng, race)


# -- 8: the acceptance run -----------------------------------------------------------------------

RUN = 20_000  # records of a run: it is one question, and must end in time on a slow machine
BITS = (5, 10, 14, 20)
KEYS = {
    "records": int,
    "tables": int,
    "in_memory": int,
    "files_over_time": list,
    "write_amp": float,
    "read_amp": float,
    "block_reads": int,
    "space_amp": float,
    "fpr": dict,
}


def formula(bits: int) -> float:
    """(1 - e^(-kn/m))^k with k of the lesson."""
    hashes = min(30, max(1, math.ceil(0.693 * bits)))
    return float((1 - math.exp(-hashes / bits)) ** hashes)


@pytest.mark.criterion("8", points=6, after=(TABLES, ENGINE, FLUSHED))
def test_the_acceptance_run(submission: Submission) -> None:
    """run_acceptance(path, records) reports files over time, amplifications and rates that fit."""
    report = submission.run_acceptance(submission.path("run"), RUN)
    _check_report(report)
    printed = submission.output()
    require(
        "records/s" in printed and "50,000/s" in printed,
        "The run must print its records/s beside the 50,000/s that the cascade needs",
        printed[:200],
    )


@pytest.mark.criterion("8", points=4, after="test_the_acceptance_run")
def test_the_same_run_twice(submission: Submission) -> None:
    """run_acceptance(path, records) gives the same again, over old files and in another process."""
    first = submission.run_acceptance(submission.path("one"), RUN)
    submission.restart()
    for name in ("one", "two"):
        again = submission.run_acceptance(submission.path(name), RUN)
        expect(again, first, f"run_acceptance({name!r}), compared with the first run")


def _check_report(report: Any) -> None:
    require(type(report) is dict, f"run_acceptance(path): expected a dict, got {show(report)}")
    expect(sorted(report), sorted(KEYS), "Keys of the dict from run_acceptance(path)")
    for name, kind in KEYS.items():
        require(
            type(report[name]) is kind,
            f"run_acceptance(path)[{name!r}]: expected {kind.__name__}, got {show(report[name])}",
        )
    expect(
        (report["records"], report["tables"], report["in_memory"]),
        (RUN, 0, RUN),
        f"Records, table files and records in memory after the first step of {RUN:,}",
    )
    over_time = report["files_over_time"]
    require(
        len(over_time) == 5
        and all(type(n) is list and all(type(i) is int for i in n) for n in over_time),
        f"files_over_time: expected five lists of counts, got {show(over_time)}",
    )
    most = max(levels[0] for levels in over_time if levels)
    compacted = any(len(levels) > 1 and levels[1] for levels in over_time)
    require(
        most <= 3 and compacted,
        f"files_over_time: with l0_trigger=4 level 0 never shows 4 tables after a flush, and level "
        f"1 gets some; got {over_time}",
    )
    for name, low, high in (
        ("write_amp", 1.0, 4.0),
        ("read_amp", 0.1, 5.0),
        ("space_amp", 1.0, 3.0),
    ):
        require(
            low <= report[name] <= high,
            f"run_acceptance(path)[{name!r}]: expected {low} to {high}, got {report[name]}",
        )
    expect(sorted(report["fpr"]), sorted(map(str, BITS)), "Keys of fpr")
    for bits in BITS:
        rate, due = report["fpr"][str(bits)], formula(bits)
        slack = 0.5 * due + 0.02  # how exactly it must fit is criterion 4's affair
        require(
            type(rate) is float and abs(rate - due) <= slack,
            f"fpr[{str(bits)!r}]: the formula gives {due:.4f}, got {show(rate)}",
        )


__all__ = [
    "test_ingest_at_half_the_target",
    "test_ingest_speed",
    "test_the_acceptance_run",
    "test_the_same_run_twice",
]
