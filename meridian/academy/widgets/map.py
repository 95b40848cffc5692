"""The course map: what there is, what is done, and the one thing to do next.

The map is HTML without script, because its buttons are links: it needs no kernel once drawn, and
JupyterLab opens a relative link to a notebook in a tab of its own. Styles are inline, since a
notebook that JupyterLab does not trust keeps those and loses a style sheet; declarations that use
a theme variable fall away there, and the text keeps the colour of its surroundings.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote as quote_url

from meridian.academy import curriculum as index
from meridian.academy.curriculum import Curriculum, Module, Track
from meridian.academy.progress import NextStep, ProgressStore, capstone_state, lesson_state
from meridian.academy.progress_next import next_step
from meridian.academy.progress_records import Record
from meridian.academy.widgets.base import ACCENT, GOOD, HTML_MIME, INK, MUTED, escape, picture
from meridian.academy.widgets.doctor import Doctor, doctor_line
from meridian.academy.widgets.sky import RULE, SATELLITES, constellation
from meridian.errors import MeridianError

__all__ = ["CourseMap", "course_map"]

# Every state has a mark and a word; colour only repeats them.
_STATES = {
    "new": ("○", "not started", MUTED),
    "tried": ("◐", "begun", INK),
    "passed": ("●", "passed", GOOD),
}
_EDGE = "rgba(128,128,128,0.35)"
_FILL = "rgba(128,128,128,0.08)"
_CARD = f"border:1px solid {_EDGE};border-radius:10px;background-color:{_FILL};padding:14px 18px;"


def course_map(
    *,
    curriculum: Curriculum | None = None,
    store: ProgressStore | None = None,
    doctor: Doctor | None = doctor_line,
) -> CourseMap:
    """The map of the course, drawn from the index and the learner's record.

    `doctor` is called with the lab's root and answers in one line whether the machine is fit
    (``None`` leaves it out). Raises `LabNotFound` and `CurriculumError`; a progress file that
    cannot be read is said on the map instead, because the map must open.
    """
    curriculum = curriculum or index.load()
    store = store or ProgressStore(curriculum=curriculum)
    try:
        record, problem = store.record(), None
    except (MeridianError, OSError) as error:
        record, problem = Record(), f"Your progress cannot be read. {error}"
    line = f"This machine: {doctor(curriculum.root)}" if doctor else None
    return CourseMap(curriculum, record, doctor=line, problem=problem)


class CourseMap:
    """One drawing of the map, for a notebook or as text; it does not follow later changes."""

    def __init__(
        self,
        curriculum: Curriculum,
        record: Record,
        *,
        doctor: str | None = None,
        problem: str | None = None,
        here: Path | None = None,
    ) -> None:
        self.curriculum = curriculum
        self.record = record
        self.doctor = doctor
        self.problem = problem
        self.here = here or Path.cwd()
        lessons, modules = curriculum.lessons(), curriculum.modules()
        self.lessons_total, self.capstones_total = len(lessons), len(modules)
        self.lessons_passed = sum(self._lesson(x.key) == "passed" for x in lessons)
        self.capstones_passed = sum(self._capstone(m.key) == "passed" for m in modules)
        self.step: NextStep = next_step(record, curriculum)

    @property
    def lit(self) -> int:
        """Satellites alight: one for each passed lesson until all 48 fly."""
        return min(self.lessons_passed, SATELLITES)

    @property
    def summary(self) -> str:
        return (
            f"{self.lessons_passed} of {self.lessons_total} lessons and "
            f"{self.capstones_passed} of {self.capstones_total} capstones passed"
        )

    def _lesson(self, key: str) -> str:
        return lesson_state(self.record, key)

    def _capstone(self, key: str) -> str:
        return capstone_state(self.record, key)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {HTML_MIME: self.html(), "text/plain": str(self)}

    # -- text ----------------------------------------------------------------------------------

    def __str__(self) -> str:
        lines = [f"{self.summary}. {self.lit} of {SATELLITES} satellites lit."]
        lines += [f"Next: {self.step.title} ({self.step.path})"]
        lines += [text for text in (self.problem, self.doctor) if text]
        for track in self.curriculum.tracks:
            lines += ["", f"{track.title}: {track.system}"]
            for module in track.modules:
                lines.append(f"  {module.slug:<18} {module.title:<32} {self._module_word(module)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<CourseMap: {self.summary}>"

    def _module_word(self, module: Module) -> str:
        if not module.available:
            return "coming"
        passed = sum(self._lesson(lesson.key) == "passed" for lesson in module.lessons)
        capstone = _STATES[self._capstone(module.key)][1]
        return f"{passed} of {len(module.lessons)} lessons, capstone {capstone}"

    # -- HTML ----------------------------------------------------------------------------------

    def html(self) -> str:
        tracks = "".join(self._track(track) for track in self.curriculum.tracks)
        return (
            f'<div style="max-width:1080px;">{self._head()}'
            '<div style="display:flex;flex-wrap:wrap;gap:14px;margin-top:14px;">'
            f"{tracks}</div></div>"
        )

    def _head(self) -> str:
        alt = (
            f"The constellation around the Earth: {self.lit} of {SATELLITES} satellites lit, "
            f"{self.capstones_passed} with a ring."
        )
        sky = picture(constellation(self.lit, self.capstones_passed), alt)
        notes = "".join(
            f'<p style="margin:8px 0 0 0;">{mark} {escape(text)}</p>'
            for mark, text in (("⚠", self.problem), ("", self.doctor))
            if text
        )
        return (
            '<div style="display:flex;flex-wrap:wrap;gap:22px;align-items:center;">'
            f'<div style="flex:0 1 320px;">{sky}</div>'
            '<div style="flex:1 1 340px;">'
            f'<p style="font-size:17px;margin:0 0 4px 0;"><b>{escape(self.summary)}</b></p>'
            f'<p style="margin:0 0 14px 0;color:{MUTED};">{escape(RULE)}</p>'
            f"{self._next()}{notes}</div></div>"
        )

    def _next(self) -> str:
        step = self.step
        return (
            f'<div style="{_CARD}border-left:5px solid #2f80d0;">'
            '<p style="margin:0 0 2px 0;letter-spacing:1px;font-size:11px;">NEXT</p>'
            f'<p style="font-size:18px;margin:0 0 4px 0;"><b>{escape(step.title)}</b></p>'
            f'<p style="margin:0 0 12px 0;">{escape(step.why)}</p>'
            f'<p style="margin:0 0 8px 0;">{self._button(step)}</p>'
            f'<p style="margin:0;color:{MUTED};">In a terminal: '
            f"<code>{escape(step.command)}</code></p></div>"
        )

    def _button(self, step: NextStep) -> str:
        style = (
            "display:inline-block;padding:7px 16px;border-radius:6px;"
            "background-color:#1f6fb8;color:#ffffff;text-decoration:none;font-weight:600;"
        )
        return f'<a href="{self._href(step.path)}" style="{style}">Open {_kind(step)}</a>'

    def _track(self, track: Track) -> str:
        rows = "".join(self._module(module) for module in track.modules)
        return (
            f'<div style="{_CARD}flex:1 1 205px;">'
            f'<p style="font-size:16px;margin:0;"><b>{escape(track.title)}</b></p>'
            f'<p style="margin:0 0 6px 0;color:{ACCENT};">{escape(track.system)}</p>'
            f'<p style="margin:0 0 10px 0;color:{MUTED};">{escape(track.summary)}</p>{rows}</div>'
        )

    def _module(self, module: Module) -> str:
        number = escape(module.slug.partition("-")[0])
        if not module.available:
            return (
                f'<div title="{escape(module.summary)}" '
                f'style="display:flex;gap:8px;margin:6px 0;color:{MUTED};">'
                f'<span style="flex:1 1 auto;">{number} {escape(module.title)}</span>'
                "<i>coming</i></div>"
            )
        rows = "".join(self._lesson_row(module, i) for i in range(len(module.lessons)))
        capstone = self._row(
            module.exercise / "capstone.ipynb",
            f"Capstone: {module.capstone.title}",
            self._capstone(module.key),
        )
        return (
            f'<details open style="margin:5px 0;"><summary style="cursor:pointer;">'
            f"<b>{number} {escape(module.title)}</b></summary>"
            f'<p style="margin:2px 0 4px 0;color:{MUTED};">{escape(module.summary)}</p>'
            f"{rows}{capstone}</details>"
        )

    def _lesson_row(self, module: Module, i: int) -> str:
        lesson = module.lessons[i]
        return self._row(lesson.notebook, f"{i + 1}. {lesson.title}", self._lesson(lesson.key))

    def _row(self, path: Path, text: str, state: str) -> str:
        mark, word, colour = _STATES[state]
        return (
            f'<div style="display:flex;gap:8px;padding:2px 0;"><span style="color:{colour};">{mark}'
            f'</span><a href="{self._href(path)}" style="flex:1 1 auto;">{escape(text)}</a>'
            f'<span style="color:{colour};white-space:nowrap;">{word}</span></div>'
        )

    def _href(self, path: Path) -> str:
        """`path`, relative to the lab's root, as a link from the folder the notebook is in."""
        relative = os.path.relpath(self.curriculum.root / path, self.here)
        return quote_url(Path(relative).as_posix())


def _kind(step: NextStep) -> str:
    return "the capstone" if step.path.name == "capstone.ipynb" else "the notebook"
