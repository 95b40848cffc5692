"""Limits that were set in absolute terms: what nobody else offers is held against a figure."""

from __future__ import annotations

from typing import NamedTuple

from meridian.foundation.profiling.bench import BenchmarkResult

__all__ = ["Bound", "Report"]


class Bound(NamedTuple):
    """What one operation took, or is allowed to take at most."""

    name: str
    unit: str
    took_ns: float
    most_ns: float

    @property
    def met(self) -> bool:
        return self.took_ns <= self.most_ns

    def __str__(self) -> str:
        verdict = "met" if self.met else "missed"
        return (
            f"{self.name}: {_told(self.took_ns)} per {self.unit}, "
            f"at most {_told(self.most_ns)}: {verdict}"
        )


def _told(ns: float) -> str:
    for scale, unit in ((1e6, "ms"), (1e3, "us")):
        if ns >= 10 * scale:
            return f"{ns / scale:,.1f} {unit}"
    return f"{ns:,.0f} ns" if ns >= 100 else f"{ns:.2g} ns"


class Report(NamedTuple):
    """What one module's benchmark found."""

    results: list[BenchmarkResult]
    bounds: list[Bound]
