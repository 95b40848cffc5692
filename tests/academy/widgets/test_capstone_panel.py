"""The capstone panel: what each button runs, what is shown meanwhile, what comes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from meridian.academy import capstone
from meridian.academy.curriculum import Curriculum, UnknownKey
from meridian.academy.progress import ProgressStore
from meridian.academy.widgets import capstone_panel
from meridian.academy.widgets.base import HTML_MIME
from meridian.academy.widgets.capstone_panel import CapstonePanel

KEY = "database/01-storage"
END_S = 30.0
# Stands in for the command line: notes how it was called, then does what the file "play" says.
FAKE = """
import json, os, pathlib, signal, sys
lab = pathlib.Path(os.environ["MERIDIAN_LAB"])
with open(lab / "calls", "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + chr(10))
def say(**event): print(json.dumps(event), flush=True)
def report(**changes):
    home = lab / ".meridian" / "reports" / sys.argv[2] / sys.argv[1]
    home.mkdir(parents=True, exist_ok=True)
    criterion = dict(id="1", title="Reads back", points=60, score=60, outcome="passed")
    base = dict(capstone=sys.argv[2], score=60, max_score=60, bonus=0, passed=True, box="bwrap",
                seed="5", submission_sha256="00", criteria=[criterion],
                environment=dict(mode=sys.argv[1]))
    (home / "report.json").write_text(json.dumps({**base, **changes}))
    (home / "feedback.html").write_text("<p>All of it</p>")
    say(event="report", path=str(home / "report.json"))
def wait():
    say(event="stage", stage="acceptance", done=1, total=2, message="criterion <1>")
    signal.pause()
exec((lab / "play").read_text())
"""


@pytest.fixture
def play(lab: Curriculum) -> Path:
    """The file that says what the fake command does; a report by default."""
    (lab.root / "fake.py").write_text(FAKE)
    path = lab.root / "play"
    path.write_text("report()")
    return path


@pytest.fixture
def panel(lab: Curriculum, store: ProgressStore, play: Path) -> Iterator[CapstonePanel]:
    for number in (1, 2):
        store.record_quiz(f"{KEY}/{number}", 5, 5, "d")
    shown = make(lab)
    yield shown
    if shown.job is not None:
        shown.job.cancel()
        assert shown.job.wait(END_S)


def make(lab: Curriculum) -> CapstonePanel:
    command = (sys.executable, str(lab.root / "fake.py"))
    return capstone(KEY, curriculum=lab, command=command)


def press(panel: CapstonePanel, action: str) -> None:
    panel.handle({"type": "run", "action": action})
    assert panel.job is not None
    assert panel.job.wait(END_S)


def calls(lab: Curriculum) -> list[str]:
    path = lab.root / "calls"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("action", ["check", "bench", "submit"])
def test_a_button_runs_its_command_and_shows_the_report(
    lab: Curriculum, panel: CapstonePanel, action: str
) -> None:
    press(panel, action)
    assert calls(lab) == [f"{action} {KEY} --events"]
    assert "60 of 60 points" in panel.view["card_html"]
    assert panel.view["feedback_html"] == "<p>All of it</p>"
    assert panel.view["running"] is None
    assert panel.view["problem"] is None


def test_reset_says_where_the_old_version_is(
    lab: Curriculum, panel: CapstonePanel, play: Path
) -> None:
    play.write_text("print('Your version is kept in the attic')")
    press(panel, "reset")
    assert calls(lab) == [f"reset {KEY}"]
    assert panel.view["note"] == "Your version is kept in the attic"


def test_while_it_runs_the_panel_says_how_far_and_starts_nothing_else(
    lab: Curriculum, panel: CapstonePanel, play: Path
) -> None:
    play.write_text("wait()")
    panel.handle({"type": "run", "action": "check"})
    wait_for(panel, "criterion")
    assert panel.view["running"] == "Checking"
    assert panel.view["stage"] == "Asking questions: criterion <1>"
    assert 0 < panel.view["done"] < 1
    panel.handle({"type": "run", "action": "submit"})
    panel.handle({"type": "cancel"})
    assert panel.job is not None
    assert panel.job.wait(END_S)
    assert calls(lab) == [f"check {KEY} --events"]
    assert panel.view["note"] == "check was cancelled; nothing was recorded."


def wait_for(panel: CapstonePanel, text: str) -> None:
    """Until the panel's job has said `text`: its reader calls us, nobody sleeps."""
    import threading

    said = threading.Event()
    assert panel.job is not None
    panel.job.listen(lambda job: said.set() if text in json.dumps(job.event) else None)
    assert said.wait(END_S)


def test_a_cell_that_runs_again_finds_its_job(
    lab: Curriculum, panel: CapstonePanel, play: Path
) -> None:
    play.write_text("wait()")
    panel.handle({"type": "run", "action": "check"})
    wait_for(panel, "criterion")
    again = make(lab)
    assert again.view["running"] == "Checking"
    again.handle({"type": "cancel"})
    assert again.job is not None
    assert again.job.wait(END_S)
    assert again.view["note"] == panel.view["note"] == "check was cancelled; nothing was recorded."


def test_a_reopened_notebook_shows_the_latest_report(
    lab: Curriculum, panel: CapstonePanel, play: Path
) -> None:
    press(panel, "check")
    play.write_text("report(score=30, passed=False)")
    press(panel, "submit")
    assert "Not passed: 30 of 60 points" in make(lab).view["card_html"]


def test_a_spoiled_report_is_passed_over_for_the_one_before(
    lab: Curriculum, panel: CapstonePanel
) -> None:
    press(panel, "check")
    broken = lab.root / ".meridian" / "reports" / KEY / "submit-001" / "report.json"
    broken.parent.mkdir()
    broken.write_text("{")
    assert "Checked: 1 of 1" in make(lab).view["card_html"]


def test_a_locked_capstone_names_the_lessons_and_opens_anyway(
    lab: Curriculum, store: ProgressStore, play: Path
) -> None:
    shown = make(lab)
    assert shown.view["locked"] == ["Pages", "Pools"]
    store.record_quiz(f"{KEY}/1", 5, 5, "d")
    assert make(lab).view["locked"] == ["Pools"]
    shown.handle({"type": "anyway"})
    assert shown.view["locked"] == []
    press(shown, "check")
    assert calls(lab) == [f"check {KEY} --events --anyway"]
    store.record_opened_locked(KEY)
    assert make(lab).view["locked"] == []


def test_passed_quizzes_need_no_permission(lab: Curriculum, panel: CapstonePanel) -> None:
    assert panel.view["locked"] == []
    panel.handle({"type": "anyway"})
    press(panel, "check")
    assert make(lab).view["locked"] == []


def test_what_the_command_complains_of_is_shown_as_text(panel: CapstonePanel, play: Path) -> None:
    play.write_text("sys.exit('No folder <b>here</b>')")
    press(panel, "check")
    assert panel.view["problem"] == "No folder <b>here</b>"
    assert panel.view["card_html"] is None


def test_a_report_that_cannot_be_read_is_said(panel: CapstonePanel, play: Path) -> None:
    play.write_text("report(score='many')")
    press(panel, "check")
    assert panel.view["problem"].startswith("The report cannot be shown: ")


def test_a_vanished_report_is_said(panel: CapstonePanel, play: Path) -> None:
    play.write_text("say(event='report', path='/nowhere/report.json')")
    press(panel, "check")
    assert "/nowhere/report.json" in panel.view["problem"]


def test_a_command_that_cannot_start_is_said(lab: Curriculum, panel: CapstonePanel) -> None:
    shown = capstone(KEY, curriculum=lab, command=("/no/such/python",))
    shown.handle({"type": "run", "action": "check"})
    assert "check could not start" in shown.view["problem"]
    assert shown.view["running"] is None


def test_an_unreadable_record_is_said_and_locks_nothing(
    panel: CapstonePanel, store: ProgressStore
) -> None:
    store.path.write_text("{")
    panel.handle({"type": "anyway"})
    assert "Your progress cannot be read" in panel.view["problem"]


@pytest.mark.parametrize(
    "message",
    [
        None,
        3,
        "run",
        [],
        {},
        {"type": "run"},
        {"type": "run", "action": "rm"},
        {"type": "run", "action": ["check"]},
        {"type": "cancel"},
        {"type": {}},
    ],
)
def test_no_message_of_a_browser_breaks_the_panel(
    lab: Curriculum, panel: CapstonePanel, message: Any
) -> None:
    before = panel.view
    panel.handle(message)
    assert panel.view == before
    assert calls(lab) == []


def test_the_picture_lists_the_criteria_and_the_verdict(
    lab: Curriculum, panel: CapstonePanel
) -> None:
    html = panel._repr_mimebundle_()[HTML_MIME]
    assert "Reads back: 60 points, required" in html
    press(panel, "check")
    assert "Checked: 1 of 1" in make(lab)._repr_mimebundle_()[HTML_MIME]


def test_a_planned_or_unknown_capstone_is_refused(lab: Curriculum) -> None:
    with pytest.raises(ValueError, match="planned"):
        capstone("pipelines/01-streams", curriculum=lab)
    with pytest.raises(UnknownKey, match=KEY):
        capstone("database/01-storag", curriculum=lab)
    with pytest.raises(TypeError, match="Expected `str`, got `int`"):
        capstone(3)


@pytest.fixture(autouse=True)
def _no_job_of_another_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capstone_panel, "_jobs", {})
