"""The board as pages: plain HTML without scripts, for a screen of any width and for paper."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import quote

from grader.feedback import visible
from grader.feedback_style import STYLE
from grader.records.board import Board, CapstoneBoard, Stuck
from grader.records.gradebook_reader import Attempt

__all__ = ["POLICY", "capstone_page", "learner_page", "learners_page", "overview_page"]

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
EVERY_S = 30
MAX_STUCK = 100
_STYLE = """
body { max-width: 72rem; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; list-style: none; padding: 0;
  margin: .5rem 0; }
.wide { overflow-x: auto; margin: 1rem 0; } td.number, th.number { text-align: right; }
td.short, td.short a { white-space: nowrap; } .wide tbody th { min-width: 8rem; }
.share { background: var(--panel); border: 1px solid var(--line); border-radius: .3rem;
  height: .6rem; min-width: 6rem; overflow: hidden; margin: .3rem 0 0; }
.share > div { background: var(--good); height: 100%; print-color-adjust: exact; }
@media (max-width: 30rem) { td[data-name]::before { content: attr(data-name) ": ";
  color: var(--soft); } td.number { display: inline-block; padding-right: 1rem; }
  td.short, td.short a { white-space: normal; } .share { display: none; } }
"""
_COUNTS = ("Passed", "Failed", "Not written", "Waiting", "Nothing judged")
_TOTALS = ("Submitted", "Not submitted", "Median score", "Attempts", "Stuck at", "Learners")
_NUMBERS = frozenset((*_COUNTS, *_TOTALS, "Attempt", "Score"))
_SHORT = frozenset(("Capstone", "Last seen", "Verdict", "Graded", "Feedback"))


class _Links:
    """Where the other pages are; `base` holds the token."""

    def __init__(self, base: str) -> None:
        self.base = base

    def capstone(self, key: str) -> str:
        return f'<a href="{self.base}/capstone/{quote(key, safe="")}">{visible(key)}</a>'

    def learner(self, name: str) -> str:
        return f'<a href="{self.base}/learner/{quote(name, safe="")}">{visible(name)}</a>'


def overview_page(board: Board, base: str, *, refresh: bool = False) -> str:
    """Every capstone in one line, who is stuck, and where to look closer."""
    links = _Links(base)
    body = [
        _table(
            "Capstones",
            ("Capstone", "Passed", "Submitted", "Not submitted", "Median score", "Last seen"),
            (
                (
                    f"{links.capstone(c.key)} {visible(c.title)}{_share(c)}",
                    f"{c.passed} of {c.submitted}",
                    f"{c.submitted}{f' (+{c.unjudged} not judged)' if c.unjudged else ''}",
                    str(c.not_submitted),
                    "" if c.median_score is None else f"{c.median_score:g}",
                    _ago(c.last_at, board.made_at),
                )
                for c in board.capstones
            ),
        ),
        *_stuck(board.stuck, links, board.made_at),
    ]
    return _page("Board", body, board, base, "", refresh=refresh)


def capstone_page(
    capstone: CapstoneBoard, board: Board, base: str, *, refresh: bool = False
) -> str:
    """One capstone: its criteria, who is stuck at them, and what learners are told most."""
    links = _Links(base)
    said = [f"{capstone.passed} of {capstone.submitted} with a judged attempt have passed"]
    said += [f"{capstone.unjudged} with none that could be judged"] if capstone.unjudged else []
    said += [f"{capstone.not_submitted} not submitted"]
    body = [
        f"<p>{'; '.join(said)}.</p>",
        _table(
            "Learners at each criterion",
            ("Criterion", *_COUNTS),
            (
                (
                    _criterion(t.criterion, t.title),
                    *map(str, (t.passed, t.failed, t.not_written, t.waiting, t.not_submitted)),
                )
                for t in capstone.criteria
            ),
        ),
        *_stuck(capstone.stuck, links, board.made_at, but="Capstone"),
    ]
    if capstone.messages:
        body.append("<h2>Told most</h2>")
        body.append(
            _table(
                "What at least two learners were told last",
                ("What is asked", "Criterion", "Learners"),
                (
                    (visible(m.says), visible(m.criterion), str(m.learners))
                    for m in capstone.messages
                ),
            )
        )
    where = f"/capstone/{quote(capstone.key, safe='')}"
    return _page(f"{capstone.key}: {capstone.title}", body, board, base, where, refresh=refresh)


def learners_page(board: Board, base: str, *, refresh: bool = False) -> str:
    """Everyone; who was last seen longest ago comes first."""
    links = _Links(base)
    table = _table(
        "Learners, longest not seen first",
        ("Learner", "Passed", "Submitted", "Attempts", "Stuck at", "Last seen"),
        (
            (
                links.learner(row.learner),
                *map(str, (row.passed, row.submitted, row.attempts, row.stuck)),
                _ago(row.last_at, board.made_at),
            )
            for row in board.learners
        ),
    )
    return _page("Learners", [table], board, base, "/learners", refresh=refresh)


def learner_page(
    learner: str, attempts: Sequence[Attempt], board: Board, base: str, *, refresh: bool = False
) -> str:
    """One learner: every attempt, with its feedback."""
    links = _Links(base)
    stuck = [entry for entry in board.stuck if entry.learner == learner]
    table = _table(
        "Attempts, the last one first",
        ("Capstone", "Attempt", "Score", "Verdict", "Graded", "Feedback"),
        (
            (
                links.capstone(at.capstone),
                str(at.attempt),
                f"{at.score:g} of {at.max_score:g}",
                _verdict(at),
                visible(_moment(at.graded_at)),
                f'<a href="{base}/feedback/{at.receipt}">{at.receipt}</a>',
            )
            for at in reversed(attempts)
        ),
    )
    body = [*_stuck(stuck, links, board.made_at, but="Learner"), table]
    where = f"/learner/{quote(learner, safe='')}"
    return _page(learner, body, board, base, where, refresh=refresh)


def _page(
    title: str, body: Iterable[str], board: Board, base: str, where: str, *, refresh: bool
) -> str:
    again = f'<meta http-equiv="refresh" content="{EVERY_S}">' if refresh else ""
    here = f"{base}{where or '/'}"
    turn = (
        f'<a href="{here}">Stop refreshing</a>'
        if refresh
        else f'<a href="{here}?every">Refresh every {EVERY_S} s</a>'
    )
    links = (
        f'<a href="{base}/">Capstones</a>',
        f'<a href="{base}/learners">Learners</a>',
        f'<a href="{here}{"?every" if refresh else ""}">Refresh</a>',
        turn,
    )
    menu = "".join(f"<li>{link}</li>" for link in links)
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8">{again}',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{visible(title)}</title><style>{STYLE}{_STYLE}</style></head><body>",
        '<a class="skip" href="#content">Skip to the content</a>',
        f'<header class="top"><h1>{visible(title)}</h1>',
        f'<nav aria-label="Pages"><ul>{menu}</ul></nav></header>',
        f'<main id="content">{"".join(body)}</main>',
        f'<footer><p class="soft">{len(board.learners)} learners, as of',
        f"{visible(_moment(board.made_at))}. This page only reads.</p></footer>",
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are markup already: the first names its row."""
    head = "".join(f'<th scope="col"{_class(name)}>{name}</th>' for name in heads)
    lines = []
    for first, *others in rows:
        cells = "".join(
            f'<td data-name="{name}"{_class(name)}>{cell}</td>'
            for name, cell in zip(heads[1:], others, strict=True)
        )
        lines.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    if not lines:
        return f"<p>{caption}: nothing yet.</p>"
    return (
        f'<div class="wide" role="region" aria-label="{caption}" tabindex="0"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _class(name: str) -> str:
    kind = "number" if name in _NUMBERS else "short" if name in _SHORT else ""
    return f' class="{kind}"' if kind else ""


def _stuck(stuck: Sequence[Stuck], links: _Links, now: str, *, but: str = "") -> Iterator[str]:
    """Without the column `but`, which the page is about."""
    if not stuck:
        return
    rows = [
        {
            "Learner": links.learner(s.learner),
            "Capstone": links.capstone(s.capstone),
            "Criterion": _criterion(s.criterion, s.title),
            "Attempts": str(s.attempts),
            "What they were told": visible(s.says),
            "Last seen": _ago(s.last_at, now),
        }
        for s in stuck[:MAX_STUCK]
    ]
    heads = [name for name in rows[0] if name != but]
    yield "<h2>Stuck</h2>"
    yield _table(
        "Many attempts on one criterion", heads, ([row[name] for name in heads] for row in rows)
    )
    if len(stuck) > MAX_STUCK:
        yield f"<p>And {len(stuck) - MAX_STUCK} more.</p>"


def _criterion(key: str, title: str) -> str:
    return visible(f"{key}. {title}" if key.isdigit() else f"Bonus: {title}")


def _share(capstone: CapstoneBoard) -> str:
    known = capstone.submitted + capstone.unjudged + capstone.not_submitted
    width = 100 * capstone.passed / known if known else 0
    return (
        f'<div class="share" role="img" aria-label="{width:.0f} per cent passed">'
        f'<div style="width:{width:.1f}%"></div></div>'
    )


def _verdict(attempt: Attempt) -> str:
    if not attempt.judged:
        return '<span class="soft">– not judged</span>'
    if attempt.passed:
        return '<span class="good">✓ passed</span>'
    return '<span class="bad">✗ not passed</span>'


def _moment(at: str) -> str:
    """Without seconds, in the zone of all records."""
    try:
        moment = datetime.datetime.fromisoformat(at).astimezone(datetime.UTC)
    except ValueError:  # written by hand
        return at
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _ago(at: str, now: str) -> str:
    """How long ago, in whole days or hours."""
    if not at:
        return "never"
    try:
        gone = datetime.datetime.fromisoformat(now) - datetime.datetime.fromisoformat(at)
    except (TypeError, ValueError):  # written by hand, or without a zone
        return visible(at)
    hours = int(gone.total_seconds() // 3600)
    if hours < 1:
        return "within the hour"
    if hours < 48:
        return f"{hours} hour{'s' if hours > 1 else ''} ago"
    return f"{hours // 24} days ago"
