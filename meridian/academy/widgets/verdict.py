"""A verdict as a card: the sentence, the criteria, what went wrong and how, the races as plots.

The card is HTML without script, like the course map: it stays readable without a kernel, in a
notebook that is not trusted, and outside JupyterLab. Every word that a submission may have written
is escaped and cut to size here.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from meridian.academy.curriculum import Capstone, CurriculumError, LabNotFound, UnknownKey, load
from meridian.academy.widgets.base import BAD, GOOD, HTML_MIME, MONO, MUTED, escape
from meridian.academy.widgets.report import CriterionVerdict, RaceVerdict, Verdict, load_verdict

__all__ = ["VerdictCard", "verdict_card"]

MAX_TEXT = 4_000
MAX_PLOT_BYTES = 4 << 20
_IMAGES = {".svg": "image/svg+xml", ".png": "image/png"}
_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "error": "raised an error",
    "timeout": "ran out of time",
    "memory": "ran out of memory",
    "output": "printed too much",
    "crashed": "crashed",
    "refused": "refused",
    "not_run": "not judged",
    "not_written": "not written yet",
}
_EDGE = "border-bottom:1px solid rgba(128,128,128,0.3);"


def verdict_card(
    report: Any, *, folder: str | os.PathLike[str] | None = None, capstone: Capstone | None = None
) -> VerdictCard:
    """The card of one report: a path to ``report.json``, its folder, a mapping, or the record.

    `folder` holds the plots when `report` is not a path. `capstone` says which criteria are
    required (default: the course index, if this is a lab). Raises `VerdictError`, `OSError`.
    """
    verdict, found = load_verdict(report)
    return VerdictCard(
        verdict, Path(folder) if folder is not None else found, capstone or _capstone(verdict)
    )


def _capstone(verdict: Verdict) -> Capstone | None:
    try:
        return load().capstone(verdict.capstone)
    except (LabNotFound, UnknownKey, CurriculumError):
        return None


class VerdictCard:
    """One report, drawn for a notebook or as text."""

    def __init__(
        self, verdict: Verdict, folder: Path | None = None, capstone: Capstone | None = None
    ) -> None:
        self.verdict = verdict
        self.folder = folder
        self.capstone = capstone
        self.required = {c.id for c in capstone.criteria if c.required} if capstone else set()

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {HTML_MIME: self.html(), "text/plain": str(self)}

    def __repr__(self) -> str:
        return f"<VerdictCard {self.verdict.capstone}: {self.verdict.headline}>"

    def __str__(self) -> str:
        rows = [
            f"  {_mark(c.shown)} {c.id:<8} {c.score:g}/{c.points:g}  {c.title}: " + _word(c.shown)
            for c in self.verdict.criteria
        ]
        return "\n".join([f"{self.verdict.capstone}: {self.verdict.headline}", *rows])

    def html(self) -> str:
        verdict = self.verdict
        shown = "passed" if verdict.good else "failed" if verdict.begun else "not_written"
        title = self.capstone.title if self.capstone else verdict.capstone
        sign = f'<span style="color:{_colour(shown)};">{_mark(shown)}</span>'
        headline = f"<b>{sign} {escape(verdict.headline)}</b>"
        parts = [
            f'<p style="font-size:18px;margin:0 0 2px 0;">{headline}</p>',
            f'<p style="margin:0 0 10px 0;color:{MUTED};">{escape(title)}{self._pass_mark()}</p>',
            self._table(),
            self._cells(),
            self._races(),
            self._foot(),
        ]
        return f'<div style="max-width:900px;">{"".join(parts)}</div>'

    def _pass_mark(self) -> str:
        if self.capstone is None or self.verdict.mode != "submit":
            return ""
        return f": {self.capstone.pass_mark} points and every required criterion (*) pass"

    def _table(self) -> str:
        cells = ("", "Criterion", "Points", "Outcome")
        style = f"text-align:left;padding:4px 10px;{_EDGE}"
        head = "".join(f'<th style="{style}">{cell}</th>' for cell in cells)
        rows = "".join(self._row(criterion) for criterion in self.verdict.criteria)
        return (
            '<table style="border-collapse:collapse;width:100%;text-align:left;">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, criterion: CriterionVerdict) -> str:
        must = " *" if criterion.id in self.required else ""
        cell = f"text-align:left;vertical-align:top;padding:6px 10px;{_EDGE}"
        points = f"{criterion.score:g} of {criterion.points:g}"
        return (
            f'<tr><td style="{cell}">{escape(criterion.id)}</td>'
            f'<td style="{cell}white-space:normal;width:70%;">'
            f"<div>{escape(criterion.title)}{must}</div>"
            f"{_story(criterion)}</td>"
            f'<td style="{cell}white-space:nowrap;">{points}</td>'
            f'<td style="{cell}white-space:nowrap;">{_outcome(criterion.shown)}</td></tr>'
        )

    def _cells(self) -> str:
        """The notebook's run, when there was one."""
        notebook = self.verdict.notebook
        if notebook.outcome == "not_run":
            return ""
        bad = [cell for cell in notebook.cells if cell.outcome not in ("passed", "not_run")]
        told = "".join(
            f"<li>Cell <code>{escape(cell.id)}</code> {_outcome(cell.outcome)}"
            f"{_text(cell.message)}</li>"
            for cell in bad
        )
        return (
            f'<p style="margin:12px 0 0 0;">Notebook, {len(notebook.cells)} cells: '
            f"{_outcome(notebook.outcome)}</p>" + (f"<ul>{told}</ul>" if told else "")
        )

    def _races(self) -> str:
        """One sentence for each race, and its plot under the last that it shows."""
        parts: list[str] = []
        told: list[str] = []
        races = self.verdict.benchmarks
        for i, race in enumerate(races):
            told.append(_race(race))
            if race.plot and race.plot in (later.plot for later in races[i + 1 :]):
                continue
            lines = "".join(f'<p style="margin:0;"><b>{escape(said)}</b></p>' for said in told)
            plot = self._plot(race.plot, "; ".join(told))
            parts.append(f'<div style="margin:14px 0 0 0;">{lines}{plot}</div>')
            told.clear()
        return "".join(parts)

    def _plot(self, name: str, alt: str) -> str:
        """The plot as an image inside the page: the report's folder is hidden from browsers."""
        if not name or self.folder is None:
            return ""
        home = self.folder.resolve()
        path = (home / name).resolve()
        kind = _IMAGES.get(path.suffix)
        if kind is None or not path.is_relative_to(home):
            return ""
        try:
            data = path.read_bytes() if path.stat().st_size <= MAX_PLOT_BYTES else b""
        except OSError:
            data = b""
        if not data:
            return f"<p>The plot {escape(name)} is not in the report's folder.</p>"
        encoded = base64.b64encode(data).decode("ascii")
        return f'<img alt="{escape(alt)}" src="data:{kind};base64,{encoded}">'

    def _foot(self) -> str:
        verdict = self.verdict
        digest = escape(verdict.submission_sha256[:12])
        judged = f"Judged in box {escape(verdict.box)}, seed <code>{escape(verdict.seed)}</code>"
        lines = [f"{judged}, submission <code>{digest}</code>."]
        if self.folder is not None:
            feedback = self.folder / "feedback.html"
            shown = feedback if feedback.is_file() else self.folder / "report.json"
            lines.append(f"Report: <code>{escape(shown)}</code>")
        text = "<br>".join(lines)
        return f'<p style="margin:14px 0 0 0;font-size:12px;color:{MUTED};">{text}</p>'


