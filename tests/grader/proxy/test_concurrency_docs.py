"""The examples of docs/grader/concurrency.md, judged for real."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from grader.box import detect
from grader.job import JobSpec, run_one
from grader.limits import Limits
from grader.report import Report
from meridian.academy.curriculum import Capstone, Criterion

PAGE = Path(__file__).parents[3] / "docs" / "grader" / "concurrency.md"
TEXT = PAGE.read_text(encoding="utf-8")
PACKAGE, *EXAMPLES = re.findall(r"(?s)```python\n(.*?)```", TEXT)
NAMES = [re.findall(r"(?m)^def (test_\w+)", example)[0] for example in EXAMPLES]
CAPSTONE = Capstone(
    title="Tally",
    package="tally",
    allowed_imports=(*sorted(sys.stdlib_module_names), "anyio", "trio"),
    criteria=tuple(Criterion(id=str(n), title=name, points=2) for n, name in enumerate(NAMES, 1)),
)
LIMITS = Limits(question_s=20, start_s=60, memory_bytes=2 * 2**30)


def judge(tmp_path: Path, box: str, package: str) -> Report:
    folder = tmp_path / "submission" / "tally"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(package)
    suite = tmp_path / "suite" / "test_tally.py"
    suite.parent.mkdir()
    parts = ["import pytest\n"]
    for n, example in enumerate(EXAMPLES, 1):
        points = 1 if "parametrize" in example else 2
        mark = f'@pytest.mark.criterion("{n}", points={points})\n'
        head = "@pytest.mark.parametrize" if points == 1 else "def test_"
        parts.append(example.replace(head, mark + head))
    suite.write_text("\n".join(parts))
    return run_one(
        JobSpec(
            capstone="tally/01",
            submission=folder.parent,
            out=tmp_path / "out",
            definition=CAPSTONE,
            suite=suite,
            key=b"k" * 32,
            limits=LIMITS,
            box=box,
            trusted=box == "none",
        )
    )


@pytest.mark.parametrize("box", ["auto", "none"])
def test_every_example_passes_when_judged(tmp_path: Path, box: str) -> None:
    if box == "auto" and detect().tier not in ("bwrap", "landlock"):
        pytest.skip(f"no box with walls here: {detect().reason}; {detect().fix}")
    report = judge(tmp_path, box, PACKAGE)
    told = {entry.title: (entry.outcome, entry.message) for entry in report.criteria}
    assert told == dict.fromkeys(NAMES, ("passed", ""))


def test_a_lost_update_is_told_as_the_page_tells_it(tmp_path: Path) -> None:
    wrong = PACKAGE.replace("async with self.lock:", "if True:")
    report = judge(tmp_path, "none", wrong)
    (entry,) = [entry for entry in report.criteria if entry.title == "test_no_amount_is_lost"]
    (quoted,) = re.findall(r"(?m)^> (.*)$", TEXT)
    assert quoted in entry.message
    assert "seed = 0, amounts = [1, 1]" in entry.counterexample
