"""Reports and their signature; feedback pages; the gradebook that only grows."""

from __future__ import annotations

import html.parser
import itertools
import os
import re
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.feedback import feedback_html, visible
from grader.feedback_style import STYLE
from grader.records.gradebook import Gradebook, GradebookError
from grader.records.marks import ManualMark
from grader.report import (
    BadReport,
    BenchmarkEntry,
    CellReport,
    CriterionReport,
    NotebookReport,
    Report,
    lab_key,
    read_report,
)
from tests.grader.reports import HOSTILE, KEY, Tags, make


def test_a_report_comes_back_as_it_was_written(tmp_path: Path) -> None:
    report = make()
    report.write(tmp_path / "out" / "report.json")
    assert read_report(tmp_path / "out" / "report.json") == report
    assert os.listdir(tmp_path / "out") == ["report.json"]
    names = set(msgspec.json.decode((tmp_path / "out" / "report.json").read_bytes()))
    assert names == {
        "schema_version", "capstone", "score", "max_score", "bonus", "passed", "judged", "box",
        "seed", "submission_sha256", "criteria", "notebook", "benchmarks", "environment",
        "started_at", "duration_s", "signature",
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        lambda r: setattr(r, "score", 71),
        lambda r: setattr(r, "passed", False),
        lambda r: setattr(r, "seed", "other"),
        lambda r: setattr(r.criteria[0], "score", 100),
        lambda r: setattr(r.criteria[0], "message", " "),
        lambda r: r.environment.update(learner="bob"),
        lambda r: r.criteria.append(r.criteria[0]),
        lambda r: setattr(r, "signature", ""),
        lambda r: setattr(r, "signature", "0" * 64),
        lambda r: setattr(r, "signature", "é"),
    ],
)
def test_any_change_breaks_the_signature(change: Callable[[Report], None]) -> None:
    report = make()
    assert report.verify(KEY)
    assert not report.verify(b"x" * 32)
    change(report)
    assert not report.verify(KEY)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.dictionaries(st.text(), st.integers()).map(msgspec.json.encode))
def test_what_is_no_report_is_refused_with_its_path(content: bytes) -> None:
    class Fake(type(Path())):  # type: ignore[misc]
        def read_bytes(self) -> bytes:
            return content

    with pytest.raises(BadReport, match=r"r\.json"):
        read_report(Fake("r.json"))


def test_other_schemas_and_missing_reports_are_refused(tmp_path: Path) -> None:
    make(schema_version=9).write(tmp_path / "r.json")
    with pytest.raises(BadReport, match="schema 9, expected 2"):
        read_report(tmp_path / "r.json")
    with pytest.raises(BadReport, match="no such report"):
        read_report(tmp_path / "none.json")


def test_the_labs_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / ".meridian"
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(lab_key(folder))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    assert os.stat(folder / "key").st_mode & 0o777 == 0o600
    assert os.listdir(folder) == ["key"]
    assert lab_key(tmp_path / "other") != keys[0]
    (folder / "key").write_bytes(b"short")
    with pytest.raises(BadReport, match="expected a key of 32 bytes, got 5"):
        lab_key(folder)


# -- feedback ------------------------------------------------------------------------------------


def page_of(report: Report, title: str, out: Path) -> Tags:
    return Tags(feedback_html(report, title, out))


def test_hostile_text_is_only_text(tmp_path: Path) -> None:
    entry = CriterionReport(
        id=HOSTILE,
        title=HOSTILE,
        points=1,
        outcome="error",
        message=HOSTILE,
        counterexample=HOSTILE,
    )
    report = make(
        criteria=[entry],
        seed=HOSTILE,
        notebook=NotebookReport(
            outcome="failed", cells=[CellReport(id=HOSTILE, outcome="failed", message=HOSTILE)]
        ),
        benchmarks=[BenchmarkEntry(name=HOSTILE, ratio=2, spread=0.1, peer=HOSTILE, unit=HOSTILE)],
    )
    tags = page_of(report, HOSTILE, tmp_path)
    names = {tag for tag, _ in tags.found}
    assert names.isdisjoint({"script", "img", "iframe", "object", "link"})
    places = [attributes["href"] for tag, attributes in tags.found if tag == "a"]
    assert all(str(place).startswith("#") for place in places)
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert tags.text.count("alert('x')") >= 8
    assert "\x1b" not in tags.text
    assert "\u202e" not in tags.text
    assert "\\x1b[31m\\u202e" in tags.text


