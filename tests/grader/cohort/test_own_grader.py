"""A worker that cannot be the grader it should be says so at once: that is no learner's trouble."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.cohort.environment import environment
from grader.cohort.errors import OtherGrader
from grader.cohort.task import Task, judge
from grader.intake.collect import collect
from grader.limits import Limits
from grader.records.store import SubmissionStore
from tests.grader.cohort.toys import KEY, Cohort


@pytest.fixture
def judged(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Judges one submission with a grader that raises `error`, once `meanwhile` has happened."""
    collected = collect(cohort.add("ann"), cohort.folder / "code", "toy")
    packed = SubmissionStore(cohort.folder / "store").add(cohort.folder / "code", collected)
    task = Task(
        capstone=KEY,
        mode="submit",
        lane="judge",
        learner="ann",
        attempt=1,
        seed="5eed",
        box="bwrap",
        trusted=False,
        limits=Limits(),
        environment=environment(KEY),
        submission_sha256=collected.sha256,
    )
    monkeypatch.setattr("grader.cohort.task._own", lambda _: task.environment)

    def run(error: Exception, meanwhile: Any = lambda: None) -> None:
        def broken(_: object) -> None:
            meanwhile()
            raise error

        monkeypatch.setattr("grader.cohort.task.run_one", broken)
        judge(task, Path(packed).read_bytes(), b"secret")

    return run


def test_a_grader_that_cannot_be_loaded(judged: Any) -> None:
    with pytest.raises(OtherGrader, match=r"what it can load \(No module named 'grader.new'\)"):
        judged(ModuleNotFoundError("No module named 'grader.new'"))


def test_a_grader_that_was_changed_meanwhile(cohort: Cohort, judged: Any) -> None:
    def edit() -> None:
        cohort.suite.write_text(cohort.suite.read_text() + "\n# edited\n")

    with pytest.raises(OtherGrader, match="differs from the coordinator in grader"):
        judged(AttributeError("module 'grader.job' has no attribute 'new'"), edit)


def test_a_flaw_that_one_submission_brings_out_is_that_jobs_alone(judged: Any) -> None:
    with pytest.raises(AttributeError, match="no attribute"):
        judged(AttributeError("'NoneType' object has no attribute 'x'"))
