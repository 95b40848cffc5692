"""How the grader's outcomes read to a person: what was not begun is not broken.

A report has a fixed set of outcomes, and a stub that still stands has `failed` like any mistake.
The verdict card, the feedback page and the terminal ask here which of the two it is.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["NOT_WRITTEN", "progress_sentence", "shown_outcome"]

NOT_WRITTEN = "Not written yet"
"""How the grader tells of a NotImplementedError: after the category, one line for each test."""


def shown_outcome(outcome: str, message: str) -> str:
    """`outcome`, or ``"not_written"`` where each failure that is told is a stub.

    One test that met code and failed is a failure, whatever else is missing.
    """
    if outcome != "failed":
        return outcome
    told = [line for line in message.splitlines() if not _is_count(line)]
    return "not_written" if told and all(_is_stub(line) for line in told) else outcome


def progress_sentence(verb: str, judged: Sequence[str], points: str) -> str:
    """How far a check or race got, of what `shown_outcome` says about each judged criterion."""
    total, missing = len(judged), judged.count("not_written")
    if missing and missing == total:
        return f"{verb}: 0 of {total} criteria written"
    rest = f"{missing} not written yet, " if missing else ""
    return f"{verb}: {judged.count('passed')} of {total} criteria passed, {rest}{points}"


def _is_stub(line: str) -> bool:
    return line.startswith(NOT_WRITTEN) or f". {NOT_WRITTEN}" in line


def _is_count(line: str) -> bool:
    """The line in place of further messages: "and 3 more"."""
    words = line.split()
    return len(words) == 3 and words[0] == "and" and words[1].isdigit() and words[2] == "more"
