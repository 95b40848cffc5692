"""Markdown of the course as HTML that cannot carry a script, and how answers are shown."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from meridian.academy.quiz_questions import TracingAnswer
from meridian.academy.widgets.base import escape

if TYPE_CHECKING:
    from markdown_it import MarkdownIt

__all__ = ["answer_html", "block", "inline"]


@cache
def _renderer() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # Raw HTML off: text in angle brackets is shown, not obeyed. `javascript:` links are refused.
    return MarkdownIt("commonmark", {"html": False})


def block(text: str) -> str:
    """Markdown `text` as block HTML."""
    return str(_renderer().render(text))


def inline(text: str) -> str:
    """Markdown `text` without the paragraph around it; whole blocks, such as code, stay blocks."""
    html = block(text).strip()
    if html.count("<p>") == 1 and html.startswith("<p>") and html.endswith("</p>"):
        return html[len("<p>") : -len("</p>")]
    return html


def answer_html(answer: Any) -> str:
    """An answer to a question, as given or as right, in a learner's words."""
    if isinstance(answer, dict):
        answer = msgspec.convert(answer, TracingAnswer)
    if isinstance(answer, TracingAnswer):
        if not answer.does_compile:
            return f"an uncaught exception on line {escape(answer.line_number)}"
        printed = (answer.stdout or "").strip("\n")
        return f"it prints <pre>{escape(printed)}</pre>" if printed else "it prints nothing"
    if isinstance(answer, str):
        return inline(answer)
    return ", ".join(inline(option) for option in answer) or "nothing"
