"""Run the grader on a capstone, show how far it is, keep the result, say the verdict."""

from __future__ import annotations

import enum
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from meridian.academy.commands.shared import (
    UsageError,
    console,
    open_lab,
    print_json,
)
from meridian.academy.commands.verdict import print_verdict, succeeded
from meridian.errors import MeridianError

if TYPE_CHECKING:
    from meridian.academy.commands.bars import OnEvent
    from meridian.academy.curriculum import Curriculum, Module
    from meridian.academy.progress import ProgressStore

__all__ = ["CapstoneLocked", "Mode", "Output", "judge"]

Mode: TypeAlias = Literal["check", "bench", "submit"]


class Output(enum.Enum):
    """For whom the command prints."""

    PERSON = "person"
    JSON = "json"
    EVENTS = "events"


class CapstoneLocked(MeridianError, PermissionError):
    """Lessons of the module are not passed yet. Advice, not a jail."""

    def __init__(self, key: str, lessons: list[str], command: str) -> None:
        self.key = key
        self.lessons = lessons
        super().__init__(
            f"{key} unlocks with the quizzes of {', '.join(lessons)}. Take one: "
            f"meridian quiz {lessons[0]}. Or go on without: {command} --anyway"
        )


def judge(mode: Mode, key: str, submission: Path | None, *, anyway: bool, output: Output) -> bool:
    """Have capstone `key` judged in `mode` (check, bench or submit); whether it succeeded.

    Raises `UnknownKey`, `NotAvailable`, `CapstoneLocked`, `UsageError`, or what the grader raises
    when there is nothing to judge.
    """
    course, store = open_lab()
    module = course.available(key)
    _unlock(store, module, mode, anyway)
    folder = (submission or course.root / module.exercise).resolve()
    if not folder.is_dir():
        fix = f"Bring the exercise back: meridian reset {key}"
        raise UsageError(f"There is no folder {folder}", fix)
    out = _fresh_folder(course, store, module, mode)
    try:
        report = _run(mode, module, folder, out, _attempt(store, key), output)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # half a report says nothing
        raise
    if mode == "submit" and not report.get("judged", True):
        out = _set_apart(out)
    elif mode == "submit":
        store.record_submission(key, report, out.relative_to(course.root))
    elif mode == "check":
        store.record_check(key, report)
    if output is Output.EVENTS:
        _print_event({"event": "report", "path": str(out / "report.json")})
    elif output is Output.JSON:
        print_json(report)
    else:
        print_verdict(console(), mode, module, report, out, store.next_step(course))
    return succeeded(mode, module, report)


def _unlock(store: ProgressStore, module: Module, mode: Mode, anyway: bool) -> None:
    """Refuse a locked capstone once; after ``--anyway`` the choice is remembered."""
    missing = [x.key for x in module.lessons if store.lesson_state(x.key) != "passed"]
    known = store.record().capstones.get(module.key)
    if not missing or (known is not None and known.opened_locked_at):
        return
    if not anyway:
        raise CapstoneLocked(module.key, missing, f"meridian {mode} {module.key}")
    store.record_opened_locked(module.key)


def _attempt(store: ProgressStore, key: str) -> int:
    known = store.record().capstones.get(key)
    return len(known.submissions) + 1 if known else 1


def _fresh_folder(course: Curriculum, store: ProgressStore, module: Module, mode: str) -> Path:
    """Where the report goes: one folder for the latest check or race, one for each submission."""
    home = course.root / ".meridian" / "reports" / module.key
    if mode != "submit":
        if mode == "bench":
            from grader.races.history import set_aside

            set_aside(home, home / mode / "report.json")
        shutil.rmtree(home / mode, ignore_errors=True)
        folder = home / mode
    else:
        number = _attempt(store, module.key)
        while (home / f"submit-{number:03}").exists():  # a graded one that was never recorded
            number += 1
        folder = home / f"submit-{number:03}"
    folder.mkdir(parents=True)
    return folder


def _set_apart(out: Path) -> Path:
    """Where the report of a submission goes that could not be judged: it is no attempt."""
    apart = out.with_name("not-judged")
    shutil.rmtree(apart, ignore_errors=True)
    return out.rename(apart)


def _run(
    mode: Mode, module: Module, submission: Path, out: Path, attempt: int, output: Output
) -> dict[str, Any]:
    """The grader's report as plain data. Ctrl+C stops the job and its box."""
    import msgspec

    from grader.job import JobSpec, run_one
    from grader.races.history import past_reports
    from meridian.academy.commands.bars import bars_or_lines

    events: AbstractContextManager[OnEvent]
    if output is Output.PERSON:
        events = bars_or_lines()
    else:
        events = nullcontext(_relay if output is Output.EVENTS else _ignore)
    with _tidy_on_terminate(), events as on_event:
        report = run_one(
            JobSpec(
                capstone=module.key,
                submission=submission,
                out=out,
                mode=mode,
                attempt=attempt,
                history=() if mode == "check" else past_reports(out.parent),
                on_event=on_event,
            )
        )
    plain: dict[str, Any] = msgspec.to_builtins(report)
    return plain


@contextmanager
def _tidy_on_terminate() -> Iterator[None]:
    """Let SIGTERM unwind like Ctrl+C does, so that the job takes its processes and files along."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ignore(event: dict[str, Any]) -> None:
    del event


def _relay(event: dict[str, Any]) -> None:
    """Pass on the stages. The report is announced by us, once it is on record."""
    if event.get("event") != "report":
        _print_event(event)


def _print_event(event: dict[str, Any]) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
    sys.stdout.flush()
