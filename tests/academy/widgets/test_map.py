"""The course map says what there is, what is done and what is next, in markup that survives."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from meridian.academy import course_map as exported
from meridian.academy.curriculum import Curriculum, LabNotFound, load
from meridian.academy.progress import ProgressStore
from meridian.academy.widgets.doctor import NOT_EXAMINED, doctor_line
from meridian.academy.widgets.map import CourseMap, course_map
from meridian.academy.widgets.saved import SAVING

KEY = "database/01-storage"
REPORT = {
    "score": 100,
    "max_score": 100,
    "bonus": 0,
    "passed": True,
    "submission_sha256": "0" * 64,
    "criteria": [{"id": "1", "outcome": "passed"}],
}


def links(html: str) -> dict[str, str]:
    """Text of each link to its target."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>([^<]*)</a>', html)
    return {text: unquote(target) for target, text in found}


def drawn(lab: Curriculum) -> CourseMap:
    return course_map(curriculum=lab, doctor=None)


def test_a_new_learner_is_sent_to_the_first_lesson(lab: Curriculum) -> None:
    html = drawn(lab).html()
    assert links(html)["Open the notebook"] == f"notebooks/{KEY}/lesson-01-pages.ipynb"
    assert "0 of 3 lessons and 0 of 2 capstones passed" in html
    assert f"<code>meridian quiz {KEY}/1</code>" in html


def test_links_are_relative_to_the_notebook_that_shows_the_map(lab: Curriculum) -> None:
    here = lab.root / "notebooks" / KEY
    html = CourseMap(lab, ProgressStore(curriculum=lab).record(), here=here).html()
    for target in links(html).values():
        assert not os.path.isabs(target)
        assert (here / target).resolve().is_relative_to(lab.root)
    assert links(html)["1. Pages"] == "lesson-01-pages.ipynb"


def test_progress_lights_satellites_and_moves_the_next_step(
    lab: Curriculum, store: ProgressStore
) -> None:
    store.record_quiz(f"{KEY}/1", 5, 5, "d")
    store.record_quiz(f"{KEY}/2", 1, 5, "d")
    chart = drawn(lab)
    assert (chart.lit, chart.step.key) == (1, f"{KEY}/2")
    assert "1 of 48 satellites lit, 0 with a ring" in chart.html()
    store.record_quiz(f"{KEY}/2", 4, 5, "d")
    assert links(drawn(lab).html())["Open the capstone"] == f"exercises/{KEY}/capstone.ipynb"
    store.record_submission(KEY, REPORT, "there")
    assert "2 of 48 satellites lit, 1 with a ring" in drawn(lab).html()


def test_each_state_has_a_mark_and_a_word(lab: Curriculum, store: ProgressStore) -> None:
    store.record_quiz(f"{KEY}/1", 5, 5, "d")
    store.record_quiz(f"{KEY}/2", 0, 5, "d")
    html = drawn(lab).html()
    for mark, word in (("●", "passed"), ("◐", "begun"), ("○", "not started")):
        assert mark in html
        assert f">{word}</span>" in html


def test_what_is_planned_is_named_and_not_linked(lab: Curriculum) -> None:
    html = drawn(lab).html()
    assert "01 Streams" in html
    assert "<i>coming</i>" in html
    assert not any("pipelines" in target for target in links(html).values())


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not any(name.startswith("on") for name, _ in attrs)


def test_the_markup_is_what_jupyterlab_keeps_in_an_untrusted_notebook(lab: Curriculum) -> None:
    tags = Tags()
    tags.feed(drawn(lab).html())
    assert tags.seen <= {"div", "span", "p", "b", "i", "a", "img", "code", "details", "summary"}
    assert "http" not in re.sub(r'src="data:[^"]*"', "", drawn(lab).html())


def test_titles_are_escaped(lab: Curriculum) -> None:
    assert "Databases &amp; &lt;logs&gt;" in drawn(lab).html()


def test_an_unreadable_record_is_said_and_the_map_still_opens(
    lab: Curriculum, store: ProgressStore
) -> None:
    store.path.parent.mkdir(exist_ok=True)
    store.path.write_text("{ not json")
    html = drawn(lab).html()
    assert "Your progress cannot be read." in html
    assert "Open the notebook" in html


def test_the_text_form_names_every_module_and_the_next_step(lab: Curriculum) -> None:
    text = str(drawn(lab))
    assert "Next: Lesson 1 of 2: Pages" in text
    assert "01-storage" in text
    assert "coming" in text
    assert drawn(lab)._repr_mimebundle_()["text/plain"] == text


def test_the_doctor_is_asked_about_this_lab(lab: Curriculum) -> None:
    asked: list[Path] = []

    def doctor(root: Path) -> str:
        asked.append(root)
        return "Ready & <well>."

    html = course_map(curriculum=lab, doctor=doctor).html()
    assert asked == [lab.root]
    assert "This machine: Ready &amp; &lt;well&gt;." in html


def test_a_doctor_that_fails_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    assert doctor_line(tmp_path / "nowhere").endswith("Run: meridian doctor")


def test_a_saved_map_does_not_speak_of_its_authors_machine(
    lab: Curriculum, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SAVING, "1")
    assert doctor_line(lab.root) == NOT_EXAMINED


def test_the_whole_course_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MERIDIAN_LAB", raising=False)
    chart = exported(curriculum=load(), doctor=None)
    assert (chart.lessons_total, chart.capstones_total) == (57, 18)
    assert all(track.title in chart.html() for track in chart.curriculum.tracks)


def test_outside_a_lab_the_error_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    with pytest.raises(LabNotFound, match=re.escape(str(tmp_path))):
        course_map(doctor=None)