@settings(deadline=None)
@given(st.text())
def test_visible_text_is_readable_and_inert(text: str) -> None:
    shown = visible(text)
    assert not set("<>\"'") & set(shown)
    assert all(c.isprintable() or c == "\n" for c in html.unescape(shown))


def test_the_page_needs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "insert.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "plots" / "page.html").write_text("<script>1</script>")
    races = [
        BenchmarkEntry(name="insert", ratio=2.0, spread=0.1, peer="sqlite3", unit="record", plot=p)
        for p in ("plots/insert.svg", "plots/none.svg", "plots/page.html")
    ]
    tags = page_of(make(benchmarks=races), "Title", tmp_path)
    images = [attributes for tag, attributes in tags.found if tag == "img"]
    assert len(images) == 1
    assert str(images[0]["src"]).startswith("data:image/svg+xml;base64,")
    assert images[0]["alt"] == "Plot. insert: 2.00 times the speed of sqlite3"
    addresses = [a.get("src") for tag, a in tags.found if tag != "img"]
    assert not any(addresses)
    policies = [a["content"] for tag, a in tags.found if "http-equiv" in a]
    (policy,) = policies
    assert str(policy).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    assert "2.00 times the speed of sqlite3" in tags.text
    assert any(a.get("name") == "viewport" for _, a in tags.found)


def test_a_plot_of_several_races_is_shown_once(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "insert.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    races = [
        BenchmarkEntry(
            name="insert", ratio=2.0, spread=0.1, peer=peer, unit="record", plot="plots/insert.svg"
        )
        for peer in ("sqlite3", "model answer")
    ]
    tags = page_of(make(benchmarks=races), "Title", tmp_path)
    assert sum(tag == "img" for tag, _ in tags.found) == 1
    assert "2.00 times the speed of sqlite3" in tags.text
    assert "2.00 times the speed of the model answer" in tags.text


def test_what_is_not_written_is_not_marked_as_a_mistake(tmp_path: Path) -> None:
    stub = "Adds. Not written yet (a.py:2): toy/01 #1: add()"
    entries = [
        CriterionReport(id="1", title="One", points=60, outcome="failed", message=stub),
        CriterionReport(id="2", title="Two", points=40, outcome="failed", message="Two. Got 1"),
    ]
    tags = page_of(make(criteria=entries), "T", tmp_path)
    articles = [a.get("class") for tag, a in tags.found if tag == "article"]
    assert articles == ["soft", "bad"]
    assert "– not written yet" in tags.text
    assert "✗ failed" in tags.text


def test_the_page_says_verdict_points_and_box(tmp_path: Path) -> None:
    text = page_of(make(bonus=5), "Page manager", tmp_path).text
    for words in ("Page manager", "Passed: 70 of 100 points with a bonus of 5", "own processes"):
        assert words in text
    assert "Seed5eed" in text.replace("\n", "")
    assert "grader verify-report report.json" in text
    assert "Not passed: 70 of 100" in page_of(make(passed=False), "T", tmp_path).text
    assert "Checked: 0 of 1" in page_of(make(facts={"mode": "check"}), "T", tmp_path).text
    refused = page_of(make(judged=False), "T", tmp_path).text
    assert "This attempt does not count." in refused


