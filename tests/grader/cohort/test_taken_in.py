"""Whatever lies in the folder is a task of its own or is told: no name and no number is lost."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path

import pytest

from grader.cohort.discover import Oddity, discover
from grader.cohort.environment import Environment
from grader.cohort.intake import History, Terms, as_entry, take_in
from grader.cohort.progress import summary_lines
from grader.cohort.sealed import Results
from grader.cohort.summary import summarize
from grader.cohort.task import Task
from grader.limits import Limits
from grader.records.gradebook import Gradebook
from grader.records.store import SubmissionStore
from tests.grader.conftest import toy_package
from tests.grader.reports import KEY, make

CAPSTONE = "toy/01"
TERMS = Terms(
    capstone=CAPSTONE,
    package="toy",
    mode="submit",
    box="bwrap",
    trusted=False,
    limits=Limits(),
    environment=Environment(grader="", course="", python="", platform="", packages={}),
    key=KEY,
)


class Handed:
    """What is handed in to `folder`, with the attempts that the gradebook knows already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.submissions = folder / "submissions"
        self.book = Gradebook(folder / "gradebook.sqlite")

    def add(self, name: str, source: str) -> None:
        toy_package(self.submissions / name, source)

    def pack(self, name: str, source: str) -> None:
        toy_package(self.folder / name, source)
        with tarfile.open(self.submissions / name, "w") as archive:
            archive.add(self.folder / name / "toy", arcname="toy")

    def known(self, attempt: int, sha256: str) -> None:
        facts = {"learner": "ada", "attempt": attempt}
        self.book.record(make(facts=facts, submission_sha256=sha256), KEY)

    def take(self) -> tuple[list[Task], list[Oddity]]:
        found, odd = discover(self.submissions, CAPSTONE, "toy")
        taken = list(
            take_in(
                found,
                TERMS,
                SubmissionStore(self.folder / "store"),
                History(self.book, CAPSTONE),
                self.folder,
            )
        )
        tasks = [item for item in taken if isinstance(item, Task)]
        return tasks, [*odd, *(item for item in taken if isinstance(item, Oddity))]


@pytest.fixture
def handed(tmp_path: Path) -> Handed:
    return Handed(tmp_path)


def test_new_files_get_a_number_that_no_other_of_the_folder_has(handed: Handed) -> None:
    handed.known(1, "1" * 64)
    handed.known(2, "2" * 64)
    handed.add("ada/attempt-3", "NUMBERED = 1\n")
    handed.pack("ada.tar", "CHANGED = 1\n")
    tasks, odd = handed.take()
    assert odd == []
    assert sorted(task.attempt for task in tasks) == [3, 4]
    assert len({task.submission_sha256 for task in tasks}) == 2


def test_changed_files_are_the_next_attempt(handed: Handed) -> None:
    handed.known(1, "1" * 64)
    handed.add("ada", "CHANGED = 1\n")
    (task,) = handed.take()[0]
    assert task.attempt == 2


def test_a_number_that_is_claimed_twice_is_told(handed: Handed) -> None:
    """The files without a number were recorded as attempt 2, and other ones say they are that."""
    handed.add("ada/attempt-2", "NUMBERED = 1\n")
    handed.pack("ada.tar", "BEFORE = 1\n")
    packed, numbered = sorted(handed.take()[0], key=lambda task: task.attempt)
    handed.known(1, "1" * 64)
    handed.known(2, packed.submission_sha256)
    tasks, odd = handed.take()
    assert [(task.attempt, task.submission_sha256) for task in tasks] == [
        (2, numbered.submission_sha256)
    ]
    assert [(item.path.name, item.reason) for item in odd] == [
        ("ada.tar", "attempt-2 is attempt 2 of ada already")
    ]


def test_a_name_that_is_no_text_stops_nobody(handed: Handed) -> None:
    handed.add("ann", "MARK = 1\n")
    handed.add(os.fsdecode(b"mal/x\xff"), "MARK = 2\n")
    (handed.submissions / os.fsdecode(b"b\xff")).mkdir()
    handed.add(os.fsdecode(b"ned/lab\xff/attempt-1"), "def add(:\n")
    (handed.submissions / os.fsdecode(b"ned/lab\xff/attempt-1/toy/link")).symlink_to("/etc")
    tasks, odd = handed.take()
    assert {task.learner for task in tasks} == {"ann", "mal", "ned"}
    for task in tasks:
        as_entry(task, Results(handed.folder / "results"), b"secret")
    (refused,) = (task for task in tasks if task.refusal)
    assert os.fsdecode(refused.source).startswith(str(handed.submissions / "ned"))
    (stray,) = odd
    assert stray.path.name == os.fsdecode(b"b\xff")
    summary = summarize([], odd, handed.folder / "out", 0)
    (written,) = json.loads(summary.path.read_text())["odd"]
    assert written["path"].endswith(r"b\udcff")
    assert any(r"b\udcff" in line for line in summary_lines(summary))
