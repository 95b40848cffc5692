"""The benchmarks run, both sides agree, and the report is complete. Never how fast anything is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import database_01_storage as storage
from benchmarks import harness
from benchmarks.__main__ import available
from benchmarks.__main__ import main as command
from benchmarks.harness import Disagreement, Side, race
from meridian.academy import load
from meridian.foundation.profiling.bench import BenchmarkResult

ROOT = Path(__file__).parents[2]
TINY = storage.Sizes(records=300, rounds=2, frames=(64, 128))


def side(name: str, answer: Any, log: list[str] | None = None) -> Side:
    log = log if log is not None else []
    return Side(
        name,
        work=lambda subject: log.append(f"work {subject}") or answer,
        prepare=lambda: log.append("prepare") or "store",
        finish=lambda subject: log.append(f"finish {subject}"),
    )


def run_race(mine: Side, peer: Side, **more: Any) -> harness.Race:
    return race("get", mine, peer, unit="get", per=10, clock="wall", rounds=4, **more)


def test_a_race_reports_both_clocks_per_operation() -> None:
    found = run_race(side("ours", 1), side("theirs", 1), target=0.5)
    result = found.result
    assert (result.subject, result.peer, result.clock, result.other_clock) == (
        "ours",
        "theirs",
        "wall",
        "cpu",
    )
    assert result.subject_s == pytest.approx(float(np.median(found.judged.a)) / 10)
    assert found.judged.a.size == found.other.a.size == 4
    assert found.other.ratio == result.other_ratio


def test_every_run_is_prepared_and_finished() -> None:
    log: list[str] = []
    run_race(side("ours", 1, log), side("theirs", 1))
    assert len(log) % 3 == 0
    assert log == ["prepare", "work store", "finish store"] * (len(log) // 3)


def test_a_failing_run_is_finished_too() -> None:
    log: list[str] = []

    def fail(_subject: object) -> None:
        raise OSError("disk gone")

    with pytest.raises(OSError, match="disk gone"):
        run_race(replace(side("ours", 1, log), work=fail), side("theirs", 1))
    assert log == ["prepare", "finish store"]


@pytest.mark.parametrize(
    ("mine", "peer", "said"),
    [
        (1, 2, "different values"),
        ([b"a"], [b"a", b"b"], "1 results against 2"),
        ([b"a"], [b"b"], "different values"),
        (np.zeros((2, 3)), np.zeros((3, 2)), r"float64\(2, 3\) against float64\(3, 2\)"),
        (np.array([1, 2], "u1"), np.array([1, 2], "u2"), "uint8"),
        (np.array([[1, 2], [3, 4]]), np.array([[1, 2], [3, 5]]), r"first at \[1, 1\]"),
    ],
)
def test_different_answers_stop_the_race(mine: Any, peer: Any, said: str) -> None:
    with pytest.raises(Disagreement, match=f"get: ours and theirs disagree: .*{said}"):
        run_race(side("ours", mine), side("theirs", peer))


def test_keys_are_modules_of_the_course() -> None:
    keys = available()
    assert "database/01-storage" in keys
    for key in keys:
        assert load(ROOT).module(key)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The command as a user runs it, once."""
    out = tmp_path_factory.mktemp("results")
    stores = tmp_path_factory.mktemp("stores")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "database/01-storage", "--quick"),
            *("--out", str(out), "--dir", str(stores)),
        ],
        cwd=ROOT,
        env={"COLUMNS": "200", "PATH": "/usr/bin:/bin", "HOME": str(out)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(stores.iterdir()) == []  # everything created there is gone
    return out, done.stdout


def test_quick_run_writes_pictures_and_numbers(quick: tuple[Path, str]) -> None:
    out, _ = quick
    assert sorted(path.name for path in out.iterdir() if not path.name.startswith(".")) == [
        f"database-01-storage{part}.{kind}"
        for part in ("-hits", "")
        for kind in ("json", "png", "svg")
    ]
    numbers = json.loads((out / "database-01-storage.json").read_text())
    assert numbers["quick"] is True
    results = [BenchmarkResult(**result) for result in numbers["results"]]
    assert [(r.name, r.peer) for r in results] == [
        ("insert_many", "sqlite3"),
        ("insert_many", "LMDB"),
        ("get_many", "sqlite3"),
        ("get_many", "sqlite3 join"),
        ("get_many", "LMDB"),
        ("scan", "sqlite3"),
        ("scan", "LMDB"),
        ("get", "sqlite3"),
        ("get", "LMDB"),
        ("insert", "sqlite3"),
        ("insert", "LMDB"),
        ("fetch hit", "64 frames"),
    ]
    for result in results:
        if result.ratio is None:
            assert result.note
            continue
        assert result.ci95 is not None
        assert 0 < result.ci95[0] <= result.ratio <= result.ci95[1]
        assert result.subject_s is not None
        assert result.subject_s > 0
        assert {result.clock, result.other_clock} == {"cpu", "wall"}
    assert len(numbers["samples"]) == sum(r.ratio is not None for r in results)
    for sample in numbers["samples"]:
        assert len(sample["a"]) == len(sample["b"]) == 8


def test_statement_names_machine_workload_and_bias(quick: tuple[Path, str]) -> None:
    said = json.loads((quick[0] / "database-01-storage.json").read_text())["statement"]
    for part in ("Workload: 1,000 element sets", "Bias: written by the authors", "numba", "sqlite"):
        assert part in said


def test_table_says_met_or_missed(quick: tuple[Path, str]) -> None:
    out, printed = quick
    results = json.loads((out / "database-01-storage.json").read_text())["results"]
    judged = [r for r in results if r["target"] is not None and r["ratio"] is not None]
    assert len(re.findall(r"\b(met|missed)\b", printed)) == len(judged) >= 6
    assert "insert_many, wall" in printed
    assert "get, cpu" in printed


def test_hit_growth_has_every_policy(quick: tuple[Path, str]) -> None:
    growth = json.loads((quick[0] / "database-01-storage-hits.json").read_text())["growth"]
    assert list(growth) == ["clock", "lru", "2q"]
    for swept in growth.values():
        assert swept["sizes"] == [64, 256, 1_024]
        assert all(median > 0 for median in swept["medians"])


def test_rows_can_be_run_alone_and_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    results = storage.run(
        ("scan", "get"), TINY, folder=tmp_path, progress=lambda *step: told.append(step)
    )
    assert [r.name for r in results] == ["scan", "scan", "get", "get"]
    assert told[0] == (0, 4, "scan vs sqlite3")
    assert told[-1] == (4, 4, "done")
    assert list(tmp_path.iterdir()) == []


def test_missing_peer_is_a_gap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(storage, "find_spec", lambda _: None)
    sqlite, lmdb = storage.run(("get",), TINY, folder=tmp_path)
    assert sqlite.ratio is not None
    assert (lmdb.ratio, lmdb.peer, lmdb.met) == (None, "LMDB", None)
    assert "uv sync --group bench" in lmdb.note
    assert "py-lmdb" not in storage.statement(TINY)


def test_a_wrong_result_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A store that loses a bit does not get a time."""
    honest = storage.MeridianStore.get_many

    def lossy(self: storage.MeridianStore) -> Any:
        rows = honest(self).copy()
        rows[17, 40] ^= 1
        return rows

    monkeypatch.setattr(storage.MeridianStore, "get_many", lossy)
    with pytest.raises(Disagreement, match=r"get_many: meridian and sqlite3 .*\[17, 40\]"):
        storage.run(("get_many",), TINY, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_row() -> None:
    with pytest.raises(ValueError, match=r"insert_many, get_many.*got 'sort'"):
        storage.run(("sort",), TINY)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["database/01-storge"], "did you mean 'database/01-storage'"),
        (["nothing"], "there are: database/01-storage"),
        (["database/01-storage", "--rows", "sort"], "no row 'sort'"),
        ([], "required"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        command(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
