"""The words of a report: outcomes, boxes, what to do next; and text made safe for a terminal."""

from __future__ import annotations

__all__ = ["BOXES", "CAUSES", "NEXT", "STOPPED", "mark", "printable", "word"]

WORDS = {
    "passed": "passed",
    "failed": "failed",
    "error": "raised an error",
    "timeout": "ran out of time",
    "memory": "ran out of memory",
    "output": "wrote too much",
    "crashed": "crashed",
    "refused": "refused",
    "not_run": "not judged",
    "not_written": "not written yet",
    "blocked": "not judged yet",
}
MARKS = {"passed": "✓", "not_run": "–", "not_written": "–", "blocked": "–"}
BOXES = {
    "bwrap": "a box with its own processes, users and network, and a read-only system",
    "landlock": "a box in which the kernel denies other files, the network and dangerous calls",
    "rlimits": "limits only: for checking one's own work, not for grading others'",
    "none": "no box: for trusted code",
}
CAUSES = {"refused": "Refused, and so nothing was judged:"}
STOPPED = "Nothing could be judged, one cause stopped everything:"
NEXT = {
    "not_written": "Write it; the message says where.",
    "blocked": "Mend what it waits for: then this is judged.",
    "error": "Find why the call raises: its line is named.",
    "timeout": "Look for a loop or a wait that nothing ends, in the call that is named.",
    "memory": "Look for what grows without end, or copies more than it needs.",
    "output": "Print and write less: what is over the limit ends the run.",
    "crashed": "Nothing may end the process: look for exit(), a fatal signal or broken output.",
    "refused": "Do what the message says, and hand in again.",
}


def printable(text: object) -> str:
    """`text` without the control characters by which a submission could steer a terminal."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode()
        for c in str(text)
    )


def word(outcome: str) -> str:
    """An outcome in words."""
    return WORDS.get(outcome, outcome.replace("_", " "))


def mark(outcome: str) -> str:
    """One sign for an outcome, beside its word: never instead of it."""
    return MARKS.get(outcome, "✗")
