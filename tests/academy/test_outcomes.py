"""What was not begun reads otherwise than what is wrong."""

from __future__ import annotations

import pytest

from meridian.academy.outcomes import NOT_WRITTEN, progress_sentence, shown_outcome

STUB = f"Reading past the end raises. {NOT_WRITTEN} (page.py:3): database/01-storage #1: read()"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (STUB, "not_written"),
        (f"{NOT_WRITTEN}: #1", "not_written"),
        (f"{STUB}\n{STUB}\nand 12 more", "not_written"),
        (f"{STUB}\nA page of 3 bytes. Expected 4, got 3", "failed"),
        (f"A page of 3 bytes. Expected 4, got 3\n{STUB}", "failed"),
        (f"Expected {NOT_WRITTEN!r}", "failed"),
        ("and 3 more", "failed"),
        ("", "failed"),
    ],
)
def test_a_failure_is_unwritten_when_all_that_is_told_is(message: str, shown: str) -> None:
    assert shown_outcome("failed", message) == shown


@pytest.mark.parametrize("outcome", ["passed", "error", "timeout", "crashed", "not_run"])
def test_other_outcomes_stay(outcome: str) -> None:
    assert shown_outcome(outcome, STUB) == outcome


def test_the_sentence_counts_what_is_there() -> None:
    def said(*judged: str) -> str:
        return progress_sentence("Checked", judged, "5 of 90 points")

    assert said("not_written", "not_written") == "Checked: 0 of 2 criteria written"
    assert said("passed", "failed") == "Checked: 1 of 2 criteria passed, 5 of 90 points"
    assert said("passed", "not_written", "error") == (
        "Checked: 1 of 3 criteria passed, 1 not written yet, 5 of 90 points"
    )
    assert said() == "Checked: 0 of 0 criteria passed, 5 of 90 points"
