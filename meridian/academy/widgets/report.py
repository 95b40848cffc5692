"""What a person reads of the grader's report, from a file, a mapping or the record itself."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from meridian.academy.outcomes import shown_outcome
from meridian.errors import MeridianError

__all__ = [
    "Cell",
    "CriterionVerdict",
    "NotebookVerdict",
    "RaceVerdict",
    "Verdict",
    "VerdictError",
    "load_verdict",
]


class VerdictError(MeridianError, ValueError):
    """What was given is not a report of the grader."""

    def __init__(self, what: str, reason: str) -> None:
        self.what = what
        self.reason = reason
        super().__init__(f"{what} is not a report of the grader: {reason}")


class CriterionVerdict(msgspec.Struct, frozen=True):
    id: str
    title: str
    points: float
    score: float
    outcome: str
    message: str = ""
    counterexample: str = ""
    replay: str = ""
    duration_s: float = 0

    @property
    def shown(self) -> str:
        """The outcome as a person reads it: ``"not_written"`` is none of the grader's own."""
        return shown_outcome(self.outcome, self.message)


class Cell(msgspec.Struct, frozen=True):
    id: str
    outcome: str
    message: str = ""
    repair: str = ""


class NotebookVerdict(msgspec.Struct, frozen=True):
    outcome: str = "not_run"
    cells: tuple[Cell, ...] = ()


class RaceVerdict(msgspec.Struct, frozen=True):
    name: str
    peer: str
    ratio: float | None = None
    spread: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    growth: float | None = None
    growth_low: float | None = None
    growth_high: float | None = None
    memory: float | None = None
    note: str = ""
    plot: str = ""


class Verdict(msgspec.Struct, frozen=True):
    """The part of a report that a person reads; unknown fields are left alone."""

    capstone: str
    score: float
    max_score: float
    bonus: float
    passed: bool
    box: str
    seed: str
    submission_sha256: str
    criteria: tuple[CriterionVerdict, ...]
    notebook: NotebookVerdict = NotebookVerdict()
    benchmarks: tuple[RaceVerdict, ...] = ()
    environment: dict[str, Any] = {}
    judged: bool = True
    started_at: str = ""
    duration_s: float = 0

    @property
    def mode(self) -> str:
        """``submit``, ``check`` or ``bench``: what was judged."""
        return str(self.environment.get("mode", "submit"))


def load_verdict(report: Any) -> tuple[Verdict, Path | None]:
    """The verdict in `report`, and the folder it lies in if it came from a file.

    `report` is a path to ``report.json`` or to its folder, a mapping, or the grader's record.
    Raises `VerdictError`, or `OSError` for a file that cannot be read.
    """
    folder: Path | None = None
    if isinstance(report, str | os.PathLike):
        path = Path(report)
        path = path / "report.json" if path.is_dir() else path
        folder = path.parent
        try:
            return msgspec.json.decode(path.read_bytes(), type=Verdict), folder
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VerdictError(str(path), str(error)) from None
    plain = report if isinstance(report, Mapping) else _builtins(report)
    try:
        return msgspec.convert(plain, Verdict), folder
    except msgspec.ValidationError as error:
        raise VerdictError(f"A {type(report).__name__}", str(error)) from None


def _builtins(report: Any) -> Any:
    try:
        return msgspec.to_builtins(report)
    except (TypeError, ValueError) as error:
        raise VerdictError(f"A {type(report).__name__}", str(error)) from None
