"""How the grader's outcomes read to a person: what was not begun is not broken.

A report has a fixed set of outcomes, and a stub that still stands has `failed` like any mistake.
The verdict card, the feedback page and the terminal ask here which of the two it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = [
    "NOT_JUDGED",
    "NOT_WRITTEN",
    "progress_sentence",
    "replay_id",
    "shown_outcome",
    "was_judged",
]

NOT_WRITTEN = "Not written yet"
"""How the grader tells of a NotImplementedError: after the category, one line for each test."""


NOT_JUDGED = "Not judged because"
"""How the grader tells of a test that was left out: it means nothing once another has failed."""


def shown_outcome(outcome: str, message: str) -> str:
    """`outcome`, or ``"not_written"`` where each failure that is told is a stub.

    One test that met code and failed is a failure, whatever else is missing. ``"blocked"`` is a
    criterion that another one's failure kept from being judged.
    """
    told = [line for line in message.splitlines() if not _is_count(line)]
    if outcome == "not_run" and any(_is_blocked(line) for line in told):
        return "blocked"
    if outcome != "failed":
        return outcome
    stubs = [line for line in told if not _is_blocked(line)]
    return "not_written" if stubs and all(_is_stub(line) for line in stubs) else outcome


def was_judged(outcome: str, message: str) -> bool:
    """Whether a criterion belongs to what was judged: one that is blocked does."""
    return outcome != "not_run" or shown_outcome(outcome, message) == "blocked"


def replay_id(seed: str, criterion: str) -> str:
    """The short name of a failure's replay: the same for a job that is repeated with its seed."""
    return hashlib.sha256(f"replay/{seed}/{criterion}".encode()).hexdigest()[:8]


def progress_sentence(verb: str, judged: Sequence[str], points: str) -> str:
    """How far a check or race got, of what `shown_outcome` says about each judged criterion."""
    total, missing, blocked = len(judged), judged.count("not_written"), judged.count("blocked")
    if missing and missing + blocked == total:
        return f"{verb}: 0 of {total} criteria written"
    rest = f"{missing} not written yet, " if missing else ""
    rest += f"{blocked} not judged yet, " if blocked else ""
    return f"{verb}: {judged.count('passed')} of {total} criteria passed, {rest}{points}"


def _is_stub(line: str) -> bool:
    return line.startswith(NOT_WRITTEN) or f". {NOT_WRITTEN}" in line


def _is_blocked(line: str) -> bool:
    return line.startswith(NOT_JUDGED) or f". {NOT_JUDGED}" in line


def _is_count(line: str) -> bool:
    """The line in place of further messages: "and 3 more"."""
    words = line.split()
    return len(words) == 3 and words[0] == "and" and words[1].isdigit() and words[2] == "more"
