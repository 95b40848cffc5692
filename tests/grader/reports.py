"""Signed reports as tests make them, and what a browser would find in a page about them."""

from __future__ import annotations

import html.parser
from typing import Any

from grader.report import CriterionReport, NotebookReport, Report

KEY = b"k" * 32
HOSTILE = "</pre><script>alert('x')</script><img src=x onerror=alert(1)>\x1b[31m\u202e&amp;\""
"""What a learner may call themselves or write into a message, and a page must show as text."""


def make(**changes: Any) -> Report:
    """A report signed with `KEY`; `changes` are its fields, `facts` go to its environment."""
    facts: dict[str, Any] = {"mode": "submit", "learner": "ada", "attempt": 1}
    facts |= changes.pop("facts", {})
    report = Report(
        capstone="toy/01",
        score=70,
        max_score=100,
        bonus=0,
        passed=True,
        box="bwrap",
        seed="5eed",
        submission_sha256="ab" * 32,
        criteria=[CriterionReport(id="1", title="One", points=100, score=70, outcome="failed")],
        notebook=NotebookReport(),
        benchmarks=[],
        environment=facts,
        started_at="2026-01-01T00:00:00+00:00",
        duration_s=1.5,
    )
    for name, value in changes.items():
        setattr(report, name, value)
    report.sign(KEY)
    return report


class Tags(html.parser.HTMLParser):
    """What a browser would find in `page`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data
