"""Every benchmark that is a table runs, agrees with its peers, and leaves numbers and pictures."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks.__main__ import available
from benchmarks.bounds import Bound
from benchmarks.harness import Disagreement, Race, Side
from benchmarks.table import Row, Table
from meridian.foundation.profiling.bench import BenchmarkResult

TABLES = {
    key: module.TABLE
    for key, name in available().items()
    if hasattr(module := import_module(name), "TABLE")
}


@pytest.mark.parametrize("key", TABLES)
def test_a_quick_run_is_complete(key: str, tmp_path: Path) -> None:
    table = TABLES[key]
    results, bounds = table.main(tmp_path, quick=True)
    assert [result.name for result in results] == [row.name for row in table.rows]
    assert all(result.ratio for result in results)
    name = key.replace("/", "-")
    assert {path.name for path in tmp_path.iterdir()} >= {f"{name}.json", f"{name}.png"}
    numbers = json.loads((tmp_path / f"{name}.json").read_text())
    assert numbers["quick"]
    assert numbers["benchmark"] == key == table.key
    assert len(numbers["samples"]) == len(table.rows)
    assert len(numbers["bounds"]) == len(bounds) >= len(table.alone)
    assert all(bound.took_ns > 0 for bound in bounds)


def row(name: str, mine: object, peer: object, **more: object) -> Row:
    def make(_: int) -> tuple[Side, Side]:
        return Side("ours", lambda _: mine), Side("theirs", lambda _: peer)

    return Row(name, "call", make, 1, 1, **more)  # type: ignore[arg-type]


def table(*rows: Row) -> Table:
    return Table("toy/01", "Toys", rows, workload="nothing", bias="none")


def test_only_the_named_rows_run() -> None:
    toys = table(row("a", 1, 1), row("b", 2, 2))
    (found,) = toys.run(["b"], quick=True)
    assert isinstance(found, Race)
    assert found.result.name == "b"
    with pytest.raises(ValueError, match="rows among a, b; got 'c'"):
        toys.run(["c"])


def test_sides_that_differ_are_no_race() -> None:
    with pytest.raises(Disagreement):
        table(row("a", 1, 2)).run(quick=True)


def test_a_peer_that_is_not_installed_leaves_a_gap() -> None:
    (found,) = table(row("a", 1, 1, needs="no_such_package")).run()
    assert isinstance(found, BenchmarkResult)
    assert "no_such_package is not installed" in found.note


def test_sides_may_say_themselves_what_an_operation_took() -> None:
    (found,) = table(row("a", 0.5, 2.0, sampled=True)).run(quick=True)
    assert isinstance(found, Race)
    assert found.result.ratio == pytest.approx(4.0)


def test_a_bound_stands_beside_the_ratio(tmp_path: Path) -> None:
    toys = Table(
        "toy/01",
        "Toys",
        [row("a", 3e-6, 6e-6, sampled=True, most_ns=2_000)],
        workload="nothing",
        bias="none",
        alone={"wait": lambda _out, _quick: [Bound("wait", "call", 5.0, 5.0)]},
    )
    _, (slow, exact) = toys.main(tmp_path, quick=True)
    assert str(slow) == "a: 3,000 ns per call, at most 2,000 ns: missed"
    assert str(exact) == "wait: 5 ns per call, at most 5 ns: met"
    results, bounds = toys.main(tmp_path, quick=True, rows=["wait"])
    assert results == []
    assert bounds == [exact]
