"""Runs that are killed for real, at any point, come to what an undisturbed run comes to."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from grader.cohort.coordinator import Settings, grade
from grader.cohort.queue import Queue
from grader.records.gradebook import Gradebook
from grader.report import read_report
from tests.grader.cohort.toys import KEY, Cohort

pytestmark = pytest.mark.usefixtures("walls")

DEADLINE_S = 240
TIMES = ("started_at", "duration_s", "signature")


def reports(out: Path) -> dict[str, Any]:
    """Every report by learner and attempt, without what tells the time."""
    found = {}
    for path in sorted((out / "reports").rglob("report.json")):
        plain = msgspec.to_builtins(read_report(path))
        for part in (plain, *plain["criteria"], *plain["notebook"]["cells"]):
            for name in TIMES:
                part.pop(name, None)
        found[path.parent.relative_to(out).as_posix()] = plain
    return found


def beside(cohort: Cohort, name: str) -> Cohort:
    """Another lab with the same key, suite and submissions: its verdicts must be the same."""
    (cohort.folder / name).mkdir()
    other = Cohort(cohort.folder / name)
    shutil.rmtree(other.submissions)
    shutil.copytree(cohort.submissions, other.submissions)
    (other.lab / ".meridian").mkdir()
    shutil.copyfile(cohort.lab / ".meridian" / "key", other.lab / ".meridian" / "key")
    return other


class Command:
    """`grader cohort run` as a process of its own, heard line by line."""

    def __init__(self, cohort: Cohort, *more: str) -> None:
        arguments = ["cohort", "run", str(cohort.submissions), "--capstone", KEY, "--events"]
        arguments += ["--out", str(cohort.out), *more]
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from grader.cli import main; main()", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "MERIDIAN_LAB": str(cohort.lab)},
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout

    def event(self) -> dict[str, Any] | None:
        """The next event, ``None`` at the end."""
        line = self.pipe.readline()
        return json.loads(line) if line.endswith(b"\n") else None

    def until(self, event: str, **fields: Any) -> dict[str, Any]:
        while (heard := self.event()) is not None:
            if heard["event"] == event and fields.items() <= heard.items():
                return heard
        raise AssertionError(f"ended without {event} {fields}: {self.end()}")

    def listen(self, seconds: float) -> None:
        """Swallow what is said for a while; a point in time, not a point in the program."""
        if select.select([self.pipe], [], [], seconds)[0]:
            self.pipe.readline()

    def workers(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.process.pid).children()
        return []

    def kill(self) -> None:
        """SIGKILL, and wait for its workers, which notice by themselves."""
        workers = self.workers()
        self.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=60)
        assert not alive, "workers end when their coordinator is gone"
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, errors.decode()


@pytest.fixture
def undisturbed(cohort: Cohort) -> dict[str, Any]:
    cohort.add_kinds(8)
    cohort.run(workers=2)
    return reports(cohort.out)


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_point(cohort: Cohort, undisturbed: dict[str, Any], seed: int) -> None:
    """Coordinator and workers in turn, four times; then the run goes on to its end."""
    rng = random.Random(seed)
    other = beside(cohort, "killed")
    for victim in ("coordinator", "worker", "coordinator", "worker", "coordinator"):
        command = Command(other, "--workers", "2")
        for _ in range(rng.randrange(2, 14)):
            if command.event() is None:
                break
        command.listen(rng.random() / 2)
        if victim == "worker" and (workers := command.workers()):
            with contextlib.suppress(psutil.NoSuchProcess):
                rng.choice(workers).kill()
            command.listen(rng.random())
        command.kill()
    last = Command(other, "--workers", "2")
    status, errors = last.end()
    assert status == 0, errors
    assert reports(other.out) == undisturbed
    with Gradebook(other.lab / ".meridian" / "gradebook.sqlite") as book:
        entered = [(entry.learner, entry.attempt) for entry in book.attempts()]
    assert sorted(entered) == sorted((r["environment"]["learner"], 1) for r in undisturbed.values())
    kept = other.lab / ".meridian" / "cohort"
    left = [*other.out.rglob(".*"), *kept.rglob(".*")]
    assert left == [], "nothing half written is left"


def test_workers_that_are_killed_are_replaced(cohort: Cohort, undisturbed: dict[str, Any]) -> None:
    """Each of the first three jobs loses its worker; the run does not even stop."""
    other = beside(cohort, "killed")
    command = Command(other, "--workers", "1")
    for _ in range(3):
        command.until("progress", running=1)
        for worker in command.workers():
            worker.kill()
        command.until("trouble", reason="its worker was killed by signal 9")
    assert command.end()[0] == 0
    assert reports(other.out) == undisturbed


def test_a_job_that_kills_its_workers_needs_a_person(cohort: Cohort) -> None:
    cohort.add("ann")
    command = Command(cohort, "--workers", "1")
    for tries in (1, 2, 3):
        command.until("progress", running=1)
        for worker in command.workers():
            worker.kill()
        command.until("trouble", tries=tries)
    assert command.end()[0] == 1
    (row,) = json.loads((cohort.out / "cohort.json").read_text())["submissions"]
    assert (row["state"], row["note"]) == ("person", "its worker was killed by signal 9")
    again = Command(cohort, "--workers", "1")
    assert again.end()[0] == 0, "asking again tries again"


def test_a_worker_that_stands_still_loses_its_job(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort.add("ann")
    stopped: list[int] = []

    def on_event(event: dict[str, Any]) -> None:
        cohort.hear(event)
        if event["event"] == "progress" and event["running"] and not stopped:
            for child in psutil.Process().children():
                if "grader.cohort.worker" in child.cmdline():
                    child.suspend()
                    stopped.append(child.pid)

    cohort.events = []
    settings = Settings(
        submissions=cohort.submissions, capstone=KEY, out=cohort.out, workers=1, lease_s=4
    )
    summary = grade(settings, on_event)
    assert stopped
    assert [e["reason"] for e in cohort.events if e["event"] == "trouble"] == [
        "its worker stood still"
    ]
    assert summary.passed == 1
    assert not any(map(psutil.pid_exists, stopped))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_returns_its_leases(
    cohort: Cohort, undisturbed: dict[str, Any], number: signal.Signals
) -> None:
    other = beside(cohort, "stopped")
    command = Command(other, "--workers", "2")
    command.until("progress", running=2)
    command.process.send_signal(number)
    status, errors = command.end()
    assert status == 130
    assert "the same command goes on" in errors
    with Queue(other.queue, "none", capstone=KEY, mode="submit") as queue:
        states = queue._db.execute("SELECT state, tries FROM jobs").fetchall()
    assert {state for state, _ in states} <= {"waiting", "judged", "done"}
    assert {tries for _, tries in states} == {0}, "nobody is blamed"
    assert Command(other, "--workers", "2").end()[0] == 0
    assert reports(other.out) == undisturbed


def test_workers_that_cannot_even_start_end_the_run(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort.add("ann")
    broken = cohort.folder / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text("import os\nos._exit(9)\n")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with pytest.raises(Exception, match=r"no worker stays alive: .*status 9"):
        cohort.run()
