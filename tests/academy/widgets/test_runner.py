"""A job runs beside the caller: its events, its end, its failures, and how it is stopped."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meridian.academy.widgets.runner import Job

END_S = 30.0
Run = Callable[..., Job]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Start a Python program as a job; ``say(**event)`` is there for it."""

    def start(source: str, *arguments: str) -> Job:
        program = tmp_path / "program.py"
        program.write_text(
            "import json, os, signal, sys\n"
            "def say(**event): print(json.dumps(event), flush=True)\n" + textwrap.dedent(source)
        )
        return Job(arguments, tmp_path, command=(sys.executable, str(program)))

    return start


def ended(job: Job) -> Job:
    assert job.wait(END_S), "the job should have ended"
    return job


def test_events_arrive_in_order_and_the_report_is_named(run: Run, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    seen: list[tuple[str, Any]] = []
    job = run(
        """
        open("gate").read()
        for n in range(3): say(event="stage", stage="acceptance", done=n, total=3, message="m")
        say(event="report", path="/there/report.json")
        """
    )
    job.listen(lambda j: seen.append((j.state, j.event.get("done"))))
    gate.write_text("go")
    ended(job)
    assert seen == [("running", None), ("running", 0), ("running", 1), ("running", 2), ("done", 2)]
    assert job.report == Path("/there/report.json")


def test_a_criterion_that_failed_is_a_report_and_no_failure(run: Run) -> None:
    job = ended(run('say(event="report", path="r.json"); sys.exit(1)'))
    assert (job.state, job.report) == ("done", Path("r.json"))


def test_a_command_that_fails_says_why(run: Run) -> None:
    job = ended(run('sys.exit("database/01-storage unlocks with <quizzes>")'))
    assert (job.state, job.said) == ("failed", "database/01-storage unlocks with <quizzes>")


def test_a_command_that_dies_silently_is_named_by_its_status(run: Run) -> None:
    job = ended(run("os._exit(3)"))
    assert job.state == "failed"
    assert "status 3" in job.said


def test_a_killed_command_is_a_failure(run: Run) -> None:
    job = ended(run("os.kill(os.getpid(), signal.SIGKILL)"))
    assert job.state == "failed"
    assert "-9" in job.said


def test_plain_lines_are_what_the_command_said(run: Run) -> None:
    job = ended(run('print("Your version is kept"); print("in the attic")'))
    assert (job.state, job.said) == ("done", "Your version is kept\nin the attic")


def test_broken_lines_do_not_stop_the_reading(run: Run) -> None:
    job = ended(
        run(
            r"""
            sys.stdout.buffer.write(b'\xff\xfe{"event"\n[1]\n"text"\n{}\n{"event": "report"}\n')
            sys.stdout.flush()
            say(event="report", path="r.json")
            """
        )
    )
    assert job.report == Path("r.json")


def test_endless_complaints_are_kept_short(run: Run) -> None:
    job = ended(run("sys.stderr.write('x' * 1_000_000 + ' the end'); sys.exit(1)"))
    assert len(job.said) <= 4_000
    assert job.said.endswith("the end")


def test_cancel_lets_the_command_clean_up(run: Run, tmp_path: Path) -> None:
    job = run(
        """
        from pathlib import Path
        try:
            say(event="stage", stage="acceptance", done=0, total=1, message="")
            signal.pause()
        except KeyboardInterrupt:
            Path("cleaned").touch()
        """
    )
    _wait_for_stage(job)
    job.cancel()
    job.cancel()
    ended(job)
    assert job.state == "cancelled"
    assert (tmp_path / "cleaned").exists()


def test_cancel_after_the_end_changes_nothing(run: Run) -> None:
    job = ended(run("pass"))
    job.cancel()
    assert job.state == "done"


def test_a_command_that_ignores_the_request_is_killed_with_its_children(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meridian.academy.widgets.runner.CANCEL_GRACE_S", 0.0)
    job = run(
        """
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if os.fork() == 0:
            signal.pause()
        say(event="stage", stage="acceptance", done=0, total=1, message="")
        signal.pause()
        """
    )
    _wait_for_stage(job)
    job.cancel()
    # The child holds the pipe: the end comes only when it is gone as well.
    assert ended(job).state == "cancelled"


def test_an_ignored_interrupt_of_the_kernel_is_not_inherited(run: Run) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = run("print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended(job).said == "True"


def test_a_listener_that_left_is_not_called(run: Run) -> None:
    calls: list[str] = []
    job = ended(run("pass"))

    def listener(job: Job) -> None:
        calls.append(job.state)

    job.listen(listener)
    job.forget(listener)
    job.forget(listener)
    assert calls == ["done"]


def test_the_lab_and_a_plain_plotting_backend_are_passed_on(run: Run, tmp_path: Path) -> None:
    job = ended(run('print(os.environ["MERIDIAN_LAB"], os.environ["MPLBACKEND"], os.getcwd())'))
    assert job.said == f"{tmp_path} agg {tmp_path}"


def test_a_command_that_does_not_exist_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such"):
        Job(["check"], tmp_path, command=(str(tmp_path / "no-such"),))


def _wait_for_stage(job: Job) -> None:
    begun = threading.Event()
    job.listen(lambda j: begun.set() if j.event else None)
    assert begun.wait(END_S)
