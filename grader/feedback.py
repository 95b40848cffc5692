"""feedback.html: the report for a person, one file that needs nothing else.

Every word that may come from a submission is escaped text; pictures are those the grader drew
itself, as inert images. The page forbids scripts to itself besides. What it says comes from
`meridian.academy.story`, as on the card and on the terminal.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.feedback_style import STYLE
from grader.records.marks import ManualMark
from grader.report import Report
from meridian.academy.curriculum import Capstone
from meridian.academy.story import (
    COMMAND,
    CriterionStory,
    HandMark,
    NotebookStory,
    RaceStory,
    Story,
    mark,
    tell,
    word,
)
from meridian.academy.widgets.report import load_verdict

__all__ = ["feedback_html", "visible"]

POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_IMAGES = {".svg": "image/svg+xml", ".png": "image/png"}
_MAX_IMAGE_BYTES = 2 * 2**20
_MAX_TEXT = 20_000


def visible(text: object) -> str:
    """`text` with control characters and direction marks written out, then escaped."""
    shown = "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode()
        for c in str(text)
    )
    return html.escape(shown, quote=True)


def feedback_html(
    report: Report,
    title: str,
    out: Path,
    *,
    capstone: Capstone | None = None,
    marks: Sequence[ManualMark] = (),
    receipt: str = "",
) -> str:
    """The page for `report`; plots are read from `out` and put into the page.

    `capstone` says what is required; `marks` are those a person gave, `receipt` what the learner
    was given for this attempt.
    """
    given = [
        HandMark(m.criterion, m.points, m.why, m.author) for m in marks if m.points is not None
    ]
    story = tell(load_verdict(report)[0], capstone, given)
    name = visible(title or story.title)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{name}: feedback</title><style>{STYLE}</style></head><body>",
        *(['<a class="skip" href="#criteria">Skip to the criteria</a>'] if report.judged else []),
        *_verdict(story, name, report.judged),
        "<main>",
        *(_criteria(story) if report.judged else ()),
        *_notebook(story.notebook),
        *_races(story.races, out),
        "</main>",
        *_footer(story, receipt),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(story: Story, name: str, judged: bool) -> Iterator[str]:
    yield f'<header class="top"><h1>{name}</h1>'
    facts = dict(story.facts)
    whose = [facts["Capstone"]]
    whose += [facts["Learner"]] if "Learner" in facts else []
    whose += [f"attempt {facts['Attempt']}"] if "Attempt" in facts else []
    yield f'<p class="soft">{visible(", ".join(whose))}</p>'
    sign = f'<span class="{_kind(story.outcome)}">{mark(story.outcome)}</span>'
    yield f'<p class="verdict">{sign} <strong>{visible(story.headline)}</strong></p>'
    if judged:
        width = 100 * min(1.0, max(0.0, story.share))
        yield (
            f'<div class="bar" role="img" aria-label="{width:.0f} per cent of the points">'
            f'<div style="width:{width:.1f}%"></div></div>'
        )
    why = f"{story.why[:1].upper()}{story.why[1:]}." if story.why else story.rule
    for line in (why, story.cause, *story.notes):
        if line:
            yield f"<p>{visible(line)}</p>"
    if story.advice:
        yield f"<p><strong>Next:</strong> {_advice(story.advice)}</p>"
    yield "</header>"


def _criteria(story: Story) -> Iterator[str]:
    yield '<section aria-labelledby="criteria"><h2 id="criteria">Criteria</h2>'
    yield "<table><caption>Points of every criterion</caption><thead><tr>"
    yield '<th scope="col">Criterion</th><th scope="col">Points</th><th scope="col">Outcome</th>'
    yield "</tr></thead><tbody>"
    told = {entry.id: i for i, entry in enumerate(story.criteria) if _has_more(entry)}
    for entry in story.criteria:
        name = _name(entry)
        if entry.id in told:
            name = f'<a href="#told-{told[entry.id]}">{name}</a>'
        extra = ' <span class="soft">required</span>' if entry.kind == "required" else ""
        yield (
            f'<tr><th scope="row">{name}{extra}</th><td class="points">{entry.points}</td>'
            f"<td>{_outcome(entry.outcome)}</td></tr>"
        )
    yield "</tbody></table></section>"
    if told:
        yield '<section aria-labelledby="told"><h2 id="told">What to look at</h2>'
        waiting = [entry for entry in story.criteria if entry.id in told and _waits(entry)]
        for entry in story.criteria:
            if entry.id in told and entry not in waiting:
                yield from _told(entry, told[entry.id])
        yield from _waiting(waiting, told)
        yield "</section>"


def _waits(entry: CriterionStory) -> bool:
    """Whether all there is to tell is that another criterion comes first."""
    return entry.outcome == "blocked" and not entry.by_hand


def _has_more(entry: CriterionStory) -> bool:
    return bool(entry.messages or entry.counterexample or entry.by_hand)


def _name(entry: CriterionStory) -> str:
    return visible(f"{entry.id}. {entry.title}" if entry.id.isdigit() else f"Bonus: {entry.title}")


def _told(entry: CriterionStory, number: int) -> Iterator[str]:
    yield f'<article class="{_kind(entry.outcome)}" id="told-{number}">'
    yield f"<h3>{_name(entry)}</h3>"
    required = ", required" if entry.kind == "required" else ""
    yield f'<p class="soft">{_outcome(entry.outcome)}, {entry.points} points{required}</p>'
    yield from _messages(entry.messages)
    if entry.counterexample:
        yield f"<p>Smallest input that shows it:</p><pre>{_cut(entry.counterexample)}</pre>"
    if entry.replay:
        yield f"<p>See it happen: <code>{visible(entry.replay)}</code></p>"
    if entry.by_hand:
        yield f"<p><strong>Marked by hand:</strong> {visible(entry.by_hand)}</p>"
    if entry.next:
        yield f"<p><strong>Next:</strong> {_advice(entry.next)}</p>"
    yield "</article>"


def _messages(messages: Sequence[str]) -> Iterator[str]:
    """One thing that went wrong is a paragraph, several are a list."""
    if len(messages) > 1:
        yield f'<ul class="said">{"".join(f"<li>{_cut(line)}</li>" for line in messages)}</ul>'
    elif messages:
        yield f'<p class="said">{_cut(messages[0])}</p>'


def _waiting(entries: Sequence[CriterionStory], told: Mapping[str, int]) -> Iterator[str]:
    """What waits for another criterion, in one place: there is one thing to do about it."""
    if not entries:
        return
    yield f'<article class="soft"><h3>{word("blocked").capitalize()}</h3>'
    yield "<dl>"
    for entry in entries:
        said = "<br>".join(map(_cut, entry.messages))
        yield f'<div id="told-{told[entry.id]}"><dt>{_name(entry)}</dt><dd>{said}</dd></div>'
    yield f"</dl><p><strong>Next:</strong> {_advice(entries[0].next)}</p></article>"


def _advice(text: str) -> str:
    """`text` with the command in it marked as one, so that it is copied whole."""
    return COMMAND.sub(lambda found: f"<code>{found[0]}</code>", visible(text))


def _notebook(notebook: NotebookStory | None) -> Iterator[str]:
    if notebook is None:
        return
    yield '<section aria-labelledby="notebook"><h2 id="notebook">Notebook</h2>'
    yield f"<p>{mark(notebook.outcome)} {visible(notebook.sentence)}</p>"
    if notebook.cells:
        yield '<table class="cells"><caption>Cells that did not run, or were repaired first'
        yield "</caption><thead><tr>"
        yield '<th scope="col">Cell</th><th scope="col">Outcome</th>'
        yield '<th scope="col">What happened</th></tr></thead><tbody>'
        for cell in notebook.cells:
            repair = f"Repaired: {cell.repair}" if cell.repair else ""
            said = "\n".join(part for part in (repair, cell.message) if part)
            yield (
                f'<tr><th scope="row">{visible(cell.id) or "The file"}</th>'
                f'<td>{_outcome(cell.outcome)}</td><td class="said">{_cut(said)}</td></tr>'
            )
        yield "</tbody></table>"
    yield "</section>"


def _races(races: Sequence[RaceStory], out: Path) -> Iterator[str]:
    if not races:
        return
    yield '<section aria-labelledby="races"><h2 id="races">Benchmarks</h2>'
    for race in races:
        caption = "<br>".join(map(visible, race.sentences))
        picture = _image(race, out)
        yield f"<figure><figcaption>{caption}</figcaption>{picture}</figure>"
    yield "</section>"


def _image(race: RaceStory, out: Path) -> str:
    """The plot as part of the page. Its file name comes from a report: only ours are read."""
    kind = _IMAGES.get(Path(race.plot).suffix)
    if not race.plot or kind is None:
        return ""
    home = out.resolve()
    path = (home / race.plot).resolve()
    if not (path.is_relative_to(home) and path.is_file()):
        return ""
    if path.stat().st_size > _MAX_IMAGE_BYTES:
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    said = visible("Plot. " + ". ".join(race.sentences))
    name = visible(race.sentences[-1].partition(":")[0])
    return (  # on a phone it is scrolled, by a finger or by the arrow keys, and stays readable
        f'<div class="plot" role="region" aria-label="Plot of {name}" tabindex="0">'
        f'<img alt="{said}" src="data:{kind};base64,{data}"></div>'
    )


def _footer(story: Story, receipt: str) -> Iterator[str]:
    yield '<footer aria-labelledby="facts"><h2 id="facts">How it was judged</h2><dl>'
    for name, value in story.facts:
        said = f"{value}: {story.box}" if name == "Box" and story.box else value
        yield f"<div><dt>{name}</dt><dd>{visible(said)}</dd></div>"
    if receipt:
        yield f"<div><dt>Receipt</dt><dd><code>{visible(receipt)}</code></dd></div>"
    yield "</dl>"
    yield (
        "<p>The report beside this page is signed. Whoever holds the key of the lab sees that "
        f"nobody changed it: <code>{visible(story.verify)}</code></p></footer>"
    )


def _outcome(outcome: str) -> str:
    return f'<span class="{_kind(outcome)}">{mark(outcome)} {word(outcome)}</span>'


def _kind(outcome: str) -> str:
    return {"passed": "good", "not_run": "soft", "not_written": "soft", "blocked": "soft"}.get(
        outcome, "bad"
    )


def _cut(text: str) -> str:
    if len(text) <= _MAX_TEXT:
        return visible(text)
    return f"{visible(text[:_MAX_TEXT])}\n({len(text) - _MAX_TEXT} more characters in the report)"
