"""`meridian replay`: found by its short id, run against the learner's code, shown call by call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader.judging.compare import Compared
from grader.judging.replay import replay_program
from grader.judging.replay_body import Failure
from grader.judging.transcript import Event, Thing
from meridian.academy.outcomes import replay_id
from meridian.academy.replaying import last_call
from meridian.academy.replays import NoReplays, UnknownReplay, known_replays, replays_in

MODULE = "database/01-storage"
PACKAGE = "tle_page_manager"
SEED = "5eed" * 8
ID = replay_id(SEED, "3")
RIGHT = "class Pool:\n    def fetch(self, page_id): return page_id * 2\n"
WRONG = "class Pool:\n    def fetch(self, page_id): return page_id\n"
TIMEOUT_S = 60


def program() -> str:
    module, cls, pool = (Thing(1, n, kind) for n, kind in enumerate(("module", "type", "Pool")))
    fetch = Thing(1, 9, "method")
    events = [
        Event("module", (PACKAGE,), module, 1),
        Event("get", (module, "Pool"), cls, 2),
        Event("call", (cls, (), {}), pool, 3),
        Event("get", (pool, "fetch"), fetch, 4),
        Event("call", (fetch, (1,), {}), 2, 5),
        Event("call", (fetch, (21,), {}), 21, 6),
    ]
    failure = Failure("criterion 3, Pool", "fetch(21) must be 42", "", Compared(21, 42))
    return replay_program(events, failure, name=ID, package=PACKAGE, folder="/s", noise={})


def write_report(folder: Path, seed: str = SEED, **changes: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    criteria = [
        {"id": "1", "title": "Fine", "outcome": "passed"},
        {"id": "3", "title": "Pool", "outcome": "failed", "replay": program()},
    ]
    facts = {"capstone": MODULE, "seed": seed, "criteria": criteria, "box": "bwrap", **changes}
    path = folder / "report.json"
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture
def failed(lab: Path) -> Path:
    """A lab with one report of a failure, and wrong code."""
    write_report(lab / ".meridian" / "reports" / MODULE / "check")
    (lab / "exercises" / MODULE / PACKAGE / "__init__.py").write_text(WRONG)
    return lab


def command(lab: Path, *arguments: str, typed: str = "", **env: str) -> tuple[int, str]:
    """The command in a process of its own: the replay prints there."""
    variables = {key: value for key, value in os.environ.items() if key != "JPY_PARENT_PID"}
    done = subprocess.run(
        [sys.executable, "-m", "meridian.academy", "replay", *arguments],
        input=typed,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**variables, "MERIDIAN_LAB": str(lab), **env},
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_wrong_code_is_shown_call_by_call(failed: Path) -> None:
    status, said = command(failed, ID)
    assert status == 1, said
    assert said.splitlines() == [
        f"Replay {ID}: {MODULE}, criterion 3, Pool",
        f">>> pool = {PACKAGE}.Pool()",
        ">>> pool.fetch(1)",
        "1",
        ">>> got = pool.fetch(21)",
        "Still wrong: expected 42",
        "got 21",
    ]


def test_mended_code_gives_what_was_expected(failed: Path) -> None:
    (failed / "exercises" / MODULE / PACKAGE / "__init__.py").write_text(RIGHT)
    status, said = command(failed, ID)
    assert (status, said.splitlines()[-1]) == (0, "As expected now: 42")


def test_an_exception_shows_the_learners_line_alone(failed: Path) -> None:
    code = "class Pool:\n    def fetch(self, page_id): raise KeyError(page_id)\n"
    (failed / "exercises" / MODULE / PACKAGE / "__init__.py").write_text(code)
    status, said = command(failed, ID)
    assert status == 1
    assert "Still wrong: it raised KeyError" in said
    assert "replaying.py" not in said


def test_the_debugger_stops_at_the_last_call(failed: Path) -> None:
    status, said = command(failed, ID, "--pdb", typed="p 'seen', pool\nstep\nstep\nwhere\nquit\n")
    assert "pool.fetch(21)" in said
    assert "'seen'" in said
    assert "def fetch(self, page_id): return page_id" in said, "step goes into the learner's code"
    assert status in (0, 1)


def test_a_notebook_is_told_what_to_do_instead(failed: Path) -> None:
    status, said = command(failed, ID, "--pdb", JPY_PARENT_PID="1")
    assert status == 2
    assert "%run -d" in said


def test_the_program_can_be_shown_and_kept(
    failed: Path, meridian: Callable[..., Any], tmp_path: Path
) -> None:
    shown = meridian("replay", ID, "--show")
    assert (shown.status, shown.out) == (0, program())
    kept = tmp_path / "kept.py"
    saved = meridian("replay", ID.upper(), "--save", str(kept))
    assert saved.status == 0
    assert kept.read_text() == program()
    folder = failed / "exercises" / MODULE
    assert f"python {kept} {folder}" in saved.out
    run = subprocess.run([sys.executable, kept, folder], capture_output=True, check=False)
    assert run.returncode == 1


def test_without_an_id_there_is_a_list(failed: Path, meridian: Callable[..., Any]) -> None:
    assert meridian("replay").out == f"{ID}  {MODULE}  3  Pool\n"
    write_report(failed / ".meridian" / "reports" / MODULE / "submit-001", seed="other")
    assert len(meridian("replay").out.splitlines()) == 2
    write_report(failed / ".meridian" / "reports" / MODULE / "submit-002")
    assert len(known_replays(failed)) == 2, "the same id is its latest report"
    (failed / ".meridian" / "reports" / MODULE / "check" / "report.json").write_text("{")
    assert len(known_replays(failed)) == 2, "what is cut short hides nothing"


def test_nothing_to_replay_is_said(lab: Path, meridian: Callable[..., Any]) -> None:
    assert "Nothing to replay" in meridian("replay").out
    unknown = meridian("replay", "12345678")
    assert unknown.status == 2
    assert "There are none: check a capstone first" in unknown.err
    assert lab.exists()


def test_an_unknown_id_lists_the_known_ones(failed: Path, meridian: Callable[..., Any]) -> None:
    for wrong in ("12345678", "", "../../etc/passwd", "x" * 9_999):
        done = meridian("replay", wrong)
        assert done.status == 2
        assert ID in done.err
    assert failed.exists()


def test_a_report_from_elsewhere_is_named_by_its_path(
    lab: Path, meridian: Callable[..., Any], tmp_path: Path
) -> None:
    path = write_report(tmp_path / "feedback")
    assert meridian("replay", "--report", str(path)).out.startswith(ID)
    assert meridian("replay", "--report", str(path.parent)).out.startswith(ID)
    (tmp_path / "mine" / PACKAGE).mkdir(parents=True)
    (tmp_path / "mine" / PACKAGE / "__init__.py").write_text(RIGHT)
    status, said = command(lab, ID, "--report", str(path), "--submission", str(tmp_path / "mine"))
    assert status == 0, said


def test_a_package_that_is_gone_is_said_with_the_fix(
    failed: Path, meridian: Callable[..., Any]
) -> None:
    (failed / "exercises" / MODULE / PACKAGE / "__init__.py").unlink()
    (failed / "exercises" / MODULE / PACKAGE).rmdir()
    done = meridian("replay", ID)
    assert done.status == 2
    assert f"There is no package {PACKAGE}" in done.err
    assert f"meridian reset {MODULE}" in done.err


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"criteria": 3}', b"null"])
def test_what_is_no_report_is_named(
    content: bytes, lab: Path, meridian: Callable[..., Any], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(NoReplays, match=r"report\.json is no report"):
        replays_in(path)
    done = meridian("replay", ID, "--report", str(path))
    assert (done.status, "is no report of the grader" in done.err) == (2, True)
    assert meridian("replay", ID, "--report", str(tmp_path / "none.json")).status == 2
    assert lab.exists()


def test_an_unknown_replay_carries_what_there_is() -> None:
    error = UnknownReplay("1", [f"{n:08}" for n in range(30)])
    assert error.name == "1"
    assert len(error.known) == 30
    assert len(str(error)) < 300


def test_the_last_call_is_found_in_the_program() -> None:
    text = program()
    assert text.splitlines()[last_call(text) - 1].startswith("got = pool.fetch(21)")
    assert last_call("a\nb\n") == 2
