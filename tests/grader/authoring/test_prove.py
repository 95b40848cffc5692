"""A proof finds what is wrong with a capstone: with its answer, its suite, its list of mistakes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from grader.authoring.mutants import Change, MutantError, Proof, Variant, load_proof
from grader.authoring.parallel import ProcessLost, each
from grader.authoring.prove import orders, prove
from grader.cli import app
from meridian.academy import curriculum
from tests.grader.labs import small_lab
from tests.grader.waiting import alive, until

KEY = "toys/01-sums"
CAPSTONE = curriculum.Capstone(
    title="Sums",
    package="sums",
    allowed_imports=("__future__",),
    criteria=(
        curriculum.Criterion("1", "Adding", 60, required=True),
        curriculum.Criterion("2", "Doubling", 40),
    ),
    bonus=(curriculum.Criterion("extra", "Halving", 5),),
)
SOLUTION = '''"""Sums."""


def add(a: int, b: int) -> int:
    ### BEGIN SOLUTION #1: add() - the sum of both
    return a + b
    ### END SOLUTION


def double(a: int) -> int:
    ### BEGIN SOLUTION #2: double() - twice the number
    return 2 * a
    ### END SOLUTION


def half(a: int) -> int:
    ### BEGIN SOLUTION #extra: half() - half of it
    return a // 2
    ### END SOLUTION
'''
SUITE = '''
import pytest
from grader.judging.compare import expect

TRIES = 20

@pytest.mark.criterion("1", points=60)
def test_add(submission, rng):
    """Adds."""
    for _ in range(TRIES):
        a, b = rng.randrange(1000), rng.randrange(1000)
        expect(submission.add(a, b), a + b, f"add({a}, {b})")

@pytest.mark.criterion("2", points=40)
def test_double(submission, rng):
    """Doubles."""
    a = rng.randrange(1000)
    expect(submission.double(a), 2 * a, f"double({a})")

@pytest.mark.criterion("extra", points=5)
def test_half(submission):
    """Halves."""
    expect(submission.half(8), 4, "half(8)")
'''
MUTANTS = """
from grader.authoring.mutants import Change, Proof, Variant

