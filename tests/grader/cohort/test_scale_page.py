"""What docs/scale.md shows is run as it stands there, with a toy in place of the cluster's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from grader.cli import app
from grader.report import lab_key, read_report
from tests.grader.cohort.toys import KEY, WRONG, Cohort

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"
TEXT = PAGE.read_text(encoding="utf-8")
DEADLINE_S = 240


def block(language: str, holding: str) -> str:
    """The one fenced block of the page that holds this."""
    blocks = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    (found,) = [text for text in blocks if holding in text]
    return str(found)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that comes first, with a `grader` that is the one tested here."""
    programs = tmp_path / "programs"
    programs.mkdir()
    command = f'#!/bin/sh\nexec "{sys.executable}" -c "from grader.cli import main; main()" "$@"\n'
    program(programs / "grader", command)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return programs


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def manifest() -> Any:
    job = yaml.safe_load(block("yaml", "kind: Job"))
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "Job")
    return job


@pytest.mark.usefixtures("walls", "path")
def test_the_command_of_the_manifest_judges_the_submission_of_its_index(cohort: Cohort) -> None:
    cohort.add("ann")
    cohort.add("bob", WRONG)
    cohort.pack("ann")
    cohort.pack("bob")
    (container,) = manifest()["spec"]["template"]["spec"]["containers"]
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    ours = {
        "CAPSTONE": KEY,
        "SUBMISSIONS": str(cohort.submissions),
        "REPORTS": str(cohort.out),
        "MERIDIAN_LAB": str(cohort.lab),
    }
    assert given.keys() == ours.keys()
    for index, (learner, score) in enumerate([("ann", 100), ("bob", 60)]):
        subprocess.run(
            [*container["command"], *container["args"]],
            env={**os.environ, **ours, "JOB_COMPLETION_INDEX": str(index)},
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
        report = read_report(cohort.out / learner / "report.json")
        assert (report.environment["learner"], report.score) == (learner, score)


def test_the_manifest_asks_for_what_the_box_needs_and_no_more() -> None:
    spec = manifest()["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["completionMode"] == "Indexed"
    assert pod["restartPolicy"] == "Never", "backoffLimitPerIndex asks for it"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}


@pytest.mark.usefixtures("walls")
def test_the_loop_over_ssh(cohort: Cohort, path: Path) -> None:
    """With an ssh that runs the command here, in a shell of its own."""
    program(path / "ssh", '#!/bin/sh\nshift\nexec sh -c "$*"\n')
    cohort.add("ann")
    cohort.add("bob", WRONG)
    (cohort.folder / "machines").write_text("one\ntwo\n")
    subprocess.run(
        ["sh", "-eu", "-c", block("sh", "judge()")],
        cwd=cohort.folder,
        env={**os.environ, "CAPSTONE": KEY, "COURSE": str(cohort.lab)},
        check=True,
        timeout=DEADLINE_S,
    )
    scores = {
        path.parent.name: read_report(path).score
        for path in (cohort.folder / "reports").rglob("report.json")
    }
    assert scores == {"ann": 100, "bob": 60}
    assert not list(cohort.folder.glob("*.tgz"))


def test_the_options_of_dask_are_there() -> None:
    pytest.importorskip("distributed", reason="pip install 'meridian-academy[cluster]'")
    said = ""
    for name in ("scheduler", "worker"):
        command = [sys.executable, "-m", f"distributed.cli.dask_{name}", "--help"]
        said += subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
    shown = [line.split("  #")[0] for line in block("sh", "dask worker").splitlines()]
    used = {o for line in shown if line.startswith("dask") for o in re.findall(r"--[a-z-]+", line)}
    assert used
    assert all(option in said for option in used), used


@pytest.mark.usefixtures("walls")
def test_reports_made_elsewhere_are_entered_once(cohort: Cohort) -> None:
    """Under this lab's key; a changed one and one of a check are not."""
    cohort.add("ann")
    cohort.add("bob", WRONG)
    cohort.run(workers=2)
    receipts = [row.receipt for row in cohort.run().submissions]
    elsewhere = cohort.folder / "elsewhere"
    shutil.copytree(cohort.out / "reports", elsewhere)
    (cohort.lab / ".meridian" / "gradebook.sqlite").unlink()
    for _ in range(2):
        done = CliRunner().invoke(app, ["cohort", "enter", str(elsewhere)])
        assert done.exit_code == 0, done.output
        assert [line.rpartition(" ")[2] for line in done.output.splitlines()] == receipts
    forged = read_report(elsewhere / "bob" / "attempt-1" / "report.json")
    forged.score = 100
    forged.write(elsewhere / "bob" / "attempt-1" / "report.json")
    (elsewhere / "cid").mkdir()
    (elsewhere / "cid" / "report.json").write_text("{}")
    done = CliRunner().invoke(app, ["cohort", "enter", str(elsewhere)])
    assert done.exit_code == 1
    ann, bob, cid = done.output.splitlines()
    assert ann.endswith(receipts[0])
    assert "signature does not fit" in bob
    assert "missing required field" in cid


def test_nothing_to_enter(cohort: Cohort) -> None:
    lab_key(cohort.lab / ".meridian")
    done = CliRunner().invoke(app, ["cohort", "enter", str(cohort.submissions)])
    assert (done.exit_code, done.output[:14]) == (0, "No report.json")
    done = CliRunner().invoke(app, ["cohort", "enter", str(cohort.folder / "none")])
    assert done.exit_code == 2
