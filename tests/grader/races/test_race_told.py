"""What is told of a race: memory, earlier attempts, who else computed meanwhile."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest

from grader.races.history import Past
from grader.races.race import Race, describe
from grader.races.rounds import Neighbours


def test_memory_is_a_share_of_the_peers(tmp_path: Path) -> None:
    class Worker:
        def __init__(self, mib: int) -> None:
            self.mib = mib

        def own_memory(self) -> int:
            return self.mib * 2**20

    race = Race("5eed")
    one = lambda: 1.0  # noqa: E731
    result = race.compare(
        "m", one, one, peer_name="sqlite3", unit="call", reference=one,
        memory=(Worker(30), Worker(20), Worker(60)),
    )  # fmt: skip
    assert result.memory == pytest.approx(1.5)
    race.compare("unknown", one, one, peer_name="p", unit="call", memory=(Worker(0), Worker(3)))
    entries = race.finish(tmp_path)
    assert [entry.memory for entry in entries] == [pytest.approx(1.5), pytest.approx(0.5), None]
    data = msgspec.json.decode((tmp_path / "plots" / "m.json").read_bytes())
    assert data["peak_bytes"]["model answer"] == 60 * 2**20
    shown = (tmp_path / "plots" / "m.svg").read_text()
    assert "Peak memory: submission 30.0 MiB, sqlite3 20.0 MiB" in shown


def test_an_entry_in_one_line(tmp_path: Path) -> None:
    race = Race("5eed")
    race.compare("Work", lambda: 1.0, lambda: 1.84, peer_name="sqlite3", unit="call")
    (entry,) = race.finish(tmp_path)
    entry.note = ""
    assert describe(entry) == "Work: 1.84 times the speed of sqlite3 (1.84 to 1.84)"
    entry.memory, entry.note = 1.234, "beside the race 0.9 of 2 cores were busy"
    entry.growth, entry.growth_low, entry.growth_high = -0.001, -0.01, 0.02
    assert describe(entry) == (
        "Work: 1.84 times the speed of sqlite3 (1.84 to 1.84); time grows as n^0.00 "
        "(-0.01 to 0.02); peak memory 1.2 times as much; beside the race 0.9 of 2 cores were busy"
    )
    entry.ratio = entry.growth = entry.memory = None
    entry.note = ""
    assert describe(entry) == "Work: not measured against sqlite3"


def test_earlier_attempts_are_in_the_picture(tmp_path: Path) -> None:
    def past(name: str, peer: str, ratio: float, attempt: int) -> Past:
        when = f"2026-11-0{attempt + 1}T10:00:00+00:00"
        return Past(name=name, peer=peer, ratio=ratio, attempt=attempt, when=when)

    mine = [past("Work", "sqlite3", 0.5, 1), past("Work", "sqlite3", 0.9, 2)]
    others = [past("Work", "model answer", 0.3, 1), past("Other", "sqlite3", 0.4, 1)]
    race = Race("5eed", history=[*mine, *others])
    race.compare("Work", lambda: 1.0, lambda: 2.0, peer_name="sqlite3", unit="call")
    race.finish(tmp_path)
    data = msgspec.json.decode((tmp_path / "plots" / "work.json").read_bytes())
    assert [entry["ratio"] for entry in data["history"]] == [0.5, 0.9]
    shown = (tmp_path / "plots" / "work.svg").read_text()
    assert "#1" in shown
    assert "3 Nov" in shown


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 300 0 100 900 0 0 0 0 0 0", ""),
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 400 0 100 900 0 0 0 0 0 0", "0.5 of"),
        ("cpu 100 0 100 900 0 0 0 0 0 0", "cpu 300 0 100 900 0 0 0 200 0 0", "1.0 of"),
        ("intr 1", "intr 2", ""),
        ("", "", ""),
    ],
)
def test_what_others_compute_meanwhile_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str, said: str
) -> None:
    """Two seconds of a race, at a hundred ticks a second: one core of two is its own."""
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    stat = tmp_path / "stat"
    stat.write_text(before + "\ncpu0 1 2 3\n")
    neighbours = Neighbours(stat)
    stat.write_text(after + "\ncpu0 1 2 3\n")
    now[0] += 2
    assert said in neighbours.note()
    assert bool(said) is bool(neighbours.note())
    assert Neighbours(tmp_path / "none").note() == ""
