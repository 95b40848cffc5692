"""The same cohort on a real Dask cluster, on loopback, with a worker killed in the midst."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from grader.cohort.errors import ClusterError
from grader.records.gradebook import Gradebook
from grader.report import lab_key, read_report
from tests.grader.cohort.test_kill import beside, reports
from tests.grader.cohort.toys import Cohort

pytestmark = pytest.mark.usefixtures("walls")
pytest.importorskip("distributed", reason="no Dask here: pip install 'meridian-academy[cluster]'")

DEADLINE_S = 120


class Dask:
    """A scheduler and workers, each a process, in a folder that holds nothing of the cohort."""

    def __init__(self, folder: Path) -> None:
        course = Cohort(folder)
        self.folder = folder
        self.lab, self.suite = course.lab, course.suite
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self.start(
            "dask_scheduler",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--no-dashboard",
            "--scheduler-file",
            self.file,
        )
        self.address = self.known()["address"]

    @property
    def file(self) -> str:
        return str(self.folder / "scheduler.json")

    def start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{what}", *arguments],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Elsewhere: what one that is killed leaves there is that machine's to sweep.
            env={**os.environ, "MERIDIAN_LAB": str(self.lab), "TMPDIR": str(self.folder)},
        )

    def known(self) -> Any:
        return wait_for(lambda: json.loads(Path(self.file).read_text()))

    def add_worker(self, *more: str) -> None:
        """A worker of one thread, without the nanny that would start another in its place."""
        self.workers.append(
            self.start(
                "dask_worker",
                self.address,
                "--no-nanny",
                "--nthreads",
                "1",
                "--no-dashboard",
                "--local-directory",
                str(self.folder),
                *more,
            )
        )

    def wait_for_workers(self, count: int) -> None:
        from distributed import Client

        with Client(self.address, timeout=DEADLINE_S, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=DEADLINE_S)

    def close(self) -> None:
        for process in (*self.workers, self.scheduler):
            if process.poll() is None:
                children = psutil.Process(process.pid).children(recursive=True)
                process.kill()
                for child in children:
                    with suppress(psutil.NoSuchProcess):  # boxes end with their process
                        child.kill()
            process.wait()


def wait_for(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return look()
        except (OSError, ValueError):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def dask(cohort: Cohort) -> Iterator[Dask]:
    """A scheduler; its workers have the course in a lab of their own, without the cohort's key."""
    folder = cohort.folder / "elsewhere"
    folder.mkdir()
    made = Dask(folder)
    yield made
    made.close()


def test_a_worker_is_killed_and_every_submission_is_graded_once(cohort: Cohort, dask: Dask) -> None:
    deserved = cohort.add_kinds(8)
    local = beside_with_key(cohort)
    local.run(workers=1)
    dask.add_worker()
    dask.add_worker()
    dask.wait_for_workers(2)
    killed: list[int] = []

    def on_event(event: dict[str, Any]) -> None:
        cohort.hear(event)
        if event["event"] == "progress" and event["running"] == 2 and not killed:
            dask.workers[0].kill()
            killed.append(dask.workers[0].pid)

    summary = cohort.run(scheduler=dask.address, workers=None, on_event=on_event)
    assert killed
    assert [(row.learner, row.score, row.outcome) for row in summary.submissions] == [
        (learner, kind.score, kind.outcome) for learner, kind in sorted(deserved.items())
    ]
    assert not [e for e in cohort.events if e["event"] == "trouble"], "Dask gave it to another"
    assert reports(cohort.out) == reports(local.out), "what a local run says"
    with Gradebook(cohort.lab / ".meridian" / "gradebook.sqlite") as book:
        assert sorted(entry.learner for entry in book.attempts()) == sorted(deserved)
    key = lab_key(cohort.lab / ".meridian")
    assert all(read_report(path).verify(key) for path in cohort.out.rglob("report.json"))
    assert not (dask.lab / ".meridian").exists(), "nothing of the cohort was left there"
    again = cohort.run(scheduler=dask.address)
    assert again.cached == 8


def beside_with_key(cohort: Cohort) -> Cohort:
    lab_key(cohort.lab / ".meridian")
    return beside(cohort, "local")


def test_a_scheduler_that_ends_stops_the_run_and_it_goes_on(cohort: Cohort, dask: Dask) -> None:
    cohort.add_kinds(4)
    dask.add_worker()
    dask.wait_for_workers(1)

    def on_event(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["running"]:
            dask.close()

    with pytest.raises(Exception, match=r"scheduler .* is gone"):
        cohort.run(scheduler=dask.address, on_event=on_event)
    summary = cohort.run(workers=1)
    assert [row.state for row in summary.submissions] == ["done"] * 4


def test_a_worker_with_another_grader_judges_nothing(cohort: Cohort, dask: Dask) -> None:
    cohort.add("ann")
    dask.suite.write_text(dask.suite.read_text() + "\n# easier\n")
    dask.add_worker()
    dask.wait_for_workers(1)
    with pytest.raises(Exception, match="differs from the coordinator in grader"):
        cohort.run(scheduler=dask.address)
    with Gradebook(cohort.lab / ".meridian" / "gradebook.sqlite") as book:
        assert book.attempts() == []


def test_a_cluster_without_workers(cohort: Cohort, dask: Dask) -> None:
    cohort.add("ann")
    with pytest.raises(ClusterError, match=r"has no workers.*dask worker"):
        cohort.run(scheduler=dask.address)


def test_no_scheduler(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grader.cohort.cluster.CONNECT_S", 1)
    cohort.add("ann")
    with pytest.raises(ClusterError, match="No Dask scheduler answers"):
        cohort.run(scheduler="tcp://127.0.0.1:1")


@pytest.mark.parametrize("address", ["foo", "not an address", "tcp://", "tcp://host", "udp://h:1"])
def test_no_address(cohort: Cohort, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said before Dask is asked, whose client cannot be ended then."""
    import distributed

    monkeypatch.setattr(distributed, "Client", lambda *_, **__: pytest.fail("asked Dask"))
    cohort.add("ann")
    with pytest.raises(ClusterError, match=r"is no address .* like tcp://10\.0\.0\.5:8786"):
        cohort.run(scheduler=address)


def test_dask_is_not_installed(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    cohort.add("ann")
    with pytest.raises(ClusterError, match=r"pip install 'meridian-academy\[cluster\]'"):
        cohort.run(scheduler="tcp://127.0.0.1:1")
