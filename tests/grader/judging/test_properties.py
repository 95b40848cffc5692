"""The smallest counterexample is found, from the job's seed alone, and told in plain words."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from grader.judging.drawing import configured
from meridian.academy.curriculum import Criterion

ROOT = Path(__file__).parents[3]
HEAD = "from hypothesis import strategies as st\nfrom grader.judging.properties import values\n"
MARK = "@pytest.mark.criterion('1', points=100)\n"

ADDS = (
    HEAD
    + MARK
    + """def test_adds(submission, find):
    '''Adds any two numbers.'''
    def check(a, b):
        expect(submission.add(a, b), a + b, call=f'add({a}, {b})')
    find(check, a=st.integers(0, 1000), b=st.integers(0, 1000), examples=60)
"""
)
COUNTS = (
    HEAD
    + """
class Counts:
    @values(start=st.integers(0, 9))
    def __init__(self, submission, start):
        self.counter, self.total = submission.Counter(start), start

    @values(amount=st.integers(0, 50))
    def add(self, amount):
        self.total += amount
        expect(self.counter.add(amount), self.total, call='add')

    @values()
    def nothing(self):
        return NotImplemented

"""
    + MARK
    + """def test_counts(submission, find):
    '''Counts every amount.'''
    find.operations(Counts, submission, examples=60)
