"""The quiz panel: three kinds of question, what is shown when, what is kept, bad messages."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meridian.academy import quiz, widgets
from meridian.academy.curriculum import Curriculum, UnknownKey
from meridian.academy.progress import ProgressStore
from meridian.academy.quiz_questions import MultipleChoice, ShortAnswer, Tracing
from meridian.academy.widgets.base import HTML_MIME
from meridian.academy.widgets.quiz_panel import QuizPanel

KEY = "database/01-storage/1"
# Sorted options: 4096, 4097, <b>4098</b>; then `await sleep()`, `read()`, `time.sleep(1)`.
RIGHT: list[dict[str, Any]] = [
    {"picked": [0]},
    {"picked": [1, 2]},
    {"text": " SEVENTEEN "},
    {"runs": True, "stdout": "True\n"},
    {"runs": False, "line": 2},
]
WRONG: list[dict[str, Any]] = [
    {"picked": [2]},
    {"picked": [1]},
    {"text": "<script>alert(1)</script>"},
    {"runs": True, "stdout": "1"},
    {"runs": False, "line": 1},
]


def panel(lab: Curriculum) -> QuizPanel:
    return quiz(KEY, curriculum=lab, rng=random.Random(1))


def answer(panel: QuizPanel, *answers: dict[str, Any]) -> None:
    for given_answer in answers:
        panel.handle({"type": "submit", "answer": given_answer})
        assert panel.view["phase"] == "outcome", panel.view["problem"]
        panel.handle({"type": "next"})


def html_of(view: dict[str, Any]) -> str:
    """Everything in the view that the browser will parse as HTML."""
    found = []

    def walk(value: Any, name: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, key)
        elif isinstance(value, list):
            for item in value:
                walk(item, name)
        elif isinstance(value, str) and name.endswith("_html"):
            found.append(value)

    walk(view, "")
    return "\n".join(found)


def test_each_kind_of_question_gets_its_form(lab: Curriculum) -> None:
    shown = panel(lab)
    kinds = []
    for right in RIGHT:
        kinds.append(shown.view["question"]["kind"])
        answer(shown, right)
    assert kinds == ["choice", "choices", "short", "tracing", "tracing"]


def test_all_right_passes_and_is_recorded(lab: Curriculum, store: ProgressStore) -> None:
    shown = panel(lab)
    answer(shown, *RIGHT)
    result = shown.view["result"]
    assert result["headline"] == "5 of 5 right: passed."
    assert result["next"] == "Next: Lesson 2 of 2: Pools."
    assert result["open"]["path"] == "notebooks/database/01-storage/lesson-02-pools.ipynb"
    assert store.lesson_state(KEY) == "passed"
    assert store.session(KEY) is None


def test_the_pass_mark_is_shown_from_the_start(lab: Curriculum) -> None:
    assert panel(lab).view["pass_mark"] == "4 of 5 pass (70 %)"


def test_only_the_wrong_ones_come_back(lab: Curriculum, store: ProgressStore) -> None:
    shown = panel(lab)
    answer(shown, RIGHT[0], WRONG[1], RIGHT[2], WRONG[3], RIGHT[4])
    assert shown.view["result"]["headline"] == "3 of 5 right: not passed yet."
    assert store.lesson_state(KEY) == "tried"
    shown.handle({"type": "retry"})
    assert shown.view["position"] == "Wrong ones again, question 1 of 2"
    answer(shown, RIGHT[1], WRONG[3])
    assert shown.view["result"]["passed"]
    assert store.lesson_state(KEY) == "passed"
    assert store.record().lessons[KEY].correct == 4


def test_the_right_answer_is_not_sent_before_it_is_earned_or_asked_for(lab: Curriculum) -> None:
    shown = panel(lab)
    texts = [json.dumps(shown.view)]
    for wrong in WRONG:
        shown.handle({"type": "submit", "answer": wrong})
        texts.append(json.dumps(shown.view))
        shown.handle({"type": "next"})
        texts.append(json.dumps(shown.view))
    assert not any("A power of two" in text or "seventeen" in text for text in texts)
    shown.handle({"type": "reveal"})
    rows = shown.view["result"]["rows"]
    assert rows[0]["context_html"] == "<p>A power of two.</p>\n"
    assert rows[2]["right_html"] == "<code>17</code>"
    assert rows[4]["right_html"] == "an uncaught exception on line 2"


def test_an_explanation_follows_a_right_answer_at_once(lab: Curriculum) -> None:
    shown = panel(lab)
    shown.handle({"type": "submit", "answer": RIGHT[0]})
    assert shown.view["outcome"] == {"correct": True, "context_html": "<p>A power of two.</p>\n"}


def test_a_closed_notebook_goes_on_where_it_was(lab: Curriculum) -> None:
    first = panel(lab)
    answer(first, RIGHT[0], WRONG[1])
    again = panel(lab)
    assert again.view["question"]["kind"] == "short"
    answer(again, *RIGHT[2:])
    assert again.view["result"]["headline"] == "4 of 5 right: passed."


def test_a_notebook_closed_after_a_round_goes_on_with_the_wrong_ones(lab: Curriculum) -> None:
    answer(panel(lab), RIGHT[0], WRONG[1], *RIGHT[2:])
    again = panel(lab)
    assert again.view["position"] == "Wrong ones again, question 1 of 1"
    answer(again, RIGHT[1])
    assert again.view["result"]["headline"] == "5 of 5 right: passed."


def test_a_passed_quiz_that_is_opened_again_says_so(lab: Curriculum, store: ProgressStore) -> None:
    shown = panel(lab)
    assert shown.view["passed_before"] is None
    answer(shown, *RIGHT)
    assert panel(lab).view["passed_before"] == "✓ Passed already, best result 5 of 5."
    shown.handle({"type": "restart"})
    answer(shown, *WRONG)
    assert store.lesson_state(KEY) == "passed"


def test_an_edited_quiz_starts_afresh(lab: Curriculum) -> None:
    answer(panel(lab), *RIGHT[:3])
    path = lab.root / lab.lesson(KEY).quiz
    path.write_text(path.read_text().replace("Bytes of a header?", "Bytes of the header?"))
    assert panel(lab).view["question"]["kind"] == "choice"


def test_a_spoiled_session_is_said_and_starts_afresh(lab: Curriculum, store: ProgressStore) -> None:
    state = panel(lab).session.state()
    store.save_session(KEY, state | {"queue": [99]})
    shown = panel(lab)
    assert "it starts afresh" in shown.view["problem"]
    answer(shown, *RIGHT)
    assert store.lesson_state(KEY) == "passed"


def test_a_spoiled_record_is_said_and_the_quiz_can_be_read(
    lab: Curriculum, store: ProgressStore
) -> None:
    store.path.parent.mkdir(exist_ok=True)
    store.path.write_text("{")
    shown = panel(lab)
    assert shown.view["problem"].startswith("Your progress cannot be read")
    assert shown.view["phase"] == "question"


def test_a_progress_file_that_cannot_be_written_is_said(
    lab: Curriculum, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    shown = panel(lab)
    monkeypatch.setattr(shown.store, "save_session", full)
    shown.handle({"type": "submit", "answer": RIGHT[0]})
    assert "No space left on device" in shown.view["problem"]
    assert shown.view["phase"] == "outcome"


def test_hostile_text_reaches_the_browser_inert(lab: Curriculum) -> None:
    shown = panel(lab)
    assert "&lt;b&gt;4098&lt;/b&gt;" in html_of(shown.view)
    answer(shown, *WRONG)
    shown.handle({"type": "reveal"})
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html_of(shown.view)
    assert "<script" not in html_of(shown.view)
    assert "<b>" not in html_of(shown.view)


def test_a_second_submit_of_one_question_changes_nothing(lab: Curriculum) -> None:
    shown = panel(lab)
    shown.handle({"type": "submit", "answer": RIGHT[0]})
    shown.handle({"type": "submit", "answer": RIGHT[1]})
    assert "has been answered" in shown.view["problem"]
    assert shown.session.remaining == 4


messages = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "answer", "picked", "text", "runs", "stdout", "line", "why"]),
            inner | st.sampled_from(["submit", "next", "retry", "reveal", "restart"]),
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.lists(messages, max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_message_of_a_browser_breaks_the_panel(sent: list[Any]) -> None:
    """On the panel of a shared lab: whatever is sent, there is a view, and answers are counted."""
    shown = _shared_panel()
    before = shown.session.remaining
    for message in sent:
        shown.handle(message)
        assert shown.view["phase"] in {"question", "outcome", "result"}
        json.dumps(shown.view)
    assert 0 <= shown.session.remaining <= max(before, shown.session.total)


_SHARED: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _shared_lab(lab: Curriculum) -> None:
    _SHARED["lab"] = lab


def _shared_panel() -> QuizPanel:
    return panel(_SHARED["lab"])


def test_the_picture_holds_every_question_and_no_answer(lab: Curriculum) -> None:
    shown = panel(lab)
    html = shown._repr_mimebundle_()[HTML_MIME]
    for question in shown.quiz.questions:
        if isinstance(question, MultipleChoice):
            assert "page</strong> size" in html
        elif isinstance(question, Tracing):
            assert "x = [1]" in html
        elif isinstance(question, ShortAnswer):
            assert "Bytes of a header?" in html
    assert "seventeen" not in html
    assert "A power of two" not in html
    assert html == panel(lab)._repr_mimebundle_()[HTML_MIME]


def test_an_unknown_lesson_names_the_nearest(lab: Curriculum) -> None:
    with pytest.raises(UnknownKey, match=KEY):
        quiz("database/01-storag/1", curriculum=lab)
    with pytest.raises(TypeError, match="Expected `str`, got `int`"):
        quiz(1)


def test_the_scripts_fetch_nothing() -> None:
    files = list(Path(widgets.__path__[0], "frontend").iterdir())
    assert len(files) >= 2
    for path in files:
        text = path.read_text()
        assert not [word for word in ("http:", "https:", "@import", "fetch(") if word in text]
