"""One failure told once, in order; nothing of the suite and of the machine is told with it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.judging.dependents import Dependents
from grader.judging.judge import SuiteError
from grader.judging.verdict import Verdict
from grader.scrub import scrubber
from meridian.academy.curriculum import Criterion
from meridian.academy.outcomes import shown_outcome

TRUSTED = {"mode": "check", "box": "none", "trusted": True}


def capstone(toy: Any, *points: int) -> Any:
    criteria = tuple(
        Criterion(id=str(i), title=f"Title {i}", points=p) for i, p in enumerate(points, 1)
    )
    return msgspec.structs.replace(toy.capstone, criteria=criteria)


# -- after ---------------------------------------------------------------------------------------

CHAIN = """
@pytest.mark.criterion("2", points=30, after="test_add")
def test_counter(submission):
    '''A counter counts.'''
    expect(submission.Counter(5).add(2), 7)

@pytest.mark.criterion("1", points=40)
def test_add(submission):
    '''Adds two numbers.'''
    expect(submission.add(2, 3), 5, call="add(2, 3)")

@pytest.mark.criterion("3", points=20, after=("2", "test_add"))
def test_place(submission):
    '''A place has a page.'''
    expect(submission.place(3, 4).page, 3)

@pytest.mark.criterion("3", points=10)
def test_place_again(submission):
    '''A place has a slot.'''
    expect(submission.place(3, 4).slot, 4)
