"""Killing the worker in the middle of a call: by time, at a named function, at a failpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from grader.errors import RemoteError, WorkerLost
from grader.judging.compare import CriterionFailed
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

SOURCE = """
import os, sys, time, types

class Log:
    def __init__(self, path):
        self.fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    def append(self, number):
        os.write(self.fd, number.to_bytes(4, "little"))
        os.fsync(self.fd)
        return number
    def buffered(self, number):
        self.file = open(self.fd, "wb", closefd=False)
        self.file.write(number.to_bytes(4, "little"))
        return number
    def slow(self, seconds):
        time.sleep(seconds)
        return seconds

def fail(n): raise KeyError(n)
def leave(n): os._exit(n)
def quick(n): return n
at_exit = []
def write_at_exit(path):
    import atexit
    atexit.register(lambda: open(path, "w").write("still here"))

# Stands for the file layer with its failpoints, which capstones are given.
points = types.ModuleType("meridian.fs")
points.armed = {}
def arm(name, nth=1, action="kill"): points.armed[name] = [nth, action]
def failpoint(name):
    if name in points.armed:
        points.armed[name][0] -= 1
        if not points.armed[name][0]:
            os.kill(os.getpid(), 9)
points.arm = arm
sys.modules.setdefault("meridian", types.ModuleType("meridian"))
sys.modules["meridian.fs"] = points
def flush(n):
    failpoint("flush.before")
    return n
"""


@pytest.fixture
def where() -> str:
    return "boxed"  # nothing can be killed in this process


def numbers(lab: Submission, name: str) -> list[int]:
    raw = lab.read(name)
    return [int.from_bytes(raw[i : i + 4], "little") for i in range(0, len(raw), 4)]


def test_what_was_acknowledged_before_the_kill_is_on_disk(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    log = lab.Log(lab.path("log"))
    crash = lab.crash(log.append, [(n,) for n in range(1_000_000)], after_s=0.3)
    assert not crash.finished
    assert crash.answers == list(range(len(crash.answers)))
    assert crash.asked in (len(crash.answers), len(crash.answers) + 1)
    found = numbers(lab, "log")
    assert found == list(range(len(found)))
    assert len(crash.answers) <= len(found) <= crash.asked
    # The next question goes to a new worker on the same files.
    assert lab.Log(lab.path("log")).append(7) == 7
    assert numbers(lab, "log") == [*found, 7]


def test_a_single_call_is_cut_in_the_middle(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    log = lab.Log(lab.path("log"))
    crash = lab.crash(log.slow, [(60,)], after_s=0.05)
    assert crash == ([], 1, False)
    assert lab.quick(1) == 1


def test_a_kill_flushes_nothing_and_runs_no_handler(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    lab.write_at_exit(lab.path("handler"))
    log = lab.Log(lab.path("log"))
    crash = lab.crash(log.buffered, [(5,)], after_s=30)
    assert crash == ([5], 1, True)  # it was done before its time; the kill comes all the same
    assert lab.read("log") == b""
    with pytest.raises(CriterionFailed, match="cannot be opened"):
        lab.read("handler")


def test_the_nth_call_of_a_function_is_not_made(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    log = lab.Log(lab.path("log"))
    crash = lab.crash(log.append, [(n,) for n in range(10)], call="os.fsync", hit=4)
    assert crash == ([0, 1, 2], 4, False)
    assert numbers(lab, "log") == [0, 1, 2, 3]


def test_a_failpoint_of_the_file_layer_is_reached(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    crash = lab.crash(lab.flush, [(n,) for n in range(10)], failpoint="flush.before", hit=3)
    assert crash == ([0, 1], 3, False)


def test_a_point_that_is_never_reached_fails(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    with pytest.raises(CriterionFailed, match=r"flush never reached os\.rename\(\)"):
        lab.crash(lab.flush, [(1,)], call="os.rename")
    with pytest.raises(CriterionFailed, match=r"quick never reached flush\.before"):
        lab.crash(lab.quick, [(1,)], failpoint="flush.before")
    with pytest.raises(CriterionFailed, match="never reached"):
        lab.crash(lab.flush, [(1,)], failpoint="flush.before", hit=2)


def test_another_end_is_not_taken_for_the_kill(lab_of: Lab) -> None:
    lab = lab_of(SOURCE)
    with pytest.raises(WorkerLost, match="exit status 3"):
        lab.crash(lab.leave, [(3,)], after_s=30)
    with pytest.raises(RemoteError, match="KeyError"):
        lab.crash(lab.fail, [(3,)], after_s=30)
    with pytest.raises(RemoteError, match="KeyError"):
        lab.crash(lab.fail, [(3,)], call="os.fsync")
    assert lab.quick(2) == 2


@pytest.mark.parametrize(
    ("strike", "said"),
    [
        ({}, "one of after_s, call and failpoint"),
        ({"after_s": 1, "call": "os.fsync"}, "one of"),
        ({"after_s": -1}, "after_s >= 0"),
        ({"call": "fsync"}, "dotted name"),
        ({"call": "os.fsync", "hit": 0}, "hit >= 1"),
    ],
)
def test_a_strike_that_makes_no_sense_says_so(
    lab_of: Lab, strike: dict[str, Any], said: str
) -> None:
    lab = lab_of(SOURCE)
    quick = lab.quick
    with pytest.raises(ValueError, match=said):
        lab.crash(quick, [(1,)], **strike)
    assert quick(1) == 1  # nothing was asked, nothing ended


def test_a_callback_is_a_point_as_well(lab_of: Lab) -> None:
    """The suite's own file layer can call the judge, and the judge kills when it wants."""
    lab = lab_of("def work(point):\n    for n in range(9): point(n)\n")

    def point(n: int) -> None:
        if n == 4:
            lab.kill()

    with pytest.raises(WorkerLost, match="ended"):
        lab.work(point)
    with pytest.raises(RemoteError, match="not callable"):
        lab.work(3)


def test_in_this_process_a_crash_test_is_skipped(lab_of: Lab, where: str, tmp_path: Any) -> None:
    import time

    from grader.box.workers import Workshop
    from grader.limits import Limits

    (tmp_path / "code" / "lab").mkdir(parents=True)
    (tmp_path / "code" / "lab" / "__init__.py").write_text(SOURCE)
    workshop = Workshop(
        tmp_path / "code",
        tmp_path,
        box=None,
        limits=Limits(),
        seed="seed",
        deadline=time.monotonic() + 60,
    )
    lab = Submission(workshop, "lab")
    try:
        with pytest.raises(pytest.skip.Exception, match="judge with a box"):
            lab.crash(lab.quick, [(1,)], call="os.fsync")
    finally:
        lab.close()
