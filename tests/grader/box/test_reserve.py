"""A process that gets one job after another keeps a box ready, and leaves none behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.box.pool import BoxPool, Shape
from grader.box.reserve import Reserve
from tests.grader.conftest import TIGHT, Toy, box_processes, processes_with
from tests.grader.waiting import until


@pytest.fixture
def reserve(toy: Toy) -> Iterator[Reserve]:
    """Closed before `toy` looks whether a box or a file is left."""
    assert toy.out
    made = Reserve()
    yield made
    made.close()


def test_jobs_share_a_pool_and_a_race_has_none(walls: str, reserve: Reserve) -> None:
    shape = Shape(tier=walls, limits=TIGHT)
    with reserve.lent() as first:
        assert isinstance(first, BoxPool)
        assert first.warm(shape) == 1
    with reserve.lent() as second:
        assert second is first
    assert box_processes()
    with reserve.lent(racing=True) as nothing:
        assert nothing is None
        assert box_processes() == []
    with reserve.lent() as third:
        assert third is not first
    reserve.close()
    reserve.close()


def test_what_nobody_asks_for_ends(walls: str, toy: Toy) -> None:
    assert toy.out
    reserve = Reserve(idle_s=0)
    with reserve.lent() as pool:
        assert pool is not None
        pool.warm(Shape(tier=walls, limits=TIGHT))
    assert until(lambda: reserve._pool is None)
    reserve.close()  # waits for the end of what is under way
    assert box_processes() == []


def test_one_job_at_a_time_has_it(reserve: Reserve) -> None:
    order: list[str] = []

    def other() -> None:
        with reserve.lent():
            order.append("other")

    with reserve.lent():
        waiting = threading.Thread(target=other)
        waiting.start()
        waiting.join(0.05)
        order.append("first")
    waiting.join(60)
    assert order == ["first", "other"]


PROCESS = """
import multiprocessing, os, sys
from grader.box.pool import Shape
from grader.box.reserve import RESERVE
from grader.limits import Limits

def job(pipe):
    with RESERVE.lent() as pool:
        pool.warm(Shape(tier=sys.argv[1], limits=Limits()))
    pipe.send(os.getpid())
    pipe.recv()

if __name__ == "__main__":
    here, there = multiprocessing.Pipe()
    if sys.argv[2] == "child":
        child = multiprocessing.get_context("spawn").Process(target=job, args=(there,))
        child.start()
        there.close()
        print(here.recv(), flush=True)
        sys.stdin.readline()
        here.send(None)
        child.join()
    else:
        here.send(None)
        job(there)
        print(here.recv(), flush=True)
        sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["leaves", "is killed"])
@pytest.mark.parametrize("process", ["main", "child"])
def test_boxes_end_with_their_process(walls: str, process: str, end: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PROCESS)
    root = Path(__file__).parents[3]
    (tmp_path / "tmp").mkdir(mode=0o755)
    running = subprocess.Popen(
        [sys.executable, str(script), walls, process],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root), "TMPDIR": str(tmp_path / "tmp")},
        cwd=root,
    )
    assert running.stdin is not None
    assert running.stdout is not None
    with running.stdin as words, running.stdout as answers:
        pid = int(answers.readline())
        boxes = f"MERIDIAN_BOX={pid}-"
        assert processes_with(boxes)
        if end == "leaves":
            words.write(b"go\n")
            words.flush()
            assert running.wait(120) == 0
            assert list((tmp_path / "tmp").iterdir()) == []
        else:
            os.kill(pid, signal.SIGKILL)
            words.write(b"go\n") if process == "child" else None
            words.close()
            running.wait(120)
    assert until(lambda: not processes_with(boxes))
