"""Boxes in reserve: one submission each, refilled behind one's back, gone in the end."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.box import BoxUnavailable
from grader.box.pool import BoxPool, PoolClosed, Shape
from grader.limits import Limits
from tests.grader.conftest import TIGHT, box_processes


@pytest.fixture
def pool(toy: Any) -> Iterator[BoxPool]:
    """Closed before `toy` looks whether a box or a file is left."""
    assert toy.out
    with BoxPool(2) as made:
        yield made


def test_a_box_serves_one_submission_and_the_next_is_ready(walls: str, pool: BoxPool) -> None:
    shape = Shape(tier=walls, limits=TIGHT)
    assert pool.warm(shape) == 2
    folders = []
    for _ in range(3):
        with pool.take(shape) as lease:
            assert list(lease.code.iterdir()) == []
            assert lease.boxes.alive
            folders.append(lease.work)
        assert pool.warm(shape) == 2
        assert not lease.work.exists()
        assert not lease.boxes.alive
        lease.close()
    assert len(set(folders)) == 3


def test_beside_a_job_boxes_are_started_for_the_next_one_only(walls: str, pool: BoxPool) -> None:
    shape = Shape(tier=walls, limits=TIGHT)
    pool.warm(shape)
    with pool.take(shape):
        assert not pool._wanting(), "one is left, and the job has the machine"
        with pool.take(shape):
            assert pool._ready or pool._wanting(), "none is left"
    assert pool.warm(shape) == 2


def test_jobs_from_the_pool_judge_as_others_do(
    walls: str, pool: BoxPool, toy: Any, tmp_path: Path
) -> None:
    submission = toy.submission()
    without = toy.judge(submission=submission, mode="check", box=walls)
    reports = [
        toy.judge(submission=submission, mode="check", box=walls, pool=pool, out=tmp_path / str(i))
        for i in range(3)
    ]
    for report in (without, *reports):
        assert (report.score, report.box) == (100, walls)
        assert report.submission_sha256 == without.submission_sha256
    assert pool.warm(pool._shape or pytest.fail("no shape")) == 2  # boxes in use are gone


def test_one_submission_sees_nothing_of_another(walls: str, pool: BoxPool, toy: Any) -> None:
    source = """
from .honest import *
import os

def add(a, b):
    for folder in ("/tmp", "/dev/shm", os.getcwd(), os.path.dirname(os.getcwd())):
        try:
            if "trace" in os.listdir(folder):
                return 0
            open(f"{folder}/trace", "w").write("x")
        except OSError:
            pass
    return a + b
"""
    suite = toy.suite_of(
        "@pytest.mark.criterion('1', points=100)\n"
        "def test_add(submission):\n    '''Adds.'''\n    expect(submission.add(1, 2), 3)\n"
    )
    submission = toy.submission(source)
    only = toy.capstone.__class__(
        title="Toy",
        package="toy",
        allowed_imports=toy.capstone.allowed_imports,
        criteria=(type(toy.capstone.criteria[0])(id="1", title="Adding", points=100),),
    )
    for _ in range(3):
        report = toy.judge(
            submission=submission, mode="check", box=walls, pool=pool, suite=suite, definition=only
        )
        assert report.score == 100, report.criteria[0].message


def test_another_shape_replaces_the_reserve(walls: str, pool: BoxPool) -> None:
    one = Shape(tier=walls, limits=TIGHT)
    two = Shape(tier=walls, limits=Limits(processes=17))
    assert pool.warm(one) == 2
    assert pool.warm(two) == 2
    assert len(list(pool._folder.glob("box-*"))) == 2
    with pool.take(one) as lease:
        assert lease.boxes.alive


def test_a_box_that_died_in_reserve_is_not_given_out(walls: str, pool: BoxPool) -> None:
    shape = Shape(tier=walls, limits=TIGHT)
    pool.warm(shape)
    for lease in pool._ready:
        for server in lease.boxes._servers:
            assert server is not None
            os.kill(server._process.pid, 9)
            server._process.wait(30)
    with pool.take(shape) as lease:
        assert lease.boxes.alive


def test_trouble_is_told_to_who_asks(pool: BoxPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(tier: str) -> Any:
        raise BoxUnavailable(tier, "no box", "Mend it.")

    monkeypatch.setattr("grader.box.pool.open_box", refuse)
    shape = Shape(tier="bwrap", limits=TIGHT)
    assert pool.warm(shape) == 0
    with pytest.raises(BoxUnavailable, match="Mend it"), pool.take(shape):
        pytest.fail("a box of nothing")
    assert pool._lent == 0, "what failed is not in use"


def test_closing(walls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pool = BoxPool(1)
    with pool.take(Shape(tier=walls, limits=TIGHT)) as lease:
        pool.close()
        pool.close()
        assert lease.boxes.alive  # what was taken is its taker's
    assert not lease.boxes.alive
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PoolClosed), pool.take(Shape(tier=walls, limits=TIGHT)):
        pytest.fail("a box of a closed pool")
    with pytest.raises(PoolClosed):
        pool.warm(Shape(tier=walls, limits=TIGHT))
    assert box_processes() == []
    assert not [thread for thread in threading.enumerate() if thread.name == "box pool"]
    for size in (0, -1, 65, "2", None):
        with pytest.raises(ValueError, match="1 to 64"):
            BoxPool(size)  # type: ignore[arg-type]
