"""A submission made of one source text, judged in a box and in this process alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from grader.box import open_box
from grader.box.workers import Workshop, library_folders
from grader.limits import MIB, Limits
from grader.proxy.submission import Submission

Lab = Callable[..., Submission]

LIMITS = Limits(question_s=20, start_s=60, memory_bytes=2048 * MIB, job_s=240)


@pytest.fixture(params=["boxed", "in process"])
def where(request: pytest.FixtureRequest) -> str:
    """Both places where a submission is judged; a test may narrow it down."""
    return str(request.param)


@pytest.fixture
def lab_of(where: str, tmp_path: Path) -> Iterator[Lab]:
    """Makes a submission of a source text, and of `modules` beside it; ends all afterwards."""
    made: list[tuple[Submission, Workshop]] = []
    tmp_path.chmod(0o755)

    def make(
        source: str, *, limits: Limits = LIMITS, libraries: bool = False, **modules: str
    ) -> Submission:
        base = tmp_path / str(len(made))
        package = base / "code" / "lab"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(source)
        for name, text in modules.items():
            (package / f"{name}.py").write_text(text)
        work = base / "work"
        work.mkdir(mode=0o755)
        base.chmod(0o755)
        workshop = Workshop(
            base / "code",
            work,
            box=open_box("auto") if where == "boxed" else None,
            limits=limits,
            seed="seed",
            deadline=time.monotonic() + limits.job_s,
            extra=library_folders() if libraries else (),
        )
        made.append((Submission(workshop, "lab"), workshop))
        return made[-1][0]

    yield make
    for submission, workshop in made:
        submission.close()
        workshop.close()
    left = {entry.name for entry in tmp_path.glob("*/work/*")}
    assert left <= {"runtime"}
