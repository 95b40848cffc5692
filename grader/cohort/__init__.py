"""Grading a cohort: hundreds of submissions, several workers, and a run that survives a kill.

`run` is the whole of it for a program or a notebook; `grader cohort run` is the same as a command.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grader.cohort.summary import Summary
    from grader.limits import Limits
    from grader.report import Mode

__all__ = ["default_out", "run"]


def default_out(capstone: str, mode: Mode) -> Path:
    """Where results go when nobody says. Those of a check do not replace those that count."""
    return Path("graded", capstone, "check") if mode == "check" else Path("graded", capstone)


def run(
    submissions: Path | str,
    *,
    capstone: str,
    out: Path | str | None = None,
    mode: Mode = "submit",
    workers: int | None = None,
    attempts: int | None = None,
    only_changed: bool = False,
    trusted: bool = False,
    box: str = "auto",
    queue: Path | str | None = None,
    scheduler: str = "",
    limits: Limits | None = None,
    on_event: Callable[[dict[str, Any]], None] | None = None,
) -> Summary:
    """Grade every submission to `capstone` in the folder `submissions`.

    `out` (default: ``graded/<capstone>``, and there ``check`` in that mode) gets
    ``reports/<learner>/attempt-<n>/``, ``feedback/<learner>/feedback.html`` and ``cohort.json``.
    `mode` is ``"submit"``, which enters
    the gradebook, or ``"check"``. `workers` are processes (default: one for each core but one), or
    with a `scheduler` the jobs at work on that Dask cluster at once. `attempts` is how many of one
    learner are judged (default: 5), those with the highest numbers. `only_changed` leaves alone
    what is graded and unchanged. `on_event` is told of every step; without it a progress bar is
    drawn, in a terminal or a notebook.

    Interrupted or killed, the same call goes on where this one stopped. Raises `CohortBusy`,
    `CohortStopped`, `QueueError`, `BoxUnavailable`, `UnknownKey`, `NotAvailable`, `ClusterError`,
    `ValueError` for settings that make no sense, `OSError`.
    """
    from grader.cohort.coordinator import Settings, grade
    from grader.cohort.discover import ATTEMPTS
    from grader.cohort.progress import meter
    from grader.limits import Limits

    if mode not in ("submit", "check"):
        raise ValueError(f"Expected mode 'submit' or 'check', got {mode!r}")
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ValueError(f"Expected at least 1 worker, got {workers}")
    if attempts is not None and (isinstance(attempts, bool) or attempts < 1):
        raise ValueError(f"Expected at least 1 attempt, got {attempts}")
    settings = Settings(
        submissions=Path(submissions),
        capstone=capstone,
        out=default_out(capstone, mode) if out is None else Path(out),
        mode=mode,
        workers=_workers(workers, scheduler),
        attempts=attempts or ATTEMPTS,
        only_changed=only_changed,
        trusted=trusted,
        box=box,
        queue=None if queue is None else Path(queue),
        scheduler=scheduler,
        limits=limits or Limits(),
    )
    if on_event is not None:
        return grade(settings, on_event)
    with meter() as shown:
        return grade(settings, shown)


def _workers(asked: int | None, scheduler: str) -> int:
    """0 stands for as many as the cluster has."""
    import os

    if asked is not None:
        return asked
    return 0 if scheduler else max(1, (os.cpu_count() or 2) - 1)
