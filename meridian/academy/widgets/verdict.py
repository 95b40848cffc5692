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
from meridian.academy.story import COMMAND, CellStory, CriterionStory, mark, printable, tell, word
from meridian.academy.widgets.base import BAD, GOOD, HTML_MIME, MONO, MUTED, escape
from meridian.academy.widgets.report import Verdict, load_verdict

__all__ = ["VerdictCard", "verdict_card"]

MAX_TEXT = 4_000
MAX_PLOT_BYTES = 4 << 20
_IMAGES = {".svg": "image/svg+xml", ".png": "image/png"}
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
        self.story = tell(verdict, capstone)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {HTML_MIME: self.html(), "text/plain": str(self)}

    def __repr__(self) -> str:
        return f"<VerdictCard {self.verdict.capstone}: {self.story.headline}>"

    def __str__(self) -> str:
        rows = [
            f"  {c.mark} {c.id:<8} {c.points.replace(' of ', '/')}  {c.title}: {c.word}"
            for c in self.story.criteria
        ]
        return printable("\n".join([f"{self.verdict.capstone}: {self.story.headline}", *rows]))

    def html(self) -> str:
        story = self.story
        sign = f'<span style="color:{_colour(story.outcome)};">{mark(story.outcome)}</span>'
        headline = f"<b>{sign} {escape(story.headline)}</b>"
        rule = f": {story.rule}" if story.rule and not story.why else ""
        why = f"{story.why[:1].upper()}{story.why[1:]}." if story.why else ""
        lines = "".join(
            f'<p style="margin:0 0 8px 0;">{_cut(line)}</p>'
            for line in (why, story.cause, story.advice, *story.notes)
            if line
        )
        parts = [
            f'<p style="font-size:18px;margin:0 0 2px 0;">{headline}</p>',
            f'<p style="margin:0 0 10px 0;color:{MUTED};">{escape(story.title)}{rule}</p>',
            lines,
            self._table() if self.verdict.judged else "",
            self._cells(),
            self._races(),
            self._foot(),
        ]
        return f'<div style="max-width:900px;">{"".join(parts)}</div>'

    def _table(self) -> str:
        cells = ("", "Criterion", "Points", "Outcome")
        style = f"text-align:left;padding:4px 10px;{_EDGE}"
        head = "".join(f'<th style="{style}">{cell}</th>' for cell in cells)
        rows = "".join(self._row(criterion) for criterion in self.story.criteria)
        return (
            '<table style="border-collapse:collapse;width:100%;text-align:left;">'
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _row(self, criterion: CriterionStory) -> str:
        must = f' <span style="color:{MUTED};">{criterion.kind}</span>' if criterion.kind else ""
        cell = f"text-align:left;vertical-align:top;padding:6px 10px;{_EDGE}"
        return (
            f'<tr><td style="{cell}">{escape(_number(criterion))}</td>'
            f'<td style="{cell}white-space:normal;width:70%;">'
            f"<div>{escape(criterion.title)}{must}</div>"
            f"{self._told(criterion)}</td>"
            f'<td style="{cell}white-space:nowrap;">{criterion.points}</td>'
            f'<td style="{cell}white-space:nowrap;">{_outcome(criterion.outcome)}</td></tr>'
        )

    def _told(self, criterion: CriterionStory) -> str:
        """What happened, the smallest input that shows it, and what to do next."""
        if self.story.cause and not criterion.counterexample:
            return ""  # told once, above
        told = _text("\n".join(criterion.messages))
        if criterion.outcome in ("not_written", "blocked"):
            told = f'<div style="color:{MUTED};">{told}</div>'
        if criterion.counterexample:
            told += (
                f'<div style="margin:4px 0 0 0;color:{MUTED};">Smallest input that shows it:</div>'
                f'<pre style="margin:2px 0 0 0;white-space:pre-wrap;overflow-wrap:anywhere;'
                f'font-family:{MONO};">{_cut(criterion.counterexample)}</pre>'
            )
        if criterion.replay:
            told += _small(f"See it happen: <code>{escape(criterion.replay)}</code>")
        if criterion.by_hand:
            told += _small(f"Marked by hand: {_cut(criterion.by_hand)}")
        if criterion.next and criterion.messages and criterion.outcome != "blocked":
            told += _small(f"Next: {_advice(criterion.next)}")
        return told

    def _cells(self) -> str:
        """The notebook's run, when there was one."""
        notebook = self.story.notebook
        if notebook is None:
            return ""
        told = "".join(f"<li>{_cell(cell)}</li>" for cell in notebook.cells)
        sentence = f"{mark(notebook.outcome)} {escape(notebook.sentence)}"
        return f'<p style="margin:12px 0 0 0;color:{_colour(notebook.outcome)};">{sentence}</p>' + (
            f"<ul>{told}</ul>" if told else ""
        )

    def _races(self) -> str:
        """One sentence for each race, and its plot under the last that it shows."""
        parts: list[str] = []
        for race in self.story.races:
            lines = "".join(
                f'<p style="margin:0;">{_sentence(said)}</p>' for said in race.sentences
            )
            plot = self._plot(race.plot, "; ".join(race.sentences))
            parts.append(f'<div style="margin:14px 0 0 0;">{lines}{plot}</div>')
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


def _number(criterion: CriterionStory) -> str:
    """A bonus has a name in place of a number, which its title says better."""
    return "+" if criterion.kind == "bonus" else criterion.id


def _sentence(said: str) -> str:
    """A race's sentence: the result stands out, what was noted beside it does not."""
    result, semicolon, rest = said.partition(";")
    return f"<b>{escape(result)}</b>{escape(semicolon + rest)}"


def _advice(text: str) -> str:
    """`text` with the command in it marked as one."""
    return COMMAND.sub(lambda found: f"<code>{found[0]}</code>", escape(text))


def _colour(outcome: str) -> str:
    muted = ("not_run", "not_written", "blocked")
    return GOOD if outcome == "passed" else MUTED if outcome in muted else BAD


def _outcome(outcome: str) -> str:
    said = f"{mark(outcome)} {escape(word(outcome))}"
    return f'<span style="color:{_colour(outcome)};">{said}</span>'


def _cell(cell: CellStory) -> str:
    repair = _small(f"Repaired: {_cut(cell.repair)}") if cell.repair else ""
    name = f"Cell <code>{escape(cell.id)}</code>" if cell.id else "The file"
    return f"{name} {_outcome(cell.outcome)}{repair}{_text(cell.message)}"


def _small(content: str) -> str:
    """One line in the muted ink; `content` is markup of ours."""
    return f'<div style="margin:4px 0 0 0;color:{MUTED};">{content}</div>'


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
