"""The card says what is to be done once, and shows no table of what was not judged."""

from __future__ import annotations

from typing import Any

from meridian.academy.widgets.verdict import verdict_card

KEY = "toys/01-toy"


def card(*told: tuple[str, str], **more: Any) -> str:
    criteria = [
        {"id": str(i), "title": f"T{i}", "points": 10, "score": 0, "outcome": o, "message": said}
        for i, (o, said) in enumerate(told, 1)
    ]
    report: dict[str, Any] = {
        "capstone": KEY,
        "score": 0,
        "max_score": 100,
        "bonus": 0,
        "passed": False,
        "box": "bwrap",
        "seed": "5eed",
        "submission_sha256": "ab" * 32,
        "criteria": criteria,
        "notebook": {"outcome": "not_run", "cells": []},
        "benchmarks": [],
        "environment": {"mode": "check"},
    }
    return verdict_card(report | more).html()


def test_what_waits_has_no_advice_of_its_own() -> None:
    html = card(
        ("failed", "Opens. Not written yet (a.py:1): #1: open()"),
        ("not_run", 'Not judged because "Opens" is not written yet'),
    )
    assert html.count("Next: ") == 1
    assert "Next: Write it" in html


def test_a_refusal_has_its_cause_and_its_remedy_and_no_table() -> None:
    html = card(("refused", "a.py:1: import of socket."), ("refused", ""), judged=False)
    assert html.count("import of socket") == 1
    assert "Do what the message says" in html
    assert "Not judged" in html
    assert "<table" not in html
    assert "✗" not in html


def test_the_result_of_a_race_stands_out_from_its_notes() -> None:
    race = {
        "name": "Gets",
        "ratio": 1.5,
        "spread": 0.1,
        "peer": "sqlite3",
        "unit": "times",
        "note": "the <box> was busy",
    }
    html = card(("passed", ""), benchmarks=[race])
    assert "<b>Gets: 1.50 times the speed of sqlite3</b>; the &lt;box&gt; was busy" in html
