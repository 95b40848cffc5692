"""A disk that one submission fills is nobody else's trouble: what it broke waits for room."""

from __future__ import annotations

import errno
import io
import os
import secrets
import threading
from collections import namedtuple
from types import TracebackType

import msgspec
import pytest

from grader.cohort import coordinator, progress
from grader.cohort.crew import Ended
from grader.cohort.errors import CohortStopped
from grader.cohort.queue import Lane
from grader.cohort.sealed import seal
from grader.cohort.task import Task
from grader.cohort.work import Order, serve
from tests.grader.cohort.toys import Cohort
from tests.grader.reports import make


class Crowd:
    """A crew whose workers find the disk full while two of them are at work."""

    def __init__(self, order: Order, *, always: bool) -> None:
        self._order = order
        self._always = always
        self._live: list[Order] = []
        self._ended: list[Ended] = []

    def width(self, lane: Lane) -> int:
        return 3 if lane == "judge" else 1

    def start(self, lane: Lane, *, alone: bool) -> None:
        owner = secrets.token_hex(8)
        self._live.append(msgspec.structs.replace(self._order, owner=owner, lane=lane, alone=alone))

    def alive(self) -> int:
        return len(self._live)

    def wait(self, timeout_s: float) -> None:  # noqa: ARG002
        """Each worker that is alive works until it ends."""
        crowded = len(self._live) > 1 or self._always
        for order in self._live:
            end = Ended(owner=order.owner)
            try:
                serve(order, self._full if crowded else self._judge, threading.Event())
            except OSError:
                end = Ended(owner=order.owner, disk_full=True)
            self._ended.append(end)
        self._live.clear()

    def ended(self) -> list[Ended]:
        found, self._ended = self._ended, []
        return found

    def kill(self, owner: str) -> None: ...

    def finish(self) -> None: ...

    def __enter__(self) -> Crowd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    @staticmethod
    def _full(*_: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @staticmethod
    def _judge(task: Task, _: bytes | None, secret: bytes) -> bytes:
        report = make(
            capstone=task.capstone,
            seed=task.seed,
            submission_sha256=task.submission_sha256,
            facts={"learner": task.learner, "attempt": task.attempt},
        )
        return seal({"report.json": msgspec.json.encode(report)}, secret)


def crowd(patch: pytest.MonkeyPatch, *, always: bool = False) -> None:
    patch.setattr(coordinator._Run, "crew", lambda run: Crowd(run.order, always=always))


@pytest.mark.usefixtures("walls")
def test_what_found_the_disk_full_is_judged_when_there_is_room(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob", "cid", "dan"):
        cohort.add(name)
    crowd(monkeypatch)
    summary = cohort.run(workers=3)
    assert [row.state for row in summary.submissions] == ["done"] * 4
    assert not [e for e in cohort.events if e["event"] == "trouble"], "nobody is to blame"
    told = [e for e in cohort.events if e["event"] == "crowded"]
    assert [e["workers"] for e in told] == [2, 1]
    out = io.StringIO()
    progress.lines(out)(told[-1])
    assert out.getvalue() == "The disk was full for a while: 1 at work from here on\n"


@pytest.mark.usefixtures("walls")
def test_a_disk_that_stays_full_ends_the_run(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ann", "bob", "cid", "dan"):
        cohort.add(name)
    crowd(monkeypatch, always=True)
    with pytest.raises(CohortStopped, match=r"no submission could be judged: OSError.*No space"):
        cohort.run(workers=3)


Usage = namedtuple("Usage", "total used free")


@pytest.mark.usefixtures("walls")
def test_a_disk_too_small_for_what_may_be_written(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(0, 0, 3 * 2**29))
    assert cohort.run(workers=9).submissions == [], "nothing is to be judged"
    cohort.add("ann")
    with pytest.raises(CohortStopped, match=r"has 1\.5 GiB free, and 2 workers .*2\.0.*TMPDIR"):
        cohort.run(workers=2)
