"""The next thing is always named: one title, one command, one file to open, and why."""

from __future__ import annotations

from pathlib import Path

import msgspec

from meridian.academy.curriculum import Curriculum, Module
from meridian.academy.progress_records import CapstoneRecord, Record

__all__ = ["NextStep", "next_step"]


class NextStep(msgspec.Struct, frozen=True):
    """What to do now. `path` is the file to open, relative to the lab's root; `key` what it is."""

    title: str
    command: str
    path: Path
    why: str
    key: str | None = None


def next_step(record: Record, curriculum: Curriculum) -> NextStep:
    """The first thing that is not done yet: of the module last worked on, else of its track, else
    in course order; only of what is available.
    """
    available = [module for module in curriculum.modules() if module.available]
    for module in _nearest_first(available, record):
        step = _next_in(module, record)
        if step is not None:
            return step
    return NextStep(
        title="Everything available is passed",
        command="meridian status",
        path=Path("START HERE.ipynb"),
        why=f"{len(available)} of {len(curriculum.modules())} modules are available so far.",
    )


def _nearest_first(modules: list[Module], record: Record) -> list[Module]:
    """`modules`, beginning with the one last worked on, then the others of its track."""
    touched = {module.key: _touched_at(module, record) for module in modules}
    last = max(modules, key=lambda module: touched[module.key], default=None)
    if last is None or not touched[last.key]:
        return modules
    track = last.track_slug
    return sorted(modules, key=lambda module: (module is not last, module.track_slug != track))


def _touched_at(module: Module, record: Record) -> str:
    """When it was last worked on, as ISO 8601; empty where it never was."""
    times = [record.lessons[x.key].tried_at for x in module.lessons if x.key in record.lessons]
    capstone = record.capstones.get(module.key)
    if capstone is not None:
        times += [capstone.last_check.at] if capstone.last_check else []
        times += [submission.at for submission in capstone.submissions]
    return max(times, default="")


def _next_in(module: Module, record: Record) -> NextStep | None:
    for lesson in module.lessons:
        known = record.lessons.get(lesson.key)
        if known is not None and known.passed_at is not None:
            continue
        if known is None:
            why = f"{lesson.title} is not started. Read the notebook, then answer its quiz."
        else:
            why = f"The quiz stands at {known.correct} of {known.total}; 70 % passes."
        return NextStep(
            title=f"Lesson {lesson.number} of {len(module.lessons)}: {lesson.title}",
            command=f"meridian quiz {lesson.key}",
            path=lesson.notebook,
            why=why,
            key=lesson.key,
        )
    capstone = record.capstones.get(module.key, CapstoneRecord())
    if capstone.passed:
        return None
    command, why = _capstone_step(module, capstone)
    return NextStep(
        title=f"Capstone: {module.capstone.title}",
        command=f"meridian {command} {module.key}",
        path=module.exercise / "capstone.ipynb",
        why=why,
        key=module.key,
    )


def _capstone_step(module: Module, capstone: CapstoneRecord) -> tuple[str, str]:
    best, check = capstone.best, capstone.last_check
    if check is None:
        return "check", f"All lessons are passed. Fill in {module.exercise} and check it."
    bonus = {criterion.id for criterion in module.capstone.bonus}
    outcomes = [outcome for id_, outcome in check.outcomes.items() if id_ not in bonus]
    judged = [outcome for outcome in outcomes if outcome != "not_run"]
    good = judged.count("passed")
    if judged and good == len(judged) and (best is None or best.at < check.at):
        return "submit", f"The last check passed all {good} criteria."
    if best is not None:
        return "check", f"The best submission has {best.score:g} of {best.max_score:g} points."
    return "check", f"The last check passed {good} of {len(judged)} criteria."
