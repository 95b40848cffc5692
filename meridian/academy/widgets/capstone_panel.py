"""The capstone's buttons in the notebook: check, race, submit, reset, and the verdict."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from meridian.academy import curriculum as index
from meridian.academy.curriculum import Curriculum, Module
from meridian.academy.progress import ProgressStore
from meridian.academy.widgets.base import StaticMixin, escape
from meridian.academy.widgets.frontend import STYLE, script
from meridian.academy.widgets.runner import Job
from meridian.academy.widgets.stages import Stages
from meridian.academy.widgets.verdict import VerdictCard, verdict_card
from meridian.errors import MeridianError

__all__ = ["CapstonePanel", "capstone"]

_COMMAND = (sys.executable, "-m", "meridian.academy")
_DOING = {
    "check": "Checking",
    "bench": "Racing",
    "submit": "Submitting",
    "reset": "Resetting",
}
_MAX_FEEDBACK_BYTES = 8 << 20

# One job a capstone in this kernel: a cell that runs again finds the job it started before.
_jobs: dict[tuple[Path, str], Job] = {}


def capstone(
    key: str,
    *,
    curriculum: Curriculum | None = None,
    store: ProgressStore | None = None,
    command: Sequence[str] = _COMMAND,
) -> CapstonePanel:
    """The panel of capstone `key` (``"database/01-storage"``): check, race, submit, reset.

    `command` is what the buttons run, followed by ``check KEY --events`` and the like. Raises
    `UnknownKey`, `ValueError` for a module that is not available yet, `LabNotFound`.
    """
    if not isinstance(key, str):
        raise TypeError(f"Expected `str`, got `{type(key).__name__}` - at the key of the capstone")
    curriculum = curriculum or index.load()
    module = curriculum.module(key)
    if not module.available:
        raise ValueError(f"{key} is planned, not available yet")
    return CapstonePanel(
        curriculum, module, store or ProgressStore(curriculum=curriculum), command=command
    )


class CapstonePanel(StaticMixin, anywidget.AnyWidget):  # type: ignore[misc]
    """Buttons that run the command line beside the kernel, and the card of its report.

    Messages of the browser: ``run`` with an ``action`` (check, bench, submit, reset), ``cancel``,
    ``anyway`` (open before the quizzes are passed).
    """

    _esm = script("capstone.js")
    _css = STYLE
    view = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        curriculum: Curriculum,
        module: Module,
        store: ProgressStore,
        *,
        command: Sequence[str] = _COMMAND,
    ) -> None:
        super().__init__()
        self.curriculum = curriculum
        self.module = module
        self.store = store
        self._command = tuple(command)
        self._place = (curriculum.root.resolve(), module.key)
        self._anyway = False
        self._note: str | None = None
        self._problem: str | None = None
        self._stages = Stages("check")
        self._card = self._latest()
        self.on_msg(self._on_message)
        if self.job is not None and self.job.state == "running":
            self._follow(self.job)
        else:
            self._draw()

    @property
    def job(self) -> Job | None:
        """The latest job of this capstone that this kernel started."""
        return _jobs.get(self._place)

    # -- what the learner does -----------------------------------------------------------------

    def handle(self, message: Any) -> None:
        """Act on one message of the browser; one that makes no sense now changes nothing."""
        kind = message.get("type") if isinstance(message, dict) else None
        if kind == "run" and message.get("action") in tuple(_DOING):
            self.run(message["action"])
        elif kind == "cancel" and self.job is not None:
            self.job.cancel()
            self._draw()
        elif kind == "anyway":
            self._anyway = True
            self._draw()

    def run(self, action: str) -> None:
        """Start ``check``, ``bench``, ``submit`` or ``reset``, unless something is running."""
        if self.job is not None and self.job.state == "running":
            return
        arguments = [action, self.module.key]
        if action != "reset":
            arguments.append("--events")
            if self._anyway:
                arguments.append("--anyway")
        self._note = self._problem = None
        try:
            job = Job(arguments, self.curriculum.root, command=self._command)
        except OSError as error:
            self._problem = f"{action} could not start: {error}"
            self._draw()
            return
        _jobs[self._place] = job
        self._follow(job)

    def _on_message(self, _widget: object, message: object, _buffers: object) -> None:
        self.handle(message)

    def _follow(self, job: Job) -> None:
        self._stages = Stages(job.arguments[0])
        job.listen(self._on_job)

    def _on_job(self, job: Job) -> None:
        """Called from the job's thread."""
        if job.state == "running":
            self._stages.take(job.event)
        else:
            job.forget(self._on_job)
            self._end(job)
        self._draw()

    def _end(self, job: Job) -> None:
        action = job.arguments[0]
        if job.report is not None:
            try:
                self._card = verdict_card(job.report, capstone=self.module.capstone)
            except (MeridianError, OSError) as error:
                self._problem = f"The report cannot be shown: {error}"
        elif job.state == "cancelled":
            self._note = f"{action} was cancelled; nothing was recorded."
        elif job.state == "failed":
            self._problem = job.said
        else:
            self._note = job.said

    # -- what the browser shows ----------------------------------------------------------------

    def _draw(self) -> None:
        running = self.job is not None and self.job.state == "running"
        locked = self._locked()
        self.view = {
            "title": f"Capstone: {self.module.capstone.title}",
            "about": self._about(),
            "locked": [] if self._anyway else locked,
            "running": _DOING[self.job.arguments[0]] if running and self.job else None,
            "stage": self._stages.said if running else "",
            "done": self._stages.share if running else 0.0,
            "note": self._note,
            "problem": self._problem,
            "files": self.module.exercise.as_posix(),
            "card_html": self._card.html() if self._card else None,
            "feedback_html": _feedback(self._card),
        }

    def _about(self) -> str:
        capstone = self.module.capstone
        hours = f"about {capstone.hours} hours, " if capstone.hours else ""
        return f"{hours}{capstone.pass_mark} of 100 points pass"

    def _locked(self) -> list[str]:
        """Titles of the lessons whose quizzes are still to pass; none once it was opened anyway."""
        try:
            record = self.store.record().capstones.get(self.module.key)
            if record is not None and record.opened_locked_at:
                return []
            return [
                lesson.title
                for lesson in self.module.lessons
                if self.store.lesson_state(lesson.key) != "passed"
            ]
        except (MeridianError, OSError) as error:
            self._problem = f"Your progress cannot be read: {error}"
            return []

    def _latest(self) -> VerdictCard | None:
        """The card of the newest report there is, so that a reopened notebook shows it."""
        reports = self.curriculum.root / ".meridian" / "reports" / self.module.key
        found = sorted(reports.glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in reversed(found):
            try:
                return verdict_card(path, capstone=self.module.capstone)
            except (MeridianError, OSError):
                continue  # half-written or of an older lab: the one before it is shown
        return None

    # -- the picture ---------------------------------------------------------------------------

    def static_html(self) -> str:
        card = self._card.html() if self._card else ""
        rows = "".join(
            f"<li>{escape(c.title)}: {c.points} points{', required' if c.required else ''}</li>"
            for c in self.module.capstone.criteria
        )
        title = escape(f"Capstone: {self.module.capstone.title}")
        return f"<p><b>{title}</b> ({escape(self._about())})</p><ol>{rows}</ol>{card}"

    def static_text(self) -> str:
        return f"Capstone {self.module.key}: {self._about()}"


def _feedback(card: VerdictCard | None) -> str | None:
    """The feedback page of the report, for a frame that runs no script."""
    if card is None or card.folder is None:
        return None
    page = card.folder / "feedback.html"
    try:
        if 0 < page.stat().st_size <= _MAX_FEEDBACK_BYTES:
            return page.read_text(encoding="utf-8", errors="replace")
    except OSError:
        pass
    return None
