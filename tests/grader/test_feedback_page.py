"""The feedback page as a learner reads it: short where there is little to say, whole where not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from grader.feedback import feedback_html
from grader.report import CellReport, CriterionReport, NotebookReport, Outcome, Report

KEY = "toys/01-toy"
STUB = "Opens. Not written yet (toy/file.py:3): toys/01-toy #1: open()"
WAITS = 'Not judged because "Opens" is not written yet'


def entry(key: str, outcome: Outcome, message: str = "", **more: Any) -> CriterionReport:
    title = f"Title {key}"
    return CriterionReport(id=key, title=title, points=10, outcome=outcome, message=message, **more)


def page(*criteria: CriterionReport, cells: tuple[CellReport, ...] = (), **more: Any) -> str:
    facts: dict[str, Any] = {
        "capstone": KEY,
        "score": 0.0,
        "max_score": 100.0,
        "bonus": 0.0,
        "passed": False,
        "box": "bwrap",
        "seed": "5eed",
        "submission_sha256": "ab" * 32,
        "criteria": list(criteria),
        "notebook": NotebookReport(outcome="failed" if cells else "not_run", cells=list(cells)),
        "benchmarks": [],
        "environment": {"mode": "submit", "learner": "ada", "attempt": 2},
        "started_at": "2026-11-20T18:20:26+00:00",
        "duration_s": 1.0,
    }
    return feedback_html(Report(**facts | more), "Toy", Path("nowhere"))


def test_it_says_whose_it_is_at_the_top() -> None:
    head = page(entry("1", "passed")).partition("</header>")[0]
    assert f"{KEY}, ada, attempt 2" in head


def test_what_was_not_judged_has_a_cause_and_a_next_step_and_no_table_of_nothing() -> None:
    refused = [entry("1", "refused", "a.py:1: import of socket."), entry("2", "refused")]
    text = page(*refused, judged=False)
    assert text.count("import of socket") == 1
    assert "Do what the message says, and hand in again." in text
    assert "<table" not in text
    assert "class=bar" not in text.replace('"', "")
    assert 'href="#criteria"' not in text, "a link to what is not there"
    assert "✗" not in text, "nothing was found wrong"


def test_a_check_that_was_refused_counts_no_criteria() -> None:
    refused = [entry("1", "refused", "a.py:1: import of socket."), entry("2", "refused")]
    text = page(*refused, judged=False, environment={"mode": "check"})
    assert "<strong>Not judged</strong>" in text
    assert "0 of 2" not in text


def test_a_crash_is_judged_and_keeps_its_table_beside_the_advice() -> None:
    text = page(entry("1", "crashed", "Left with exit status 0"), entry("2", "crashed"))
    assert "<table" in text
    assert "Nothing may end the process" in text.partition("</header>")[0]


def test_what_waits_stands_in_one_place_and_every_link_finds_it() -> None:
    text = page(
        entry("1", "failed", STUB), entry("2", "not_run", WAITS), entry("3", "not_run", WAITS)
    )
    assert text.count("<article") == 2
    assert text.count("Mend what it waits for") == 1
    links = re.findall(r'href="#([^"]+)"', text)
    assert len(links) == 4
    assert all(text.count(f'id="{link}"') == 1 for link in links)


def test_each_failed_test_has_a_line_of_its_own() -> None:
    text = page(entry("1", "failed", "First thing. got 1\nSecond thing. got 2\nand 2 more"))
    assert "<li>First thing. got 1</li><li>Second thing. got 2</li><li>and 2 more</li>" in text


def test_the_command_to_give_next_is_marked_to_be_copied() -> None:
    text = page(entry("1", "failed", "First thing. got 1"))
    assert f"then: <code>meridian check {KEY}</code>" in text


def test_a_long_message_of_a_cell_stands_whole_with_the_cell_alone() -> None:
    long = f"ValueError: {'A' * 500}"
    text = page(entry("1", "passed"), cells=(CellReport(id="c", outcome="error", message=long),))
    assert text.count("A" * 500) == 1
    assert f"{'A' * 50} ..." in text.partition("</header>")[0]


def test_a_cell_that_was_not_begun_is_not_called_wrong() -> None:
    cell = CellReport(id="c", outcome="failed", message="Not written yet: toys/01-toy #1: open()")
    row = page(entry("1", "passed"), cells=(cell,)).partition('class="cells"')[2]
    assert "not written yet</span>" in row
    assert "✗" not in row.partition("</table>")[0]