PROOF = Proof((
    Variant("subtracts", "1", (Change("__init__.py", "return a + b", "return a - b"),)),
    Variant("triples", "2", (Change("__init__.py", "return 2 * a", "return 3 * a"),)),
    Variant("keeps_all", "extra", (Change("__init__.py", "return a // 2", "return a"),)),
))
"""


class Capstone:
    """A capstone whose parts a test can spoil one by one."""

    def __init__(
        self, root: Path, entry: curriculum.Capstone = CAPSTONE, suite: str = SUITE
    ) -> None:
        lab = small_lab(root, KEY, entry, suite)
        self.root, self.suite = root, lab.suite
        self.mutants = self.suite.with_name("mutants_sums.py")
        self.mutants.write_text(MUTANTS)
        self.answer = lab.solution / "sums" / "__init__.py"
        self.answer.parent.mkdir(parents=True)
        self.answer.write_text(SOLUTION)

    def problems(self, **more: Any) -> dict[str, str]:
        settings: dict[str, Any] = {"box": "none", "repeats": 2, "seed": "s", **more}
        proven = prove(KEY, root=self.root, **settings)
        problems = {f.name: f.problem for f in proven.findings if f.problem}
        assert proven.holds == (not problems)
        return problems


@pytest.fixture
def sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capstone:
    made = Capstone(tmp_path / "lab")
    monkeypatch.setenv("MERIDIAN_LAB", str(made.root))
    return made


def test_a_good_capstone_is_proven(sums: Capstone) -> None:
    seen: list[tuple[int, int, str]] = []
    proven = prove(
        KEY,
        root=sums.root,
        box="none",
        repeats=3,
        on_finding=lambda done, total, f: seen.append((done, total, f.name)),
    )
    assert proven.holds, proven
    assert [f.kind for f in proven.findings] == ["solution"] * 3 + ["skeleton"] + ["mutant"] * 3
    assert len({f.seed for f in proven.findings}) == 7, "hidden inputs differ everywhere"
    assert [done for done, _, _ in seen] == [1, 2, 3, 4, 5, 6, 7]
    told = {f.name: f.told for f in proven.findings}
    assert told["triples"].startswith("Doubles. double(")
    mutant = next(f for f in proven.findings if f.name == "subtracts")
    assert (mutant.score, mutant.max_score) == (0, 60)


def test_without_races_their_points_are_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path / "lab"))
    criteria = (
        curriculum.Criterion("1", "Adding", 60, required=True),
        curriculum.Criterion("2", "Doubling", 30),
        curriculum.Criterion("3", "Speed", 10, benchmark=True),
    )
    race = '\n@pytest.mark.criterion("3", points=10)\ndef test_speed(submission): assert False\n'
    raced = Capstone(
        tmp_path / "lab",
        msgspec.structs.replace(CAPSTONE, criteria=criteria, bonus=()),
        SUITE.replace("points=40", "points=30").partition('@pytest.mark.criterion("extra"')[0]
        + race,
    )
    raced.mutants.write_text(
        MUTANTS.replace('    Variant("keeps_all", "extra"', '    Variant("keeps", "3"')
    )
    assert {"model answer 1 of 2", "model answer 2 of 2"}.isdisjoint(raced.problems())


def test_the_same_seed_asks_the_same(sums: Capstone) -> None:
    def told(seed: str) -> list[str]:
        found = prove(KEY, root=sums.root, box="none", only="triples", seed=seed).findings
        return [f.told for f in found]

    assert told("one") == told("one") != told("two")


def test_a_model_answer_that_fails_now_and_then_is_a_flake(sums: Capstone) -> None:
    sums.answer.write_text(SOLUTION.replace("return a + b", "return a + b if a % 40 else -1"))
    problems = sums.problems(repeats=12)
    flakes = [name for name in problems if name.startswith("model answer")]
    assert 0 < len(flakes) < 12, "some inputs meet it, others do not"
    assert {problems[name] for name in flakes} == {"criterion 1 is not passed"}


def test_a_suite_that_overlooks_a_mistake_is_named(sums: Capstone) -> None:
    sums.suite.write_text(SUITE.replace("2 * a, f", "submission.double(a), f"))
    assert sums.problems() == {"triples": "criterion 2 passes all the same"}


def test_a_mistake_that_costs_two_criteria_is_named(sums: Capstone) -> None:
    sums.suite.write_text(SUITE.replace("submission.double(a)", "submission.add(a, a)"))
    assert sums.problems() == {
        "subtracts": "criterion 2 fails as well",
        "triples": "criterion 2 passes all the same",
    }


def test_a_skeleton_without_directions_is_named(sums: Capstone) -> None:
    silent = SOLUTION.replace(" #2: double() - twice the number", "")
    sums.answer.write_text(silent)
    assert "the skeleton is not Python" in sums.problems()["untouched skeleton"]
    sums.answer.write_text(
        silent.replace("double(a: int) -> int:\n", 'double(a: int) -> int:\n    """."""\n')
    )
    assert sums.problems()["untouched skeleton"] == "criterion 2 does not say what to write"


def test_a_skeleton_that_passes_is_named(sums: Capstone) -> None:
    kept = SOLUTION.replace("    ### BEGIN SOLUTION #1: add() - the sum of both\n", "")
    sums.answer.write_text(kept.replace("return a + b\n    ### END SOLUTION\n", "return a + b\n"))
    said = sums.problems()["untouched skeleton"]
    assert said == "criterion 1 passes with nothing written"


@pytest.mark.parametrize(
    ("old", "new", "name", "said"),
    [
        ("return 2 * a", "return 4 * a", "triples", "'return 4 * a' stands 0 times in __init__.py"),
        ('"return a - b"', '"return a + b"', "subtracts", "criterion 1 passes all the same"),
        ('"return 2 * a"', '"return"', "triples", "'return' stands 3 times in __init__.py"),
        ('"__init__.py", "return 2', '"a.py", "return 2', "triples", "there is no a.py in sums"),
        ('"2", (', '"9", (', "triples", "the capstone has no criterion 9"),
        (
            '"subtracts", "1"',
            '"subtracts", "2"',
            "subtracts",
            "criterion 2 passes all the same, bu",
        ),
    ],
)
def test_a_mutant_that_does_not_fit_is_named(
    sums: Capstone, old: str, new: str, name: str, said: str
) -> None:
    sums.mutants.write_text(MUTANTS.replace(old, new))
    assert sums.problems()[name].startswith(said)


def test_a_criterion_without_a_mutant_is_named(sums: Capstone) -> None:
    sums.mutants.unlink()
    problems = sums.problems()
    assert problems.keys() == {"criterion 1", "criterion 2"}
    assert "mutants_sums.py" in problems["criterion 1"]


def test_an_adapter_is_judged_too(sums: Capstone) -> None:
    adapter = sums.root / "adapter" / "sums" / "__init__.py"
    sums.mutants.write_text(MUTANTS.replace("\n))", '\n), adapter="adapter")'))
    assert sums.problems() == {"the course's own system": "there is no adapter adapter"}
    adapter.parent.mkdir(parents=True)
    adapter.write_text(SOLUTION.replace("2 * a", "a"))
    assert sums.problems() == {"the course's own system": "criterion 2 is not passed"}
    adapter.write_text(SOLUTION)
    assert sums.problems() == {}


def test_quick_makes_the_suite_smaller_and_puts_it_back(sums: Capstone) -> None:
    proof = Proof(quick={"json.decoder:NaN": 3})
    quick = list(orders(proof, "s", repeats=2, races=True, quick=True, only=None, box="auto"))
    assert [o.kind for o in quick] == ["solution", "solution", "skeleton", "races"]
    assert [o.constants for o in quick if o.races] == [{"json.decoder:NaN": 3}]
    sums.mutants.write_text(
        MUTANTS.replace("\n))", '\n), quick={"grader.authoring.prove:QUICK": 1})')
    )
    assert "no such constant" in sums.problems(quick=True)["triples"]
    sums.mutants.write_text(
        MUTANTS.replace("\n))", '\n), quick={"grader.authoring.prove:QUICK_REPEATS": 9})')
    )
    import grader.authoring.prove

    assert sums.problems(quick=True) == {}
    assert grader.authoring.prove.QUICK_REPEATS == 2


def test_several_processes_find_the_same(sums: Capstone) -> None:
    sums.suite.write_text(SUITE.replace("2 * a, f", "submission.double(a), f"))
    assert sums.problems(workers=2) == {"triples": "criterion 2 passes all the same"}


def test_in_a_box_with_the_audit(sums: Capstone) -> None:
    """The model answer is judged as a learner's is: what it imports must be allowed."""
    assert sums.problems(box="auto", repeats=1) == {}
    sums.answer.write_text(f"import socket\n{SOLUTION}")
    assert "criterion 1" in sums.problems(box="auto", repeats=1)["model answer 1 of 1"]