"""


def test_what_a_failure_makes_meaningless_is_not_judged_and_says_why(toy: Any) -> None:
    report = toy.judge(
        "from .honest import *\ndef add(a, b): return 0\n",
        suite=toy.suite_of(CHAIN),
        definition=capstone(toy, 40, 30, 30),
        **TRUSTED,
    )
    first, second, third = report.criteria
    assert (first.outcome, first.score) == ("failed", 0)
    assert (second.outcome, second.score) == ("not_run", 0)
    assert second.message == 'Not judged because "Adds two numbers" failed'
    assert second.duration_s < 0.5
    assert (third.outcome, third.score) == ("not_run", 10), "what does not depend is judged"
    assert third.message == 'A place has a page. Not judged because "Adds two numbers" failed'
    assert shown_outcome(third.outcome, third.message) == "blocked"
    assert (report.score, report.passed, report.judged) == (10, False, True)
    text = (toy.out / "report.json").read_text()
    assert text.count("add(2, 3): expected 5") == 2, "in the message and in the replay"


def test_dependents_run_after_what_they_need_whatever_the_order(toy: Any) -> None:
    seen: list[str] = []
    report = toy.judge(
        "from .honest import *\n",
        suite=toy.suite_of(CHAIN),
        definition=capstone(toy, 40, 30, 30),
        on_event=lambda event: seen.append(event["message"]),
        **TRUSTED,
    )
    assert report.score == 100
    order = [text for text in seen if text.startswith("criterion")]
    assert order == ["criterion 1", "criterion 2", "criterion 3", "criterion 3"]


def test_a_stub_names_the_order_to_work_in(toy: Any) -> None:
    stub = "def add(a, b): raise NotImplementedError('toy/01 #1: add()')\n"
    report = toy.judge(
        "from .honest import *\n" + stub,
        suite=toy.suite_of(CHAIN),
        definition=capstone(toy, 40, 30, 30),
        **TRUSTED,
    )
    assert shown_outcome(report.criteria[0].outcome, report.criteria[0].message) == "not_written"
    assert report.criteria[1].message == 'Not judged because "Adds two numbers" is not written yet'


def test_a_criterion_that_failed_is_named_by_its_title(toy: Any) -> None:
    report = toy.judge(
        "from .honest import *\nclass Counter:\n    def __init__(self, start): raise KeyError\n",
        suite=toy.suite_of(CHAIN),
        definition=capstone(toy, 40, 30, 30),
        **TRUSTED,
    )
    message = report.criteria[2].message
    assert message == "A place has a page. Not judged because criterion 2 (Title 2) failed"


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ('"test_nothing"', "after='test_nothing' is no test and no criterion"),
        ('"test_counter"', "wait for each other: test_counter"),
        ('"3"', "wait for each other: test_counter, test_place"),
    ],
)
def test_a_wrong_after_is_a_mistake_of_the_suite(toy: Any, after: str, reason: str) -> None:
    suite = toy.suite_of(CHAIN.replace('after="test_add"', f"after={after}"))
    with pytest.raises(SuiteError, match=re.escape(reason)):
        toy.judge(suite=suite, definition=capstone(toy, 40, 30, 30), **TRUSTED)


def test_a_misspelled_mark_is_a_mistake_of_the_suite(toy: Any) -> None:
    suite = toy.suite_of(CHAIN.replace('after="test_add"', 'afer="test_add"'))
    with pytest.raises(SuiteError, match="criterion takes points and after"):
        toy.judge(suite=suite, definition=capstone(toy, 40, 30, 30), **TRUSTED)


def test_a_race_waits_for_what_was_judged_in_the_stage_before(toy: Any) -> None:
    body = CHAIN + (
        "@pytest.mark.criterion('4', points=10, after='test_add')\n"
        "def test_speed(submission, race):\n    '''Fast.'''\n    raise CriterionFailed('slow')\n"
    )
    definition = capstone(toy, 40, 30, 30)
    speed = Criterion(id="4", title="Speed", points=10, benchmark=True)
    definition = msgspec.structs.replace(definition, criteria=(*definition.criteria, speed))
    settings = {
        "suite": toy.suite_of(body),
        "definition": definition,
        "submission": toy.submission("from .honest import *\ndef add(a, b): return 0\n"),
        **TRUSTED,
    }
    whole = toy.judge(**{**settings, "mode": "submit"})
    assert whole.criteria[3].message == 'Not judged because "Adds two numbers" failed'
    alone = toy.judge(**{**settings, "mode": "bench"})
    assert alone.criteria[3].outcome == "failed", "nothing is known of what it waits for"


def test_the_root_of_a_chain_is_told() -> None:
    marks = {
        "a": pytest.mark.criterion("1", points=1).mark,
        "b": pytest.mark.criterion("2", points=1, after="a").mark,
        "c": pytest.mark.criterion("3", points=1, after=["b"]).mark,
    }
    dependents = Dependents({"1": "One"})
    assert dependents.read(marks, {node: node for node in marks}) == []
    assert dependents.ordered(["c", "b", "a"]) == ["a", "b", "c"]
    verdicts = {"a": Verdict("1", 1, "First.", outcome="error", message="First. x")}
    cause = dependents.cause("b", verdicts)
    assert cause == '"First" failed'
    verdicts["b"] = Verdict("2", 1, "Second", outcome="not_run", because=cause)
    assert dependents.cause("c", verdicts) == '"First" failed'
    verdicts["b"] = Verdict("2", 1, "Second", outcome="not_run", message="Second. skipped here")
    assert dependents.cause("c", verdicts) == "", "what was skipped is not known to be wrong"


# -- nothing leaks -------------------------------------------------------------------------------

SECRETS = """
SECRET = "the-hidden-constant"

@pytest.mark.criterion("1", points=20)
def test_assert(submission):
    '''Adds.'''
    hidden_variable = 987654321
    assert submission.add(1, 2) == hidden_variable - 987654318, "an-assertion-message"

@pytest.mark.criterion("1", points=20)
def test_bug(submission):
    '''Adds more.'''
    raise KeyError("a-bug-of-the-suite")

@pytest.mark.criterion("2", points=30)
def test_inputs(submission, rng):
    '''Counts.

    a-second-paragraph is for the author.
    '''
    hidden = [rng.randrange(10**9, 10**10) for _ in range(9)]
    expect(submission.map(submission.add, [(n, 1) for n in hidden[:8]]),
           [n + 1 for n in hidden[:8]])
    hidden_later = [submission.add(n, 1) for n in hidden]

@pytest.mark.criterion("3", points=30)
def test_path(submission):
    '''Saves.'''
    submission.save(submission.path("there/is/no/such"), b"")
