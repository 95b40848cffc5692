"""Crash tests: SIGKILL while a question is out, at a time or at a point, and what is known then."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from grader.errors import WorkerLost
from grader.judging.compare import CriterionFailed
from grader.proxy.proxy import Connection, Remote

__all__ = ["Crash", "Strike", "strike"]

FAILPOINTS = "meridian.fs"


class Crash(NamedTuple):
    """What the judge knows of a worker that was killed.

    `answers` are the calls that returned before: their effects must be there afterwards. One more
    call may have had an effect or not, unless `finished`: then the kill came after the last one.
    """

    answers: list[Any]
    asked: int
    finished: bool


class Strike(NamedTuple):
    """When to kill: exactly one of these.

    `after_s` seconds after the first question; at the entry of the `hit`-th call of `call`, a
    dotted name in the worker such as ``"os.fsync"``; at the `hit`-th arrival at `failpoint`, a
    point named by ``meridian.fs.failpoint``.
    """

    after_s: float | None = None
    call: str = ""
    failpoint: str = ""
    hit: int = 1

    def check(self) -> None:
        """Raise `ValueError` unless one way is chosen and its number makes sense."""
        chosen = (self.after_s is not None) + bool(self.call) + bool(self.failpoint)
        if chosen != 1:
            raise ValueError("Expected one of after_s, call and failpoint")
        if self.after_s is not None and self.after_s < 0:
            raise ValueError(f"Expected after_s >= 0, got {self.after_s}")
        if self.hit < 1:
            raise ValueError(f"Expected hit >= 1, got {self.hit}")
        if self.call and "." not in self.call:
            raise ValueError(f"Expected a dotted name such as 'os.fsync', got {self.call!r}")

    @property
    def point(self) -> str:
        """The point as a learner reads it; empty for a time."""
        return self.failpoint or (self.call and f"{self.call}()")

    def arm(self, connection: Connection) -> None:
        if self.call:
            module, _, name = self.call.rpartition(".")
            connection.ask("strike", module, name, self.hit, label=f"arming {self.call}")
        elif self.failpoint:
            registry = connection.ask("module", FAILPOINTS, label=f"import {FAILPOINTS}")
            registry.arm(self.failpoint, self.hit, "kill")


def strike(
    connection: Connection, function: Remote, calls: Iterable[tuple[Any, ...]], when: Strike
) -> Crash:
    """Make `calls`, one question each, until the worker is killed; kill it afterwards in any case.

    Raises `CriterionFailed` when a point was never reached, `WorkerLost` when the worker ended
    for another reason, `RemoteError` when a call raised.
    """
    if connection.in_process:
        import pytest

        pytest.skip("Nothing can be killed in this process: judge with a box")
    when.arm(connection)
    answers: list[Any] = []
    asked = 0
    deadline_s = None if when.after_s is None else time.monotonic() + when.after_s
    try:
        for arguments in calls:
            asked += 1
            if deadline_s is not None:
                connection.patience_s = max(0.0, deadline_s - time.monotonic())
            answers.append(connection.ask("call", function, arguments, {}, label=function._label))
    except WorkerLost as lost:
        late = deadline_s is not None and time.monotonic() >= deadline_s
        if (late and lost.outcome == "timeout") or (when.point and "SIGKILL" in lost.message):
            return Crash(answers, asked, finished=False)
        raise
    if when.point:
        raise CriterionFailed(f"{function._label} never reached {when.point}")
    return Crash(answers, asked, finished=True)
