"""`BenchmarkResult`, `Fingerprint` and the public face."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
from pathlib import Path

import pytest

from meridian.foundation.profiling import bench, fingerprint
from meridian.foundation.profiling.bench import BenchmarkResult, Fingerprint, compare_pairs


def test_result_of_a_comparison() -> None:
    judged = compare_pairs([1.0] * 10, [4.0] * 10, names=("meridian", "sqlite3"), clock="cpu")
    other = compare_pairs([2.0] * 10, [6.0] * 10, clock="wall")
    result = BenchmarkResult.of(
        "get", judged, unit="get", per=100, target=3.5, note="held snapshot", other=other
    )
    assert (result.ratio, result.spread, result.ci95) == (4.0, 0.0, (4.0, 4.0))
    assert (result.subject, result.peer, result.pairs, result.clock) == (
        "meridian",
        "sqlite3",
        10,
        "cpu",
    )
    assert (result.subject_s, result.peer_s) == (0.01, 0.04)
    assert (result.other_clock, result.other_ratio) == ("wall", pytest.approx(3.0))
    assert result.met is True
    assert result.note == "held snapshot"


def test_met_and_missed() -> None:
    def at(ratio: float | None, target: float | None) -> bool | None:
        return BenchmarkResult(
            name="x", ratio=ratio, spread=0.0, peer="p", unit="u", target=target
        ).met

    assert [at(2, 2), at(1.9, 2), at(2, None), at(None, 2)] == [True, False, None, None]


def test_caveats_reach_the_note() -> None:
    noisy = compare_pairs([1, 2, 3, 4, 5, 6], [6, 1, 9, 2, 8, 3])
    assert "% wide" in BenchmarkResult.of("x", noisy, unit="u", note="n").note


def test_report_entry_has_the_six_fields_of_a_report() -> None:
    gap = BenchmarkResult.gap("get", peer="LMDB", unit="get", note="not installed")
    assert gap.entry() == {
        "name": "get",
        "ratio": None,
        "spread": None,
        "peer": "LMDB",
        "unit": "get",
        "plot": "",
    }
    assert gap.met is None
    entry = {"name": "get", "ratio": 2, "spread": 0.1, "peer": "x", "unit": "get", "plot": "g.png"}
    assert BenchmarkResult.from_entry(entry).entry() == entry
    with pytest.raises(ValueError, match="ratio"):
        BenchmarkResult.from_entry({**entry, "ratio": "fast"})
    with pytest.raises(ValueError, match="peer"):
        BenchmarkResult.from_entry({"name": "get", "ratio": 1.0, "spread": 0.0, "unit": "u"})


def test_current_fingerprint() -> None:
    here = Fingerprint.current()
    assert here == Fingerprint.current()
    assert here.cores == len(os.sched_getaffinity(0))
    assert here.numpy == importlib.metadata.version("numpy")
    assert here.cpu
    assert "Python" in str(here)


def test_fingerprint_differences() -> None:
    here = Fingerprint.current()
    other = dataclasses.replace(here, cores=here.cores + 1, hz_governor="other")
    assert here.differences(other) == ("cores", "hz_governor")
    assert here.differences(here) == ()


def test_fingerprint_on_an_odd_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Path, "read_text", _refuse)
    monkeypatch.setattr("platform.processor", lambda: "")
    assert fingerprint._cpu_model() == __import__("platform").machine()
    assert fingerprint._first_line(tmp_path / "absent") is None
    assert fingerprint._version("surely-not-a-distribution") == "absent"


def _refuse(*_args: object, **_kwargs: object) -> str:
    raise OSError("no such file")


def test_public_names() -> None:
    assert sorted(bench.__all__) == bench.__all__
    for name in bench.__all__:
        assert getattr(bench, name) is not None
