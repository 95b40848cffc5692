"""Answers to foundation/01-tasks, judged: what the tests of its suite share."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from types import MappingProxyType
from unittest import mock

import msgspec

from grader.acceptance.foundation import test_tasks
from grader.acceptance.foundation.mutants_tasks import MUTANTS
from grader.authoring.mutants import Variant
from grader.job import JobSpec, run_one
from grader.report import Report
from meridian.academy.curriculum import load
from tests.grader.acceptance.parts import missed, part_of_the_suite

ROOT = Path(__file__).parents[3]
KEY = "foundation/01-tasks"
SOLUTION = ROOT / "solutions" / KEY
ADAPTER = ROOT / "tests" / "grader" / "adapters" / "foundation_01_tasks"
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone

HALVES = MUTANTS[::2], MUTANTS[1::2]
"""In two files of tests, which two processes run at the same time."""


HURRIED = {
    "_tasks:PACE_S": 0.1,
    "_tasks:PATIENCE_S": 2.5,
    "_tasks_serving:STATIONS": 12,
    "_tasks_serving:FRAMES_EACH": 20,
    "_tasks_serving:SLOW_FRAMES": 120,
    "_tasks_serving:GRANTED_S": 0.5,
    "_tasks_ending:PAUSE_S": 0.1,
    "_tasks_ending:DEADLINE_S": 0.2,
    "_tasks_ending:GRACE_S": 0.2,
    "_tasks_ending:COMMAND_S": 0.2,
    "_tasks_ending:GONE_S": 3.0,
    "_tasks_trouble:CYCLES": 60,
    "_tasks_trouble:EACH": 10,
    "_tasks_trouble:LATE_SHARE": 0.8,
}
"""Smaller numbers and shorter waits, enough for the mistakes that are listed."""

_processes: list[ProcessPoolExecutor] = []


@contextmanager
def one_process() -> Iterator[None]:
    """Judge trusted code in a process beside this one: a wrong broker leaves tasks and sockets."""
    pool = ProcessPoolExecutor(1, get_context("spawn"))
    _processes.append(pool)
    try:
        yield
    finally:
        _processes.pop()
        for process in list(pool._processes.values()):
            process.kill()
        pool.shutdown()


def judge(
    submission: Path,
    out: Path,
    *,
    mode: str = "check",
    box: str = "none",
    criteria: Collection[str] = (),
    constants: Mapping[str, float] = MappingProxyType({}),
) -> Report:
    """Judge without a box (`none`: trusted code only) or in one; all `criteria`, or some.

    `constants` of the suite are replaced meanwhile.
    """
    job = (submission, out, mode, box, tuple(criteria), dict(constants))
    if box != "none":
        return msgspec.json.decode(_judged(*job), type=Report)
    return msgspec.json.decode(_processes[-1].submit(_judged, *job).result(), type=Report)


def _judged(
    submission: Path,
    out: Path,
    mode: str,
    box: str,
    criteria: tuple[str, ...],
    constants: dict[str, float],
) -> bytes:
    definition, suite = CAPSTONE, None
    if criteria:
        definition, suite = part_of_the_suite(CAPSTONE, test_tasks, criteria, out)
    with ExitStack() as stack:
        for name, value in constants.items():
            module, _, constant = name.partition(":")
            place = import_module(f"grader.acceptance.foundation.{module}")
            stack.enter_context(mock.patch.object(place, constant, value))
        report = run_one(
            JobSpec(
                capstone=KEY,
                submission=submission,
                out=out / "out",
                mode=mode,  # type: ignore[arg-type]
                box=box,
                trusted=box == "none",
                seed="00" * 16,
                key=b"k" * 32,
                definition=definition,
                suite=suite,
            )
        )
    return msgspec.json.encode(report)


def expect_missed(variant: Variant, wrong: set[str], tmp_path: Path) -> None:
    """Of `wrong`, and of what everything stands on, `variant` fails `wrong`; the message says why.

    That it fails nothing else is for `grader prove` to find, which has the time.
    """
    answer = variant.write(SOLUTION, tmp_path / "submission")
    report = judge(answer, tmp_path, criteria={"1", *wrong}, constants=HURRIED)
    found = missed(report)
    assert found.keys() == wrong, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"
