"""What is known about one test, and in which words a learner is told what ended it."""

from __future__ import annotations

import errno

import msgspec
import pytest

from grader.errors import RemoteError, WorkerLost, WrongType
from grader.judging.compare import CriterionFailed
from grader.judging.properties import Smallest
from grader.report import Outcome
from meridian.academy.outcomes import NOT_WRITTEN

__all__ = ["Verdict", "explain", "sentence"]

_EFBIG = 27


class Verdict(msgspec.Struct):
    """One test. Until it has run it has failed."""

    criterion: str
    points: float
    category: str
    outcome: Outcome = "failed"
    message: str = "No verdict was reached"
    said: str = ""
    """The message without the category: what went wrong, which several tests may have met."""
    counterexample: str = ""
    replay: str = ""
    because: str = ""
    """The failure elsewhere that makes this test meaningless: it is not run, and nothing is said
    of it but that."""
    duration_s: float = 0
    reached: bool = False
    detail: str = ""
    """The suite's own words, for its author alone."""


def explain(error: BaseException) -> tuple[Outcome, str, str]:
    """Outcome, message and counterexample for what ended a test.

    Only text that was written for the learner, or that the submission itself raised, comes
    through: never the suite's own assertions.
    """
    if isinstance(error, Smallest):
        outcome, message, counterexample = explain(error.error)
        return outcome, message, error.counterexample or counterexample
    if isinstance(error, CriterionFailed):
        return "failed", error.message, error.counterexample
    if isinstance(error, WorkerLost):
        return error.outcome, error.message, ""  # type: ignore[return-value]
    if isinstance(error, RemoteError):
        return _explain_remote(error)
    if isinstance(error, WrongType):
        return "failed", str(error), ""
    if isinstance(error, pytest.skip.Exception):
        return "not_run", str(error), ""
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    return "failed", "", ""


def _explain_remote(error: RemoteError) -> tuple[Outcome, str, str]:
    where = f" ({error.where})" if error.where else ""
    if error.is_a("NotImplementedError"):
        return "failed", f"{NOT_WRITTEN}{where}: {' '.join(error.message.split())}", ""
    if error.is_a("MemoryError"):
        return "memory", f"{error.call} ran out of memory{where}", ""
    if error.is_a("OSError") and error.fields.get("errno") == _EFBIG:
        return "output", f"{error.call} wrote a file beyond the size limit{where}", ""
    if error.is_a("BlockingIOError") and error.fields.get("errno") == errno.EAGAIN:
        said = "when it started a process, the limit of processes and threads is reached"
        return "error", f"{error}{where}; {said}", ""
    if error.is_a("RuntimeError") and "can't start new thread" in error.message:
        return "error", f"{error}{where}: the limit of processes and threads is reached", ""
    return "error", f"{error}{where}", ""


def sentence(category: str, said: str) -> str:
    """The category and what was said, as one line of prose."""
    return ". ".join(part.rstrip(".") for part in (category, said) if part)
