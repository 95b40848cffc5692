"""The suite of database/02-btree gives every answer what it deserves, and says why."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.acceptance.database import _btree_race
from grader.acceptance.database._btree_walk import walk
from grader.acceptance.database.mutants_btree import MUTANTS, PROOF
from grader.acceptance.database.mutants_btree_races import CHEATS, SLOW
from grader.authoring.build import write_exercise
from grader.authoring.mutants import Change, Variant
from grader.box import detect
from grader.job import JobSpec, run_one
from grader.judging.compare import CriterionFailed
from grader.report import Report
from meridian.academy.curriculum import load
from meridian.academy.outcomes import NOT_JUDGED, shown_outcome
from tests.grader.acceptance.btree_parts import needed_tests
from tests.grader.acceptance.parts import missed, two_of_each

# Workers in this process are ended as a power cut would: what they had open is never closed.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ROOT = Path(__file__).parents[3]
KEY = "database/02-btree"
SOLUTION = ROOT / "solutions" / KEY
OTHER = Path(__file__).with_name("btree_right")
MODULE = load(ROOT).module(KEY)
CAPSTONE = MODULE.capstone
MEMORY = Path("/dev/shm")


def judge(
    submission: Path,
    out: Path,
    *,
    mode: str = "check",
    box: str = "none",
    criteria: Collection[str] = (),
) -> Report:
    """Judge in this process (`none`: trusted code only) or in a box.

    With `criteria`, only their tests and what these stand on.
    """
    definition, suite = needed_tests(CAPSTONE, criteria, out) if criteria else (CAPSTONE, None)
    report = run_one(
        JobSpec(
            capstone=KEY,
            submission=submission,
            out=out / "out",
            mode=mode,  # type: ignore[arg-type]
            box=box,
            trusted=box == "none",
            seed="00" * 16,
            key=b"k" * 32,
            definition=definition,
            suite=suite,
        )
    )
    gc.collect()  # what was left open goes here, and not in another test
    return report


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Smaller numbers, enough for these mistakes; files lie in memory where that is possible."""
    for place, value in PROOF.quick.items():
        module, _, name = place.partition(":")
        monkeypatch.setattr(f"{module}.{name}", value)
    monkeypatch.setattr(_btree_race, "BATCH", 400)
    monkeypatch.setattr(_btree_race, "LOADED", 1_500)
    monkeypatch.setattr(_btree_race, "STORED", 1_500)
    if os.access(MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(MEMORY).free > 2**29:
        monkeypatch.setattr(tempfile, "tempdir", str(MEMORY))


def test_points_add_up() -> None:
    assert sum(c.points for c in CAPSTONE.criteria) == 100
    assert sum(c.points for c in CAPSTONE.bonus) == 10


def test_the_model_answer_in_a_box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything at full size but the races."""
    for name, value in (("BATCH", 800), ("LOADED", 4_000), ("STORED", 4_000), ("ROUNDS", 8)):
        monkeypatch.setattr(_btree_race, name, value)
    box = detect().tier
    report = judge(SOLUTION, tmp_path, mode="submit", box=box)
    trouble = {c.id: c.message for c in missed(report).values()}
    assert report.passed, (trouble, report.notebook)
    assert report.box == box
    if trouble.keys() == {"8"}:  # a machine that does other work: a race may be lost
        assert report.score >= 94
    else:
        assert (report.score, report.max_score, trouble) == (100, 100, {})
    assert [(entry.name, entry.peer) for entry in report.benchmarks] == [
        ("bulk_load beside inserts", "its own inserts"),
        ("Single lookups", "sqlite3"),
        ("Single lookups", "model answer"),
        ("Single inserts", "sqlite3"),
        ("Single inserts", "model answer"),
    ]
    for entry in report.benchmarks:
        assert (tmp_path / "out" / entry.plot).stat().st_size > 1000
    assert report.notebook.outcome == "passed", [
        cell for cell in report.notebook.cells if cell.outcome not in ("passed", "not_run")
    ]


@pytest.mark.usefixtures("quick")
def test_another_right_answer(tmp_path: Path) -> None:
    """Recursive, on lists of Python's numbers, with an empty leaf for an empty tree; no bonus."""
    report = judge(OTHER, tmp_path)
    found = missed(report)
    assert {c for c in found if c.isdigit()} == set(), {c.id: c.message for c in found.values()}
    assert found.keys() == {"eager", "reverse", "batch", "append"}
    assert report.score == report.max_score == 90


@pytest.mark.parametrize("box", ["none", "auto"])
def test_the_untouched_skeleton(tmp_path: Path, box: str) -> None:
    write_exercise(ROOT, MODULE, tmp_path / "exercise")
    report = judge(tmp_path / "exercise", tmp_path, box=box)
    assert report.score == 0
    assert not report.passed
    shown = {c.id: shown_outcome(c.outcome, c.message) for c in report.criteria if c.id != "8"}
    assert shown.pop("1") == "not_written"
    assert set(shown.values()) == {"blocked"}
    assert f"{KEY} #1, #3: insert()" in report.criteria[0].message, "what to begin with"
    for criterion in report.criteria:
        if shown.get(criterion.id) == "blocked":
            assert criterion.message.endswith("is not written yet")
            assert criterion.message.count(NOT_JUDGED) == len(criterion.message.splitlines())


def test_the_exercise_in_the_tree_is_the_skeleton(tmp_path: Path) -> None:
    write_exercise(ROOT, MODULE, tmp_path / "exercise")
    committed = ROOT / "exercises" / KEY
    fresh = {p.relative_to(tmp_path / "exercise") for p in (tmp_path / "exercise").rglob("*.py")}
    for path in sorted(fresh):
        assert (committed / path).read_text() == (tmp_path / "exercise" / path).read_text(), path
    assert sum("NotImplementedError" in (committed / path).read_text() for path in fresh) >= 4


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variant", two_of_each(MUTANTS), ids=lambda v: v.name)
def test_a_wrong_answer_fails_its_criterion(variant: Variant, tmp_path: Path) -> None:
    expect_missed(variant, tmp_path)


def expect_missed(variant: Variant, tmp_path: Path) -> None:
    """Of its criterion, and of what that stands on, `variant` fails it; the message says why.

    That it fails nothing else is for `grader prove` to find, which has the time.
    """
    answer = variant.write(SOLUTION, tmp_path / "submission")
    report = judge(answer, tmp_path, criteria={variant.criterion})
    found = missed(report)
    assert found.keys() == {variant.criterion}, {c.id: c.message for c in found.values()}
    entry = found[variant.criterion]
    assert entry.score < entry.points
    assert len(entry.message) > 40, "the message says what was asked and what was expected"


BORROWS = (
    Variant(
        "separator_kept_after_a_borrow",
        "eager",
        (
            Change(
                "rebalance.py",
                "parent.keys[left] = second.keys[0]  # the right",
                "pass  # the right",
            ),
        ),
    ),
    Variant(
        "separator_lost_in_a_merge",
        "eager",
        (
            Change(
                "rebalance.py",
                "    first.keys.append(parent.keys[left])\n    first.keys += second.keys\n",
                "    first.keys.append(second.keys[0] if second.keys else parent.keys[left])\n"
                "    first.keys += second.keys\n",
            ),
        ),
    ),
    Variant(
        "forgets_who_came_before",
        "reverse",
        (Change("btree.py", "leaf = self._leaf(leaf.prev_leaf)", "return"),),
    ),
    Variant(
        "answers_in_their_own_order",
        "batch",
        (Change("batch.py", "found[order[start + hit]] = rids", "found[start + hit] = rids"),),
    ),
    Variant(
        "halves_the_last_leaf",
        "append",
        (Change("btree.py", "i if appended else None)", "None)"),),
    ),
)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("variant", BORROWS, ids=lambda v: v.name)
def test_a_wrong_bonus_gives_no_points(variant: Variant, tmp_path: Path) -> None:
    expect_missed(variant, tmp_path)


SAID = {
    "memo_beside_the_pool": ("not the record id that is in its leaf", 7),
    "deferred_inserts": ("a call that returned must be done", 3),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("cheat", CHEATS, ids=lambda cheat: cheat.name)
def test_a_cheat_loses_the_points(
    cheat: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Targets that anyone reaches: what is left to lose is lost to the checks."""
    for name in ("BULK_TIMES", "GET_TARGET", "INSERT_TARGET"):
        monkeypatch.setattr(_btree_race, name, 0.001)
    message, left = SAID[cheat.name]
    report = judge(cheat.write(SOLUTION, tmp_path / "s"), tmp_path, mode="bench")
    entry = missed(report)["8"]
    assert message in entry.message
    assert entry.score <= left


@pytest.mark.usefixtures("quick")
def test_a_slow_search_loses_the_race(tmp_path: Path) -> None:
    report = judge(SLOW.write(SOLUTION, tmp_path / "s"), tmp_path, mode="bench")
    assert "single lookups" in missed(report)["8"].message


def test_every_criterion_has_a_wrong_answer() -> None:
    assert {v.criterion for v in (*MUTANTS, SLOW)} == {c.id for c in CAPSTONE.criteria}
    assert {v.criterion for v in BORROWS} == {c.id for c in CAPSTONE.bonus}
    assert len(MUTANTS) >= 12


@given(st.lists(st.tuples(st.integers(4096, 4 * 4096 - 1), st.integers(0, 255)), max_size=4))
def test_the_walk_ends_on_any_file(changes: list[tuple[int, int]]) -> None:
    """A file with bytes turned is a sound tree or a broken rule: never a loop, another error."""
    raw = bytearray(three_pages())
    for at, byte in changes:
        raw[at] = byte
    told = ""
    with suppress(CriterionFailed):
        told = f"{len(walk(bytes(raw)).leaves)} leaves"
    assert told in ("", "0 leaves", "1 leaves", "2 leaves")


def three_pages() -> bytes:
    """A root with two leaves, written by the layout table."""
    raw = bytearray(4 * 4096)
    raw[19:23], raw[23:27] = (4096).to_bytes(4, "little"), (4).to_bytes(4, "little")
    raw[39:47] = (3 | 2 << 32).to_bytes(8, "little")
    raw[47:55] = (4).to_bytes(8, "little")
    nodes = ((1, 1, (10, 20), 2, 0), (2, 1, (30, 40), 0, 1), (3, 0, (30,), 0, 0))
    for page_id, kind, keys, following, before in nodes:
        at = page_id * 4096
        raw[at + 8], raw[at + 17] = 2, kind
        for start in (9, 18):
            raw[at + start : at + start + 2] = len(keys).to_bytes(2, "little")
        raw[at + 20 : at + 24] = following.to_bytes(4, "little")
        raw[at + 24 : at + 28] = before.to_bytes(4, "little")
        raw[at + 28] = 1 - kind
        for i, key in enumerate(keys):
            raw[at + 32 + 4 * i : at + 36 + 4 * i] = key.to_bytes(4, "little")
    for i, child in enumerate((1, 2)):
        at = 3 * 4096 + 2060 + 4 * i
        raw[at : at + 4] = child.to_bytes(4, "little")
    return bytes(raw)


def test_the_walk_reads_what_the_table_says() -> None:
    tree = walk(three_pages())
    assert (tree.height, tree.internal, list(tree.entries)) == (2, 1, [10, 20, 30, 40])
