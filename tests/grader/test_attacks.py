"""Every trick anyone thought of: each must end in the verdict the code deserves, and in time.

A file in `attacks/` is the ``__init__.py`` of a toy submission. Mostly it is honest but for one
function, so a row below also says that one bad answer does not spoil, or pay for, the others.
After each attack no process and no file of the job is left (the `toy` fixture looks).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

ATTACKS = Path(__file__).parent / "attacks"


class Deserves(NamedTuple):
    """Outcomes of criteria 1 (add), 2 (Counter, place) and 3 (save); words of the message."""

    outcomes: str
    words: str


ROWS = {
    "exit_on_import": Deserves("crashed crashed crashed", "exit status 0"),
    "exit_in_a_call": Deserves("crashed passed passed", "exit status 0"),
    "exit_at_the_end": Deserves("failed passed passed", "got 0"),
    "system_exit": Deserves("error passed passed", "SystemExit"),
    "skip_exception": Deserves("error passed passed", "Skipped"),
    "endless_import": Deserves("timeout timeout timeout", "No answer within"),
    "endless_loop": Deserves("timeout passed passed", "No answer within"),
    "endless_iterator": Deserves("passed output passed", "does not stop"),
    "allocate_without_end": Deserves("memory passed passed", "out of memory"),
    "allocate_and_swallow": Deserves("timeout passed passed", "No answer within"),
    "fork_bomb": Deserves("error passed passed", "BlockingIOError"),
    "thread_bomb": Deserves("error passed passed", "can't start new thread"),
    "fork_and_answer": Deserves("passed passed passed", ""),
    "print_a_gigabyte": Deserves("output passed passed", "Printed more than"),
    "complain_a_gigabyte": Deserves("output passed passed", "Printed more than"),
    "huge_answer": Deserves("output passed passed", "too large"),
    "huge_length": Deserves("output passed passed", "too large"),
    "bottomless_answer": Deserves("error error passed", "RecursionError"),
    "garbage_on_import": Deserves("crashed crashed crashed", "answer"),
    "garbage_in_a_call": Deserves("crashed passed passed", "answer"),
    "answer_ahead": Deserves("crashed passed passed", "answer"),
    "close_the_pipes": Deserves("crashed passed passed", "closed the answer channel"),
    "kill_everybody": Deserves("crashed passed passed", "SIGKILL"),
    "segmentation_fault": Deserves("crashed passed passed", "SIGSEGV"),
    "patch_pytest": Deserves("failed passed passed", "got 0"),
    "patch_the_worker": Deserves("failed passed passed", "got True"),
    "forge_handles": Deserves("crashed crashed crashed", "a handle that is in use"),
    "read_the_caller": Deserves("failed passed passed", "got -1"),
    "read_the_graders_files": Deserves("failed passed passed", "nothing to read"),
    "call_home": Deserves("failed passed passed", "no way out"),
    "equal_to_everything": Deserves("failed passed passed", "<Yes of the submission>"),
    "int_equal_to_everything": Deserves("failed passed passed", "<Yes of the submission>"),
    "true_for_one": Deserves("passed failed passed", "expected 7, got 7.0"),
    "hostile_exception": Deserves("error passed passed", "add raised"),
    "markup_in_messages": Deserves("error passed passed", "<script>"),
    "text_that_is_none": Deserves("error passed passed", "\\ud800"),
    "leave_a_daemon": Deserves("passed passed passed", ""),
    "link_in_the_scratch_folder": Deserves("passed passed failed", "not a plain file"),
    "pipe_in_the_scratch_folder": Deserves("passed passed failed", "not a plain file"),
    "deep_folders": Deserves("passed passed failed", ""),
    "fill_the_disk": Deserves("passed passed output", "bytes of files"),
    "huge_file": Deserves("passed passed output", "size limit"),
    "many_files": Deserves("passed passed output", "files"),
    "burn_cpu_in_threads": Deserves("passed passed passed", ""),
}
SLOWEST_S = 15
# Only these are found out by the clock.
ENDLESS = {"endless_import", "endless_loop", "allocate_and_swallow", "close_the_pipes"}


def test_every_attack_has_a_row() -> None:
    assert {path.stem for path in ATTACKS.glob("*.py")} == set(ROWS)


@pytest.mark.parametrize("name", sorted(ROWS))
def test_attack(toy: Any, bwrap: None, name: str) -> None:
    deserved = ROWS[name]
    source = "from .honest import *\n" + (ATTACKS / f"{name}.py").read_text()
    question_s = 0.8 if name in ENDLESS else toy.limits.question_s
    limits = msgspec.structs.replace(toy.limits, question_s=question_s)
    report = toy.judge(source, mode="check", limits=limits)
    assert " ".join(toy.outcomes(report).values()) == deserved.outcomes
    assert deserved.words in "\n".join(entry.message for entry in report.criteria)
    assert report.duration_s < SLOWEST_S
    assert report.verify(toy.key)
    page = (toy.out / "feedback.html").read_text()
    assert "<script" not in page
    assert "\x1b" not in page