def test_the_page_can_be_walked_through(tmp_path: Path) -> None:
    """Headings in order, tables with captions and heads, landmarks, one target for each link."""
    cells = [CellReport(id="a", outcome="failed", message="no", repair="it was split")]
    entries = [
        CriterionReport(id="1", title="One", points=60, outcome="failed", message="Two. Got 1"),
        CriterionReport(id="2", title="Two", points=40, score=40, outcome="passed"),
    ]
    report = make(
        criteria=entries,
        notebook=NotebookReport(outcome="failed", cells=cells),
        benchmarks=[BenchmarkEntry(name="n", ratio=2.0, spread=0.1, peer="p", unit="u")],
    )
    tags = page_of(report, "T", tmp_path)
    names = [tag for tag, _ in tags.found]
    levels = [int(name[1]) for name in names if name in ("h1", "h2", "h3")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert names.count("main") == names.count("header") == names.count("footer") == 1
    assert names.count("table") == names.count("caption") == 2
    assert all("scope" in a for tag, a in tags.found if tag == "th")
    ids = [a["id"] for _, a in tags.found if "id" in a]
    assert len(ids) == len(set(ids))
    links = [str(a["href"]).removeprefix("#") for tag, a in tags.found if tag == "a"]
    named = [str(a["aria-labelledby"]) for _, a in tags.found if "aria-labelledby" in a]
    assert {*links, *named} <= set(ids)
    assert "Repaired: it was split" in tags.text
    assert any(a.get("lang") == "en" for tag, a in tags.found if tag == "html")


def contrast(one: str, other: str) -> float:
    """The ratio of WCAG 2.2 between two colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_words_can_be_read_in_both_themes() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    themes = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in STYLE.split("@media")[:2]]
    for theme in themes:
        for ink in ("ink", "soft", "good", "bad", "link"):
            for ground in ("page", "panel"):
                assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, theme)


def test_a_mark_by_hand_is_shown_with_its_reason(tmp_path: Path) -> None:
    marks = [ManualMark("1", 90, "one <index> is off", "G. H.", "2026")]
    page = feedback_html(make(), "T", tmp_path, marks=marks, receipt="0123")
    assert "90 points given by G. H.: one &lt;index&gt; is off" in page
    assert "90 of 100" in page
    assert "0123" in page


def test_a_plot_outside_of_the_report_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.svg").write_text("<svg/>")
    out = tmp_path / "out"
    out.mkdir()
    (out / "link.svg").symlink_to(tmp_path / "secret.svg")
    for plot in ("../secret.svg", str(tmp_path / "secret.svg"), "link.svg"):
        race = BenchmarkEntry(name="n", ratio=1, spread=0, peer="p", unit="u", plot=plot)
        assert "<img" not in feedback_html(make(benchmarks=[race]), "T", out)


# -- gradebook -----------------------------------------------------------------------------------


def test_attempts_are_kept_in_order_with_receipts(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gradebook.sqlite"
    with Gradebook(path) as book:
        first = book.record(make(), KEY)
        second = book.record(make(score=90, facts={"attempt": 2}), KEY)
        other = book.record(make(facts={"learner": "bob"}), KEY)
        assert len({first, second, other}) == 3
        assert book.record(make(), KEY) == first  # entering it again changes nothing
    with Gradebook(path) as book:
        assert [(a.learner, a.attempt, a.score) for a in book.attempts()] == [
            ("ada", 1, 70), ("ada", 2, 90), ("bob", 1, 70),
        ]  # fmt: skip
        assert [a.receipt for a in book.attempts(learner="ada")] == [first, second]
        assert book.attempts(capstone="toy/02") == []
        assert book.attempts(learner="bob")[0].passed is True
        assert book.report(second).score == 90
        with pytest.raises(GradebookError, match="no attempt has the receipt"):
            book.report("0000")


def test_an_attempt_is_never_changed_or_removed(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    with Gradebook(path) as book:
        book.record(make(), KEY)
        with pytest.raises(GradebookError, match="already entered"):
            book.record(make(score=100), KEY)
        assert book.attempts()[0].score == 70
    database = sqlite3.connect(path)
    for statement in ("UPDATE attempts SET score = 100", "DELETE FROM attempts"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("INSERT OR REPLACE INTO attempts SELECT * FROM attempts")
    database.close()
    with Gradebook(path) as book:
        assert book.attempts()[0].score == 70


def test_only_genuine_submissions_are_entered(tmp_path: Path) -> None:
    with Gradebook(tmp_path / "g.sqlite") as book:
        forged = make()
        forged.score = 100
        with pytest.raises(GradebookError, match="signature"):
            book.record(forged, KEY)
        with pytest.raises(GradebookError, match="a check is no submission"):
            book.record(make(facts={"mode": "check"}), KEY)
        assert book.attempts() == []


def test_several_writers_append_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    Gradebook(path).close()
    errors: list[BaseException] = []

    def write(learner: int) -> None:
        try:
            with Gradebook(path) as book:
                for attempt in range(1, 6):
                    facts = {"learner": f"l{learner}", "attempt": attempt}
                    book.record(make(facts=facts), KEY)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with Gradebook(path) as book:
        assert len(book.attempts()) == 20
        assert [a.attempt for a in book.attempts(learner="l2")] == [1, 2, 3, 4, 5]


def test_a_file_that_is_no_gradebook_is_named(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    path.write_text("not a database at all, but long enough to look like something" * 20)
    with pytest.raises(GradebookError, match="not a gradebook"):
        Gradebook(path)
