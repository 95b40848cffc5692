"""Answers a quiz on the screen, right or wrong, knowing what its file says."""

from __future__ import annotations

import html
import re

from playwright.sync_api import Locator, expect

from meridian.academy.quiz import MultipleChoice, Question, Quiz, ShortAnswer, Tracing
from meridian.academy.widgets.markup import inline


def answer_quiz(panel: Locator, quiz: Quiz, *, wrong: tuple[int, ...] = ()) -> None:
    """Answer every question of a first round; those whose index is in `wrong` wrongly."""
    total = len(quiz.questions)
    for i, question in enumerate(quiz.questions):
        expect(panel.get_by_text(f"Question {i + 1} of {total}")).to_be_visible()
        answer(panel, question, right=i not in wrong)
        said = "✗ Not right." if i in wrong else "✓ Right."
        expect(panel.get_by_role("status")).to_contain_text(said)
        panel.get_by_role("button", name="See the result" if i + 1 == total else "Next").click()


def answer(panel: Locator, question: Question, *, right: bool) -> None:
    """Fill in the form of one question and press Answer."""
    expect(panel.get_by_role("button", name="Answer")).to_be_visible()
    if not isinstance(question, Tracing):  # the question before it may still be on the screen
        expect(panel).to_contain_text(_plain(question.prompt.prompt)[:40])
    if isinstance(question, MultipleChoice):
        chosen = question.right_answer if right else question.prompt.distractors[:1]
        wanted = {_plain(option) for option in chosen}
        labels = panel.locator("label.mer-option").all()
        found = [at for at in labels if " ".join(at.inner_text().split()) in wanted]
        assert len(found) == len(wanted), f"{wanted} not all among {len(labels)} options"
        for label in found:
            label.locator("input").check()
    elif isinstance(question, ShortAnswer):
        panel.get_by_label("Your answer").fill(question.right_answer if right else "no idea")
    elif question.answer.does_compile:
        panel.get_by_label("It ends normally.").check()
        text = question.answer.stdout or ""
        panel.get_by_label("What does it print?").fill(text if right else f"{text} and more")
    else:
        panel.get_by_label("It ends with an uncaught exception.").check()
        line = question.answer.line_number or 0
        panel.get_by_label("Which of its lines raises it?").fill(str(line if right else line + 1))
    panel.get_by_role("button", name="Answer").click()


def _plain(markdown: str) -> str:
    """What a reader sees of one option."""
    return " ".join(html.unescape(re.sub("<[^>]*>", "", inline(markdown))).split())