"""
LEAKS = (
    "the-hidden-constant", "hidden_variable", "987654321", "an-assertion-message",
    "a-bug-of-the-suite", "a-second-paragraph", "hidden_later", "test_assert", "test_own",
)  # fmt: skip


@pytest.mark.parametrize("box", ["none", "rlimits"])
def test_no_word_of_the_suite_and_no_path_of_the_machine_gets_out(toy: Any, box: str) -> None:
    events: list[Any] = []
    body = SECRETS.replace("there/is/no/such", "no")
    wrong = (
        "from .honest import *\ndef add(a, b): return 0\n"
        "def save(path, data): open(path + '/x/y', 'rb')\n"
    )
    report = toy.judge(
        wrong,
        suite=toy.suite_of(body),
        definition=capstone(toy, 40, 30, 30),
        mode="check",
        box=box,
        trusted=box == "none",
        on_event=events.append,
    )
    told = "".join(
        (
            (toy.out / "report.json").read_text(),
            (toy.out / "feedback.html").read_text(),
            json.dumps(events),
        )
    )
    for words in LEAKS:
        assert words not in told
    for place in (toy.folder, Path(__file__).parents[3], Path(sys.prefix), Path.home()):
        assert f"{place}/" not in told
    assert "/scratch/no/x/y" in report.criteria[2].message
    assert [c.outcome for c in report.criteria] == ["failed", "failed", "error"]
    numbers = set(re.findall(r"\b\d{10}\b", report.criteria[1].replay))
    assert len(numbers) <= 16, "the inputs of the calls that were made, and what they should give"


def test_a_refusal_names_no_place_of_the_machine(toy: Any) -> None:
    folder = toy.submission()
    (folder / "toy" / "link.py").symlink_to("/etc/passwd")
    report = toy.judge(submission=folder, mode="check")
    assert (report.judged, report.passed, report.score) == (False, False, 0)
    assert str(toy.folder) not in (toy.out / "report.json").read_text()


def test_the_scrubber_knows_the_places_of_a_job(tmp_path: Path) -> None:
    work, submission, out = tmp_path / "work", tmp_path / "handed-in", tmp_path / "out"
    scrub = scrubber(work, submission, out)
    assert scrub(f"No file {work}/scratch-a1b2/pages.oor") == "No file /scratch/pages.oor"
    assert scrub(f"{work}/submission/toy/a.py:3") == "/submission/toy/a.py:3"
    assert scrub([f"{submission}: no", {f"{out}/x": 1}]) == ["/submission: no", {"/report/x": 1}]
    assert scrub(f"{submission}-other") == f"{submission}-other", "another folder"
    assert scrub(f"{Path.home()}") in ("/home", str(Path.home()))
    assert scrub([None, 1.5, True, "/etc/passwd"]) == [None, 1.5, True, "/etc/passwd"]


# -- what counts as an attempt -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "judged", "outcome"),
    [
        ("def add(a, b) return a\n", False, "refused"),
        ("import nothing_like_this_here\n", False, "refused"),
        ("from .nothing import *\n", False, "error"),
        ("from .honest import *\n1 / 0\n", False, "error"),
        ("import os\nos._exit(0)\n", True, "crashed"),
        ("from .honest import *\n", True, "passed"),
        ("def add(a, b): return 0\n", True, "failed"),
    ],
)
def test_an_exception_on_import_costs_no_attempt_and_a_limit_does(
    toy: Any, source: str, judged: bool, outcome: str
) -> None:
    report = toy.judge(source, mode="check", box="rlimits")
    assert (report.judged, report.criteria[0].outcome) == (judged, outcome), report.criteria[0]
    told = [c.message for c in report.criteria if c.message]
    assert len(told) == len(set(told))


def test_trouble_of_the_grader_is_no_verdict(toy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, name: str = "") -> None:
        raise RuntimeError("the judge's own")

    monkeypatch.setattr("grader.proxy.submission.Submission.module", broken)
    with pytest.raises(RuntimeError, match="the judge's own"):
        toy.judge(mode="check", box="none", trusted=True)
    assert not (toy.out / "report.json").exists()
