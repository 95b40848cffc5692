"""Where am I, and what is next: `next`, `status`, `map`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meridian.academy.commands.shared import JsonOption, console, count, open_lab, print_json

if TYPE_CHECKING:
    from meridian.academy.curriculum import Curriculum, Module
    from meridian.academy.progress import Record

_MARKS = {"new": "·", "tried": "~", "passed": "✓", "planned": " "}


def next_(json: JsonOption = False) -> None:
    """Name the one thing to do now. Also the file to open and the command to run.

    \b
    Example:    meridian next

    What comes next: do it. `meridian status` shows the whole way.
    """
    course, store = open_lab()
    step = store.next_step(course)
    if json:
        print_json(step)
        return
    out = console()
    out.print(f"[bold]{step.title}[/bold]", soft_wrap=True)
    out.print(step.why, markup=False, soft_wrap=True)
    out.print(f"  Open:  {course.root / step.path}", markup=False, soft_wrap=True)
    out.print(f"  Run:   {step.command}", markup=False, soft_wrap=True)


def status(json: JsonOption = False) -> None:
    """Show what you have done so far. Lessons, quizzes, checks and submissions.

    \b
    Example:    meridian status

    What comes next: `meridian next` names the next step; `meridian export FILE` keeps a copy.
    """
    from rich.table import Table

    course, store = open_lab()
    record = store.record()
    modules = [module for module in course.modules() if module.available]
    rows = [_module_status(module, record) for module in modules]
    step = store.next_step(course)
    if json:
        print_json({"modules": rows, "next": step, "file": store.path})
        return
    out = console()
    for module, row in zip(modules, rows, strict=True):
        table = Table(title=f"{module.key}  {module.title}", title_justify="left", box=None)
        for heading in ("", "Step", "State", "Result"):
            table.add_column(heading, overflow="fold")
        for item in (*row["lessons"], row["capstone"]):
            table.add_row(_MARKS[item["state"]], item["title"], item["state"], item["result"])
        out.print(table)
        out.print()
    passed = sum(row["capstone"]["state"] == "passed" for row in rows)
    planned = len(course.modules()) - len(modules)
    out.print(f"{passed} of {len(modules)} available modules passed, {planned} planned.")
    out.print(f"Next: {step.title}  ({step.command})", markup=False, soft_wrap=True)


def map_(json: JsonOption = False) -> None:
    """List the whole course. Its keys are what the other commands take.

    \b
    Example:    meridian map
    Marks:      ✓ passed   ~ tried   · not started   (planned modules have no mark)

    What comes next: `meridian next`, or `meridian quiz KEY` with a key from this list.
    """
    course, store = open_lab()
    record = store.record()
    if json:
        print_json(_map(course, record))
        return
    out = console()
    for track in course.tracks:
        out.print(f"[bold]{track.title}[/bold]: {track.system}")
        for module in track.modules:
            state = _capstone(module, record)["state"] if module.available else "planned"
            planned = "" if module.available else "  (planned)"
            out.print(
                f"  {_MARKS[state]} {module.key:<28} {module.title}{planned}",
                markup=False,
                soft_wrap=True,
            )
            for lesson in module.lessons if module.available else ():
                mark = _MARKS[_lesson(lesson.key, lesson.title, record)["state"]]
                out.print(
                    f"    {mark} {lesson.key:<26} {lesson.title}", markup=False, soft_wrap=True
                )
        out.print()


def _map(course: Curriculum, record: Record) -> list[dict[str, Any]]:
    return [
        {
            "track": track.slug,
            "title": track.title,
            "modules": [
                {"available": module.available, **_module_status(module, record)}
                for module in track.modules
            ],
        }
        for track in course.tracks
    ]


def _module_status(module: Module, record: Record) -> dict[str, Any]:
    return {
        "key": module.key,
        "title": module.title,
        "lessons": [_lesson(lesson.key, lesson.title, record) for lesson in module.lessons],
        "capstone": _capstone(module, record),
    }


def _lesson(key: str, title: str, record: Record) -> dict[str, str]:
    from meridian.academy.progress import lesson_state

    known = record.lessons.get(key)
    result = f"quiz {known.correct} of {known.total}" if known else ""
    return {"key": key, "title": title, "state": lesson_state(record, key), "result": result}


def _capstone(module: Module, record: Record) -> dict[str, str]:
    from meridian.academy.progress import capstone_state

    known = record.capstones.get(module.key)
    parts = []
    if known and known.checks:
        parts.append(count(known.checks, "check"))
    if known and known.best:
        parts.append(f"best {known.best.score:g} of {known.best.max_score:g}")
    if known and known.opened_locked_at:
        parts.append("opened before its lessons were passed")
    return {
        "key": module.key,
        "title": f"Capstone: {module.capstone.title}",
        "state": capstone_state(record, module.key),
        "result": ", ".join(parts),
    }
