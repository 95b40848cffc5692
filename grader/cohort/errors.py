"""What can go wrong with a cohort, as opposed to with one submission in it."""

from __future__ import annotations

from pathlib import Path

from meridian.errors import MeridianError

__all__ = [
    "BrokenSeal",
    "ClusterError",
    "CohortBusy",
    "CohortStopped",
    "OtherGrader",
    "QueueError",
    "WorkersKilled",
]


class QueueError(MeridianError, ValueError):
    """The queue's file is none, or lies where SQLite's locks do not hold."""

    def __init__(self, path: Path, reason: str, fix: str) -> None:
        self.path = path
        self.reason = reason
        self.fix = fix
        super().__init__(f"{path}: {reason}. {fix}")


class CohortBusy(MeridianError, RuntimeError):
    """Another run works on this queue."""

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        super().__init__(
            f"Another cohort run ({owner or 'unknown'}) works on {path}: wait for it or end it"
        )


class CohortStopped(MeridianError, RuntimeError):
    """The run ended early; what was graded by then is kept."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"The run stopped: {reason}. The same command goes on from here")


class BrokenSeal(MeridianError, ValueError):
    """A result is not the one that a worker sealed for this job."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Not the result of this job: {reason}")


class OtherGrader(MeridianError, RuntimeError):
    """A worker would judge by other rules than the coordinator: nothing it says would count."""

    def __init__(self, differs: tuple[str, ...]) -> None:
        self.differs = differs
        super().__init__(
            f"A worker differs from the coordinator in {', '.join(differs)}: "
            "install the same version of Meridian and of its dependencies there, and change "
            "nothing of the course during a run"
        )


class ClusterError(MeridianError, ConnectionError):
    """The Dask cluster cannot do what is asked of it."""

    def __init__(self, reason: str, fix: str) -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"{reason}. {fix}")


class WorkersKilled(MeridianError, RuntimeError):
    """Every worker that took this job was killed while it had it."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        super().__init__(f"{workers} workers were killed while they judged it")