def test_the_command(sums: Capstone) -> None:
    def call(*more: str) -> Any:
        return CliRunner().invoke(app, ["prove", KEY, "--workers", "1", "--quick", *more])

    done = call("--seed", "s")
    assert done.exit_code == 0, done.output
    assert f"{KEY}: proven (box auto, seed s)" in done.output
    sums.mutants.write_text(MUTANTS.replace("return 3 * a", "return a + a"))
    wrong = call("--json")
    assert wrong.exit_code == 1
    plain = json.loads(wrong.stdout)
    assert plain["holds"] is False
    assert [f["name"] for f in plain["findings"] if f["problem"]] == ["triples"]
    one = call("--only", "subtracts")
    assert one.exit_code == 0, "only this mutant was judged"
    assert "Adds. add(" in one.output, "and what its learner reads is shown"
    none = call("--only", "nothing")
    assert none.exit_code == 70
    assert "No mutant of toys/01-sums has 'nothing' in its name" in none.output
    assert CliRunner().invoke(app, ["prove", "toys/99-none"]).exit_code == 70


def test_a_file_of_mutants_says_what_is_wrong_with_it(sums: Capstone) -> None:
    sums.mutants.write_text("MUTANTS = ()")
    with pytest.raises(MutantError, match="expected PROOF"):
        load_proof(sums.suite)
    sums.mutants.write_text(MUTANTS.replace("triples", "subtracts"))
    with pytest.raises(MutantError, match="two mutants are called 'subtracts'"):
        load_proof(sums.suite)


