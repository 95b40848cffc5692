"""Cohorts of toys graded for real: every verdict as deserved, recorded once, cached, signed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

import grader.cohort
from grader.cohort.disk import alone_in, alone_on, together_in
from grader.cohort.errors import CohortBusy, CohortStopped
from grader.records.gradebook import Gradebook
from grader.report import lab_key, read_report
from tests.grader.cohort.toys import KEY, WRONG, Cohort

pytestmark = pytest.mark.usefixtures("walls")


def book(cohort: Cohort) -> Gradebook:
    return Gradebook(cohort.lab / ".meridian" / "gradebook.sqlite")


def rows(summary: Any) -> dict[str, tuple[str, float, str]]:
    return {row.learner: (row.state, row.score, row.outcome) for row in summary.submissions}


def test_every_submission_gets_what_it_deserves_once(cohort: Cohort) -> None:
    deserved = cohort.add_kinds(8)
    cohort.pack("right-00")
    summary = cohort.run(workers=2)
    assert rows(summary) == {
        learner: ("done", kind.score, kind.outcome) for learner, kind in deserved.items()
    }
    assert summary.passed == 2
    assert summary.cached == 0
    key = lab_key(cohort.lab / ".meridian")
    with book(cohort) as records:
        attempts = records.attempts()
        assert sorted(entry.learner for entry in attempts) == sorted(deserved)
        assert {entry.receipt for entry in attempts} == {r.receipt for r in summary.submissions}
    for learner, kind in deserved.items():
        report = read_report(cohort.out / "reports" / learner / "attempt-1" / "report.json")
        assert report.verify(key)
        assert report.score == kind.score
        assert report.environment["learner"] == learner
        page = cohort.out / "feedback" / learner / "feedback.html"
        assert (
            page.read_text()
            == (cohort.out / "reports" / learner / "attempt-1" / "feedback.html").read_text()
        )
    assert not list(cohort.out.rglob(".*")), "nothing half written is left"
    written = json.loads((cohort.out / "cohort.json").read_text())
    assert written == json.loads(msgspec.json.encode(summary, enc_hook=str))


def test_the_same_again_is_free_and_says_so(cohort: Cohort) -> None:
    cohort.add_kinds(4)
    first = cohort.run(workers=2)
    before = {path: path.read_bytes() for path in cohort.out.rglob("report.json")}
    again = cohort.run()
    assert again.cached == 4
    assert rows(again) == rows(first)
    assert [r.receipt for r in again.submissions] == [r.receipt for r in first.submissions]
    assert {path: path.read_bytes() for path in cohort.out.rglob("report.json")} == before
    assert all(e["cached"] for e in cohort.events if e["event"] == "submission")
    assert again.peak_bytes == 0, "no worker was started"
    with book(cohort) as records:
        assert len(records.attempts()) == 4


def test_only_what_changed_is_touched(cohort: Cohort) -> None:
    cohort.add_kinds(3)
    first = cohort.run(workers=2)
    (cohort.submissions / "right-00" / "toy" / "__init__.py").write_text(WRONG)
    summary = cohort.run(only_changed=True)
    told = [(e["learner"], e["attempt"]) for e in cohort.events if e["event"] == "submission"]
    assert told == [("right-00", 2)], "changed files are the next attempt"
    assert rows(summary)["right-00"] == ("done", 60, "failed")
    assert {k: v for k, v in rows(summary).items() if k != "right-00"} == {
        k: v for k, v in rows(first).items() if k != "right-00"
    }
    assert [r.cached for r in summary.submissions] == [True, False, True]
    page = (cohort.out / "feedback" / "right-00" / "feedback.html").read_text()
    assert "60" in page
    assert (cohort.out / "reports" / "right-00" / "attempt-1").is_dir()


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "another's"])
def test_a_damaged_result_is_graded_anew(cohort: Cohort, damage: str) -> None:
    cohort.add("ann")
    cohort.add("bob", WRONG)
    first = cohort.run()
    one, other = sorted((cohort.lab / ".meridian" / "cohort").rglob("*.sealed"))
    data = one.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    one.write_bytes(
        {
            "cut": data[:-7],
            "flipped": bytes(flipped),
            "empty": b"",
            "another's": other.read_bytes(),
        }[damage]
    )
    again = cohort.run()
    assert again.cached == 1
    assert {k: v[1:] for k, v in rows(again).items()} == {k: v[1:] for k, v in rows(first).items()}
    notes = [row.note for row in again.submissions if row.note]
    assert notes == [notes[0]], "the gradebook keeps the first verdict, and the run says so"
    assert "already entered" in notes[0]


def test_a_seed_and_a_result_are_of_one_learner(cohort: Cohort) -> None:
    """Equal files of two learners are two jobs: their hidden inputs differ."""
    cohort.add("ann")
    cohort.add("bob")
    assert cohort.run(workers=2).cached == 0
    seeds = {read_report(path).seed for path in cohort.out.rglob("report.json")}
    assert len(seeds) == 2


def test_attempts_are_kept_apart_and_the_last_is_handed_out(cohort: Cohort) -> None:
    cohort.add("ann/attempt-1", WRONG)
    cohort.add("ann/attempt-2")
    summary = cohort.run(workers=2)
    assert [(row.attempt, row.score) for row in summary.submissions] == [(1, 60), (2, 100)]
    page = (cohort.out / "feedback" / "ann" / "feedback.html").read_text()
    last = cohort.out / "reports" / "ann" / "attempt-2" / "feedback.html"
    assert page == last.read_text()
    one = cohort.run(attempts=1, only_changed=True)
    assert [row.attempt for row in one.submissions] == [2]
    assert [item.path.name for item in one.odd] == ["attempt-1"]


def test_a_check_enters_no_gradebook(cohort: Cohort) -> None:
    cohort.add("ann")
    summary = cohort.run(mode="check")
    assert rows(summary) == {"ann": ("done", 100, "passed")}
    with book(cohort) as records:
        assert records.attempts() == []


def test_what_is_no_submission_is_listed(cohort: Cohort) -> None:
    cohort.add("ann")
    (cohort.submissions / "grades.csv").write_text("ann,100\n")
    summary = cohort.run()
    assert [
        (item.path.name, row.learner)
        for item, row in zip(summary.odd, summary.submissions, strict=True)
    ] == [("grades.csv", "ann")]
    assert "neither a folder nor an archive" in summary.odd[0].reason


def test_trouble_of_the_grader_is_nobodys_verdict(cohort: Cohort) -> None:
    """Three failures each, then a person; and when nothing works at all, the run stops."""
    for name in ("ann", "bob", "cid", "dan"):
        cohort.add(name)
    whole = cohort.suite.read_text()
    cohort.suite.write_text("import pytest\n")
    with pytest.raises(CohortStopped, match="no submission could be judged: SuiteError"):
        cohort.run()
    told = [e for e in cohort.events if e["event"] == "trouble"]
    assert len(told) <= 12
    with book(cohort) as records:
        assert records.attempts() == []
    cohort.suite.write_text(whole)
    assert cohort.run().passed == 4


def test_one_that_cannot_be_judged_needs_a_person(cohort: Cohort) -> None:
    """The rest is graded; asking again tries again."""
    cohort.add("ann")
    cohort.add("bob", "from .honest import *\nMARK = 'stumble'\n")
    whole = cohort.suite.read_text()
    cohort.suite.write_text(
        whole + "\n\n@pytest.fixture(autouse=True)\ndef stumble(submission):\n"
        "    try:\n        submission.MARK\n    except AttributeError:\n        return\n"
        "    pytest.exit('the suite stumbled')\n"
    )
    summary = cohort.run()
    assert rows(summary)["ann"] == ("done", 100, "passed")
    (person,) = summary.needs_a_person
    assert person.learner == "bob"
    assert "SuiteError" in person.note
    told = [e for e in cohort.events if e["event"] == "trouble"]
    assert (told[-1]["tries"], told[-1]["state"]) == (3, "person")
    cohort.suite.write_text(whole)
    assert rows(cohort.run())["bob"] == ("done", 100, "passed")


def test_one_run_at_a_time(cohort: Cohort) -> None:
    cohort.add("ann")
    with alone_on(cohort.queue), pytest.raises(CohortBusy, match="Another cohort run"):
        cohort.run()
    assert cohort.run().passed == 1


def test_one_run_at_a_time_writes_to_a_folder(cohort: Cohort) -> None:
    """Another queue is another run, which would sweep away what this one is about to hand out."""
    cohort.out.mkdir()
    with alone_in(cohort.out), pytest.raises(CohortBusy, match=r"another queue.*graded"):
        cohort.run()
    with alone_in(cohort.folder / "elsewhere"):
        assert cohort.run().submissions == []


def test_what_another_run_is_writing_is_not_swept_away(cohort: Cohort) -> None:
    kept = cohort.lab / ".meridian" / "cohort"
    (kept / "ab").mkdir(parents=True)
    half = kept / "ab" / ".result.sealed.1234"
    half.write_bytes(b"MSA1")
    with together_in(kept, first=lambda: None):
        cohort.run(queue=cohort.folder / "other.sqlite")
    assert half.exists()
    cohort.run()
    assert not half.exists(), "its writer is gone"


def test_a_check_leaves_the_reports_of_a_submission_alone(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cohort.folder)
    submitted, checked = cohort.run(out=None), cohort.run(out=None, mode="check")
    assert submitted.path == Path("graded", KEY, "cohort.json")
    assert checked.path == Path("graded", KEY, "check", "cohort.json")


def test_nothing_handed_in(cohort: Cohort) -> None:
    summary = cohort.run()
    assert (summary.submissions, summary.odd) == ([], [])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mode": "bench"}, "Expected mode"),
        ({"workers": 0}, "at least 1 worker"),
        ({"workers": True}, "at least 1 worker"),
        ({"attempts": 0}, "at least 1 attempt"),
        ({"box": "none"}, "Only trusted code"),
        ({"box": "chroot"}, "Expected box"),
    ],
)
def test_settings_that_make_no_sense(cohort: Cohort, settings: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cohort.run(**settings)
    assert not (cohort.out / "cohort.json").exists()


def test_no_folder_of_submissions(cohort: Cohort) -> None:
    with pytest.raises(NotADirectoryError, match="submissions"):
        grader.cohort.run(cohort.folder / "none", capstone=KEY, on_event=cohort.hear)
