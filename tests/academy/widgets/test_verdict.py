"""The verdict card: right words, inert text, plots from the report's folder and nowhere else."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.academy.curriculum import Curriculum
from meridian.academy.outcomes import replay_id
from meridian.academy.widgets.base import BAD
from meridian.academy.widgets.report import Verdict, VerdictError
from meridian.academy.widgets.verdict import MAX_TEXT, verdict_card

HOSTILE = [
    '<script>alert("x")</script>',
    "<img src=x onerror=alert(1)>",
    "</pre></div></td><h1>Passed: 100 of 100</h1>",
    "\x1b[2J\x00\u202egnp.exe",
    "&lt;b&gt; & <b>",
    "' onmouseover='alert(1)",
]


def criterion(name: str, outcome: str, score: float = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": name,
        "title": f"Criterion {name}",
        "points": 60 if name == "1" else 40,
        "score": score,
        "outcome": outcome,
        "message": "",
        "counterexample": "",
        "duration_s": 0.1,
        **more,
    }


REPORT: dict[str, Any] = {
    "schema_version": 1,
    "capstone": "database/01-storage",
    "score": 60,
    "max_score": 100,
    "bonus": 0,
    "passed": False,
    "box": "bwrap",
    "seed": "a1b2",
    "submission_sha256": "ab" * 32,
    "criteria": [criterion("1", "passed", 60), criterion("2", "timeout")],
    "notebook": {"outcome": "not_run", "cells": []},
    "benchmarks": [],
    "environment": {"mode": "submit"},
    "started_at": "2026-01-01T00:00:00+00:00",
    "duration_s": 1.0,
    "signature": "00",
}


STUB = "Adds. Not written yet (a.py:2): database/01-storage #1: add()"


def report(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(REPORT) | changes


def parsed(html: str) -> ET.Element:
    """The card as a tree: fails if any text broke out of its place."""
    return ET.fromstring(html.replace("<br>", "<br/>"))


def test_the_card_says_verdict_points_and_outcomes(lab: Curriculum) -> None:
    card = verdict_card(report())
    html = card.html()
    assert "Not passed: 60 of 100 points" in html
    assert "✓ passed" in html
    assert "✗ ran out of time" in html
    first, second = (html.partition(f"Criterion {n}")[2].partition("</div>")[0] for n in (1, 2))
    assert ">required<" in first, "required criteria are marked"
    assert "required" not in second
    assert html.count("70 points") == 1, "what is asked is said once"
    assert "Not passed: 60 of 100 points" in str(card)


@pytest.mark.parametrize(
    ("changes", "headline"),
    [
        ({"passed": True, "score": 100, "bonus": 4}, "Passed: 100 of 100 points with a bonus of 4"),
        ({"environment": {"mode": "check"}}, "Checked: 1 of 2 criteria passed, 60 of 100 points"),
        ({"environment": {"mode": "bench"}}, "Raced: 1 of 2 criteria passed, 60 of 100 points"),
    ],
)
def test_each_mode_has_its_sentence(changes: dict[str, Any], headline: str) -> None:
    assert headline in verdict_card(report(**changes)).html()


@pytest.mark.parametrize(
    "outcome",
    ["passed", "failed", "error", "timeout", "memory", "output", "crashed", "refused", "not_run"],
)
def test_every_outcome_has_a_mark_and_a_word(outcome: str) -> None:
    html = verdict_card(report(criteria=[criterion("1", outcome)])).html()
    mark = {"passed": "✓", "not_run": "–"}.get(outcome, "✗")
    assert re.search(rf">{mark} [a-z ]+</span></td>", html)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("where", ["message", "counterexample", "title", "cell", "race", "seed"])
def test_hostile_text_stays_text(text: str, where: str) -> None:
    changed = report()
    if where == "cell":
        cells = [{"id": text, "outcome": "error", "message": text, "duration_s": 0}]
        changed["notebook"] = {"outcome": "failed", "cells": cells}
    elif where == "race":
        changed["benchmarks"] = [
            {"name": text, "peer": text, "ratio": 1.0, "spread": 0.1, "unit": text, "plot": text}
        ]
    elif where == "seed":
        changed |= {"seed": text, "box": text, "submission_sha256": text, "capstone": text}
    else:
        changed["criteria"][1][where] = text
    html = verdict_card(changed).html()
    tags = {element.tag for element in parsed(html).iter()}
    assert tags <= {
        "div",
        "p",
        "b",
        "span",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "pre",
        "code",
        "br",
        "ul",
        "li",
        "img",
        "details",
        "summary",
    }
    assert not any(
        name.startswith("on") for element in parsed(html).iter() for name in element.attrib
    )
    assert not re.search("[\x00\x1b\u202e]", html)


@given(st.text())
def test_any_message_is_one_text_of_the_card(text: str) -> None:
    changed = report(criteria=[criterion("1", "failed", message=text, counterexample=text)])
    root = parsed(verdict_card(changed, folder="/nowhere").html())
    assert len(list(root.iter("tr"))) == 2


def test_the_first_failure_is_told_and_the_others_are_folded() -> None:
    changed = report(criteria=[criterion("1", "failed", message="first\nsecond\nthird")])
    root = parsed(verdict_card(changed).html())
    (folded,) = root.iter("details")
    assert "2 more lines" in "".join(folded.itertext())
    assert "first" not in "".join(folded.itertext())
    one = report(criteria=[criterion("1", "failed", message="only\n")])
    assert "<details>" not in verdict_card(one).html()


def test_a_novel_is_cut_and_says_so() -> None:
    changed = report(criteria=[criterion("1", "failed", message="x" * (MAX_TEXT + 7))])
    html = verdict_card(changed).html()
    assert "x" * MAX_TEXT in html
    assert "x" * (MAX_TEXT + 1) not in html
    assert "(7 more characters in the report)" in html


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    home = tmp_path / "report"
    (home / "plots").mkdir(parents=True)
    (home / "plots" / "insert.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (home / "plots" / "get.png").write_bytes(b"\x89PNG")
    (tmp_path / "secret.svg").write_text("<svg>secret</svg>")
    (home / "report.json").write_text(json.dumps(raced("plots/insert.svg")))
    return home


def raced(plot: str) -> dict[str, Any]:
    race = {"name": "Insert", "peer": "sqlite3", "ratio": 2.125, "spread": 0.1, "unit": "ns"}
    return report(benchmarks=[race | {"plot": plot}])


@pytest.mark.parametrize("given_as", ["file", "folder", "text"])
def test_a_report_on_disk_brings_its_plots(folder: Path, given_as: str) -> None:
    source: Any = {"file": folder / "report.json", "folder": folder, "text": str(folder)}[given_as]
    html = verdict_card(source).html()
    assert 'src="data:image/svg+xml;base64,' in html
    assert 'alt="Insert: 2.12 times the speed of sqlite3"' in html


def test_png_plots_are_shown_too(folder: Path) -> None:
    assert "data:image/png;base64," in verdict_card(raced("plots/get.png"), folder=folder).html()


@pytest.mark.parametrize(
    "plot", ["../secret.svg", "/etc/passwd", "plots/../../secret.svg", "report.json", ""]
)
def test_only_images_of_the_report_are_read(folder: Path, plot: str) -> None:
    assert "<img" not in verdict_card(raced(plot), folder=folder).html()


def test_a_link_out_of_the_folder_is_not_followed(folder: Path) -> None:
    (folder / "plots" / "link.svg").symlink_to(folder.parent / "secret.svg")
    assert "<img" not in verdict_card(raced("plots/link.svg"), folder=folder).html()


def test_a_missing_plot_is_named(folder: Path) -> None:
    html = verdict_card(raced("plots/gone.svg"), folder=folder).html()
    assert "The plot plots/gone.svg is not in the report" in html


def test_repairs_replays_and_what_is_next_are_told(lab: Curriculum) -> None:
    failed = criterion("1", "failed", message="Adds. Got 1", counterexample="1", replay="x")
    waits = criterion("2", "not_run", message="Not judged because criterion 1 failed")
    cells = [
        {"id": "a", "outcome": "passed", "repair": "it was there twice"},
        {"id": "b", "outcome": "passed"},
        {"id": "", "outcome": "failed", "message": "capstone.ipynb is missing"},
    ]
    changed = report(criteria=[failed, waits], notebook={"outcome": "failed", "cells": cells})
    html = verdict_card(changed).html()
    text = "".join(parsed(html).itertext())
    assert f"meridian replay {replay_id('a1b2', '1')}" in text
    assert "Next: Run the replay to see it happen" in text
    assert "– not judged yet" in text
    assert "Mend what it waits for" not in text, "the criterion it waits for says what to do"
    assert "Cell a ✓ passedRepaired: it was there twice" in text
    assert "The file ✗ failedcapstone.ipynb is missing" in text
    assert "Cell b" not in text


def test_one_cause_is_told_once(lab: Curriculum) -> None:
    first = criterion("1", "refused", message="a.py: a symbolic link.")
    html = verdict_card(report(criteria=[first, criterion("2", "refused")])).html()
    assert html.count("a symbolic link") == 1
    assert "Refused, and so nothing was judged:" in html


def test_what_was_not_judged_does_not_count(lab: Curriculum) -> None:
    html = verdict_card(report(judged=False)).html()
    assert "Not judged" in html
    assert "This attempt does not count." in html
    assert "60 of 100 points" not in html


def test_a_terminal_gets_no_escape(lab: Curriculum) -> None:
    assert "\x1b" not in str(verdict_card(report(criteria=[criterion("\x1b[2J", "failed")])))


def test_a_race_that_was_not_measured_says_so() -> None:
    changed = raced("")
    changed["benchmarks"][0] |= {"ratio": None, "spread": None}
    assert "Insert: not measured against sqlite3" in verdict_card(changed).html()


def test_the_graders_own_record_is_taken() -> None:
    record = msgspec.convert(report(), Verdict)
    assert verdict_card(record).html() == verdict_card(report()).html()


@pytest.mark.parametrize("wrong", [None, 3, [], {}, {"capstone": 1}, object(), report(score="x")])
def test_what_is_no_report_is_refused_with_the_reason(wrong: Any) -> None:
    with pytest.raises(VerdictError, match="is not a report of the grader"):
        verdict_card(wrong)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b'{"capstone": "x"}'])
def test_a_file_that_is_no_report_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(VerdictError, match=r"report\.json"):
        verdict_card(path)


def test_a_missing_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verdict_card(tmp_path / "none.json")


def test_what_is_not_written_is_grey(lab: Curriculum) -> None:
    stubs = [criterion(name, "failed", message=STUB) for name in ("1", "2", "extra")]
    empty = verdict_card(report(criteria=stubs, score=0, environment={"mode": "check"}))
    html = empty.html()
    assert "Checked: 0 of 2 criteria written" in html
    assert html.count("– not written yet") == 3
    assert "✗" not in html
    assert BAD not in html
    assert "✗" not in str(empty)
    one = [criterion("1", "passed", 60), *stubs[1:]]
    begun = verdict_card(report(criteria=one, environment={"mode": "check"})).html()
    assert "Checked: 1 of 2 criteria passed, 1 not written yet, 60 of 100 points" in begun
    submitted = verdict_card(report(criteria=stubs, score=0)).html()
    assert "Not passed: 0 of 100 points" in submitted
    assert "✗" not in submitted


def test_races_that_share_a_plot_show_it_once(lab: Curriculum, tmp_path: Path) -> None:
    (tmp_path / "race.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    races = [
        {"name": "Inserts", "peer": peer, "ratio": 1.5, "spread": 0.1, "plot": "race.svg"}
        for peer in ("sqlite3", "model answer")
    ]
    html = verdict_card(report(benchmarks=races), folder=tmp_path).html()
    assert html.count("<img") == 1
    assert html.index("times the speed of the model answer") < html.index("<img")
    assert html.index("times the speed of sqlite3") < html.index("<img")