def _race(race: RaceVerdict) -> str:
    if race.ratio is None:
        return f"{race.name}: not measured against {race.peer}"
    spread = f" (± {race.spread:.2f})" if race.spread is not None else ""
    return f"{race.name}: {race.ratio:.2f}{spread} times the speed of {race.peer}"


def _word(outcome: str) -> str:
    return _WORDS.get(outcome, outcome.replace("_", " "))


def _mark(outcome: str) -> str:
    return {"passed": "✓", "not_run": "–", "not_written": "–"}.get(outcome, "✗")


def _colour(outcome: str) -> str:
    return {"passed": GOOD, "not_run": MUTED, "not_written": MUTED}.get(outcome, BAD)


def _outcome(outcome: str) -> str:
    return (
        f'<span style="color:{_colour(outcome)};">{_mark(outcome)} {escape(_word(outcome))}</span>'
    )


def _story(criterion: CriterionVerdict) -> str:
    """What happened, and the smallest input that shows it."""
    told = _text(criterion.message)
    if criterion.shown == "not_written":
        told = f'<div style="color:{MUTED};">{told}</div>'
    if criterion.counterexample:
        told += (
            f'<div style="margin:4px 0 0 0;color:{MUTED};">Smallest input that shows it:</div>'
            f'<pre style="margin:2px 0 0 0;white-space:pre-wrap;overflow-wrap:anywhere;'
            f'font-family:{MONO};">{_cut(criterion.counterexample)}</pre>'
        )
    return told


def _text(text: str) -> str:
    """The first failure is told; the others, one a line, are folded."""
    if not text:
        return ""
    style = "margin:3px 0 0 0;white-space:pre-wrap;overflow-wrap:anywhere;"
    first, _, rest = text.partition("\n")
    told = f'<div style="{style}">{_cut(first)}</div>'
    if not rest.strip():
        return told
    more = rest.count("\n") + 1
    return (
        f'{told}<details><summary style="cursor:pointer;color:{MUTED};">{more} more '
        f'line{"s" if more > 1 else ""}</summary><div style="{style}">{_cut(rest)}</div></details>'
    )


def _cut(text: str) -> str:
    if len(text) <= MAX_TEXT:
        return escape(text)
    return f"{escape(text[:MAX_TEXT])}\n({len(text) - MAX_TEXT} more characters in the report)"