"""
)


def judge(toy: Any, suite: str, source: str, **more: Any) -> Any:
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="One", points=100),)
    )
    place = toy.folder / "submission"
    if place.exists():
        (place / "toy" / "__init__.py").write_text(source)
        more["submission"] = place
    settings = {"mode": "check", "box": "none", "trusted": True, "seed": "5eed", **more}
    # pytest keeps a module it has imported: another suite needs another path.
    written = toy.suite_of(suite)
    path = written.rename(written.with_name(f"test_{zlib.crc32(suite.encode())}.py"))
    report = toy.judge(source, suite=path, definition=only, **settings)
    return report.criteria[0]


def test_the_smallest_values_are_told(toy: Any, capfd: pytest.CaptureFixture[str]) -> None:
    entry = judge(toy, ADDS, "def add(a, b): return a + b if a < 100 or b < 7 else 0\n")
    assert entry.outcome == "failed"
    assert entry.counterexample == "a = 100, b = 7"
    assert entry.message == "Adds any two numbers. add(100, 7): expected 107, got 0"
    assert "toy.add(100, 7)" in entry.replay
    assert entry.replay.count("toy.add(") == 1, "the run that failed, and no other"
    said = capfd.readouterr()
    assert "alsifying" not in said.out + said.err, "what hypothesis says is not for learners"


def test_the_smallest_sequence_is_told(toy: Any) -> None:
    wrong = (
        "class Counter:\n    def __init__(self, start): self.value, self.calls = start, 0\n"
        "    def add(self, amount):\n        self.calls += amount > 20\n"
        "        self.value += amount if self.calls < 2 else 0\n        return self.value\n"
    )
    entry = judge(toy, COUNTS, wrong)
    assert entry.counterexample == "start = 0: add(21) | add(21)"
    assert entry.replay.count("counter.add(") == 2


def test_an_exception_is_shrunk_and_stays_an_error(toy: Any) -> None:
    entry = judge(toy, ADDS, "def add(a, b): return [a + b][b > 10]\n")
    assert (entry.outcome, entry.counterexample) == ("error", "a = 0, b = 11")
    assert "IndexError" in entry.message


def test_right_answers_pass_and_a_stub_is_not_searched(toy: Any) -> None:
    assert judge(toy, ADDS, "def add(a, b): return a + b\n").outcome == "passed"
    entry = judge(toy, ADDS, "def add(a, b): raise NotImplementedError('toy/01 #1: add()')\n")
    assert entry.message.endswith("toy/01 #1: add()")
    assert (entry.counterexample, entry.replay) == ("", "")


def test_questions_bound_the_search(toy: Any) -> None:
    """The fortieth call would fail; it is not asked."""
    late = "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return a + b if n < 40 else 0\n"
    bounded = ADDS.replace("examples=60", "examples=60, questions=30")
    assert judge(toy, ADDS, late).outcome == "failed"
    entry = judge(toy, bounded, late)
    assert entry.outcome == "passed", entry


def test_an_answer_that_changes_is_told_as_it_was(toy: Any) -> None:
    """What fails once and then never again is a failure, not trouble of the grader."""
    once = "n = 0\ndef add(a, b):\n    global n\n    n += 1\n    return a + b if n != 9 else 0\n"
    entry = judge(toy, ADDS, once)
    assert entry.outcome == "failed"
    assert "got 0" in entry.message
    assert entry.counterexample


def test_a_crash_ends_the_search_and_is_told_with_its_values(toy: Any) -> None:
    crash = "import os\ndef add(a, b): return a + b if b < 30 else os._exit(3)\n"
    entry = judge(toy, ADDS, crash, box="rlimits", trusted=False)
    assert entry.outcome == "crashed"
    assert entry.counterexample.startswith("a = ")
    again = ADDS.replace("examples=60", "examples=60, restart=True")
    entry = judge(toy, again, crash, box="rlimits", trusted=False)
    assert (entry.outcome, entry.counterexample) == ("crashed", "a = 0, b = 30")


def test_a_model_without_steps_is_a_mistake_of_the_suite(toy: Any) -> None:
    suite = MARK + "def test_it(submission, find):\n    find.operations(dict)\n"
    assert judge(toy, HEAD + suite, "").outcome == "failed"


DRAW = """
import sys
{imports}
from hypothesis import strategies as st
from grader.judging.drawing import configured, sequences
seen = []
drawn = st.fixed_dictionaries(dict(
    a=st.integers(), b=st.floats(), c=st.text(max_size=5), d=st.binary(max_size=9),
    e=sequences(st.tuples(st.sampled_from("xyz"), st.integers(0, 9)), 50),
))
configured(seen.append, drawn, 12345, 200)()
import hashlib
print(hashlib.sha256(ascii(seen).encode()).hexdigest(), len(seen))
"""


def test_the_same_seed_draws_the_same_whatever_is_loaded(tmp_path: Path) -> None:
    """hypothesis would mix in constants of the modules that happen to be there."""
    (tmp_path / "local_module.py").write_text(
        "NUMBERS = [123456789, 987654321, 55555]\nTEXT = ['marker one', 'marker two']\n"
    )
    said = []
    for imports in ("", "import local_module, json, grader.judging.judge, meridian.academy.story"):
        env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "PYTHONHASHSEED": "0"}
        run = subprocess.run(
            [sys.executable, "-c", DRAW.format(imports=imports)],
            capture_output=True, text=True, timeout=120, env=env, cwd=tmp_path, check=True,
        )  # fmt: skip
        said.append(run.stdout)
        env["PYTHONHASHSEED"] = "1"
    assert said[0] == said[1]
    assert int(said[0].split()[1]) >= 100
    assert not (tmp_path / ".hypothesis").exists() or not any(
        "examples" in str(path) for path in (tmp_path / ".hypothesis").rglob("*")
    )


def test_another_seed_draws_something_else() -> None:
    from hypothesis import strategies as st

    def values(seed: int) -> list[int]:
        seen: list[int] = []
        configured(seen.append, st.integers(), seed, 50)()
        return seen

    assert values(1) == values(1)
    assert values(1) != values(2)


def test_every_learner_meets_other_examples_and_the_same_ones_again(toy: Any) -> None:
    suite = (
        HEAD
        + MARK
        + """def test_draws(submission, find, rng):
    '''Draws.'''
    seen = []
    find(lambda a: seen.append(a), a=st.integers(), examples=5)
    raise CriterionFailed(f'drew {seen} {rng.random()}')
"""
    )
    first = judge(toy, suite, "", seed=None, learner="ada")
    again = judge(toy, suite, "", seed=None, learner="ada")
    other = judge(toy, suite, "", seed=None, learner="bob")
    assert first.message == again.message
    assert first.message != other.message
