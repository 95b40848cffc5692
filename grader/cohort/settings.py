"""What a run is told, and what it refuses before anything is queued."""

from __future__ import annotations

from pathlib import Path

import msgspec

from grader.box import BoxUnavailable, detect, open_box
from grader.cohort.discover import ATTEMPTS
from grader.cohort.queue import LEASE_S
from grader.limits import Limits
from grader.report import Mode

__all__ = ["Settings", "permitted_tier"]

JOBS_PER_WORKER = 200
"""How many jobs a worker does before a fresh one takes its place."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What to grade and how; see `grader.cohort.run`."""

    submissions: Path
    capstone: str
    out: Path
    mode: Mode = "submit"
    workers: int = 1
    attempts: int = ATTEMPTS
    only_changed: bool = False
    trusted: bool = False
    box: str = "auto"
    queue: Path | None = None
    scheduler: str = ""
    limits: Limits = Limits()
    lease_s: float = LEASE_S
    jobs_per_worker: int = JOBS_PER_WORKER


def permitted_tier(settings: Settings) -> str:
    """The tier of the box: every job names it."""
    if settings.box == "none":
        if not settings.trusted:
            raise ValueError("Only trusted code may run without a box")
        return "none"
    tier = open_box(settings.box).tier
    if tier == "rlimits" and not settings.trusted:
        best = detect()
        raise BoxUnavailable(
            "landlock", best.reason or "rlimits was asked for", best.fix or "Ask for bwrap."
        )
    return tier