def test_a_mutant_needs_a_package_and_a_change(sums: Capstone, tmp_path: Path) -> None:
    change = Change("__init__.py", "a", "b")
    with pytest.raises(MutantError, match="holds no package"):
        Variant("x", "1", (change,)).write(tmp_path / "lab", tmp_path / "t")
    with pytest.raises(MutantError, match="changes nothing"):
        Variant("x", "1", ()).write(sums.answer.parents[1], tmp_path / "t")
    empty = Variant("x", "1", (Change("__init__.py", "", "b"),))
    with pytest.raises(MutantError, match="'' stands 0 times"):
        empty.write(sums.answer.parents[1], tmp_path / "t")


# -- several processes ---------------------------------------------------------------------------


def square(x: int) -> int:
    return x * x


def leave(x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def refuse(x: int) -> int:
    raise ValueError(f"no {x}")


@pytest.mark.parametrize("workers", [1, 3])
def test_each_item_has_its_result(workers: int) -> None:
    assert sorted(each(square, range(7), workers)) == [(i, i * i) for i in range(7)]
    assert list(each(square, [], workers)) == []
    with pytest.raises(ValueError, match="no 0"):
        list(each(refuse, [0, 0], workers))


def test_a_killed_process_is_named() -> None:
    with pytest.raises(ProcessLost, match="One of 2 processes was killed"):
        list(each(leave, [1, 2, 3, 4], 2))
    with pytest.raises(ValueError, match="at least 1 worker"):
        list(each(square, [1], 0))


PARENT = """
import os, signal, sys, time
from grader.authoring.parallel import each
from tests.grader.authoring.test_prove import pid_and_wait
if __name__ == "__main__":
    for _ in each(pid_and_wait, [sys.argv[1]] * 2, 2):
        pass
"""


def pid_and_wait(folder: str) -> None:
    Path(folder, str(os.getpid())).touch()
    signal.pause()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc: run it on Linux")
def test_workers_end_with_whoever_started_them(tmp_path: Path) -> None:
    script, pids = tmp_path / "parent.py", tmp_path / "pids"
    script.write_text(PARENT)
    pids.mkdir()
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, str(script), str(pids)], env=environment, cwd=root)
    try:
        assert until(lambda: len(list(pids.iterdir())) == 2)
    finally:
        parent.kill()
        parent.wait()
    workers = [int(path.name) for path in pids.iterdir()]
    try:
        assert until(lambda: not any(map(alive, workers)))
    finally:
        for pid in filter(alive, workers):
            os.kill(pid, signal.SIGKILL)


def test_a_missing_model_answer_is_named_by_its_folder(sums: Capstone) -> None:
    sums.answer.unlink()
    done = CliRunner().invoke(app, ["prove", KEY, "--quick", "--workers", "1"])
    assert done.exit_code == 70
    assert f"there is no package in {sums.root / 'solutions' / KEY}" in done.output
    assert len(done.output.strip().splitlines()) == 1
