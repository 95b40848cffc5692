"""feedback.html: the report for a person, one file that needs nothing else.

Every word that may come from a submission is escaped text; pictures are those the grader drew
itself, as inert images. The page forbids scripts to itself besides.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator
from pathlib import Path

from grader.report import BenchmarkEntry, CriterionReport, Report
from meridian.academy.outcomes import shown_outcome

__all__ = ["feedback_html", "visible"]

_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "error": "raised an error",
    "timeout": "took too long",
    "memory": "ran out of memory",
    "output": "wrote too much",
    "crashed": "crashed",
    "refused": "not run",
    "not_run": "not judged",
    "not_written": "not written yet",
}
_MARKS = {"passed": "✓", "not_run": "·", "not_written": "·"}
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_IMAGES = {".svg": "image/svg+xml", ".png": "image/png"}
_MAX_IMAGE_BYTES = 2 * 2**20
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #1a7f37; --bad: #b35900; }
@media (prefers-color-scheme: dark) { :root { --good: #4cc26b; --bad: #f0a35e; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  max-width: 46rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.verdict { font-size: 1.2rem; margin: .25rem 0 .75rem; }
.bar { height: .6rem; border: 1px solid var(--line); border-radius: .3rem; overflow: hidden; }
.bar > div { height: 100%; background: var(--good); }
article { border: 1px solid var(--line); border-left-width: .35rem; border-radius: .35rem;
  padding: .5rem .8rem; margin: .5rem 0; break-inside: avoid; }
.passed { border-left-color: var(--good); } .missed { border-left-color: var(--bad); }
article header { display: flex; gap: .6rem; justify-content: space-between; font-weight: 600; }
article header span:last-child { white-space: nowrap; }
.outcome { font-size: .9rem; opacity: .8; }
pre { background: var(--soft); padding: .5rem .7rem; border-radius: .3rem; margin: .4rem 0 0;
  white-space: pre-wrap; font: 14px/1.45 ui-monospace, monospace; }
figure { margin: 1rem 0; break-inside: avoid; } img { max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
footer { margin-top: 2rem; font-size: .85rem; opacity: .8; }
@media print { body { max-width: none; } }
"""


def visible(text: object) -> str:
    """`text` with control characters and direction marks written out, then escaped."""
    shown = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )
    return html.escape(shown, quote=True)


def feedback_html(report: Report, title: str, out: Path) -> str:
    """The page for `report`; plots are read from `out` and put into the page."""
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{visible(title)}: feedback</title><style>{_STYLE}</style></head><body>",
        *_verdict(report, title),
        "<h2>Criteria</h2>",
        *(_criterion(entry) for entry in report.criteria),
        *_notebook(report),
        *_benchmarks(report.benchmarks, out),
        *_footer(report),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(report: Report, title: str) -> Iterator[str]:
    mode = report.environment.get("mode", "submit")
    word = {"check": "Check", "bench": "Race"}.get(str(mode), "Submission")
    said = ("passed" if report.passed else "not passed yet") if mode == "submit" else "done"
    fell = report.notebook.outcome not in ("passed", "not_run")
    share = 100 * report.score / report.max_score if report.max_score else 0
    bonus = f", bonus of {report.bonus:g} included" if report.bonus else ""
    yield f"<h1>{visible(title)}</h1>"
    yield (
        f'<p class="verdict">{word} {said}: <strong>{report.score:g} of '
        f"{report.max_score:g} points</strong>{bonus}</p>"
    )
    if fell:
        yield "<p>A submission passes only if its notebook runs from top to bottom; see below.</p>"
    yield f'<div class="bar" role="presentation"><div style="width:{share:.1f}%"></div></div>'


def _criterion(entry: CriterionReport) -> str:
    outcome = shown_outcome(entry.outcome, entry.message)
    kind = {"passed": "passed", "not_run": "", "not_written": ""}.get(outcome, "missed")
    mark = _MARKS.get(outcome, "✗")
    number = f"{entry.id}." if entry.id.isdigit() else "Bonus:"
    title = f"{mark} {visible(number)} {visible(entry.title)}"
    points = f"{entry.score:g} of {entry.points:g}"
    parts = [
        f'<article class="{kind}"><header><span>{title}</span><span>{points}</span></header>',
        f'<div class="outcome">{_WORDS[outcome]} in {entry.duration_s:.2f} s</div>',
    ]
    if entry.message:
        parts.append(f"<pre>{visible(entry.message)}</pre>")
    if entry.counterexample:
        parts.append(
            f'<div class="outcome">Smallest example</div><pre>{visible(entry.counterexample)}</pre>'
        )
    return "".join([*parts, "</article>"])


def _notebook(report: Report) -> Iterator[str]:
    cells = [cell for cell in report.notebook.cells if cell.outcome not in ("passed", "not_run")]
    if report.notebook.outcome == "not_run":
        return
    yield f"<h2>Notebook: {_WORDS[report.notebook.outcome]}</h2>"
    if cells:
        yield "<table><tr><th>Cell</th><th>Outcome</th><th>What happened</th></tr>"
        for cell in cells:
            yield (
                f"<tr><td>{visible(cell.id)}</td><td>{_WORDS[cell.outcome]}</td>"
                f"<td>{visible(cell.message)}</td></tr>"
            )
        yield "</table>"


def _benchmarks(benchmarks: list[BenchmarkEntry], out: Path) -> Iterator[str]:
    if benchmarks:
        yield "<h2>Benchmarks</h2>"
    told = []
    for i, race in enumerate(benchmarks):
        ratio = "not measured" if race.ratio is None else f"{race.ratio:.2f} times as fast as"
        told.append(f"{visible(race.name)}: {ratio} {visible(race.peer)}, per {visible(race.unit)}")
        if not race.plot or race.plot not in (later.plot for later in benchmarks[i + 1 :]):
            caption = "<br>".join(told)
            yield f"<figure><figcaption>{caption}</figcaption>{_image(race, out)}</figure>"
            told.clear()


def _image(race: BenchmarkEntry, out: Path) -> str:
    kind = _IMAGES.get(Path(race.plot).suffix)
    path = out / race.plot
    if not race.plot or kind is None or not path.is_file():
        return ""
    content = path.read_bytes()
    if len(content) > _MAX_IMAGE_BYTES:
        return ""
    data = base64.b64encode(content).decode()
    return f'<img alt="Plot of {visible(race.name)}" src="data:{kind};base64,{data}">'


def _footer(report: Report) -> Iterator[str]:
    facts = {
        "Capstone": report.capstone,
        "Submission": report.submission_sha256[:16] or "not taken in",
        "Box": report.box,
        "Seed": report.seed,
        "Started": report.started_at,
        "Duration": f"{report.duration_s:.1f} s",
    }
    said = " · ".join(f"{name} {visible(value)}" for name, value in facts.items())
    yield f"<footer>{said}</footer>"
