"""One line of a benchmark report, shared by `benchmarks/`, the grader and the plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from meridian.foundation.profiling.comparison import Comparison

__all__ = ["BenchmarkResult"]


class BenchmarkResult(msgspec.Struct, frozen=True, kw_only=True):
    """How many times as fast as `peer` the `subject` did one workload.

    `ratio` is time(peer) / time(subject): above 1 the subject is faster. ``None`` is a gap, and
    `note` says why. `entry` gives the six fields of a grader report.
    """

    name: str  # the workload
    ratio: float | None
    spread: float | None  # width of the 95 % interval relative to the ratio
    peer: str
    unit: str  # what one operation is: "record", "get"
    plot: str = ""  # file beside the report
    subject: str = "meridian"
    ci95: tuple[float, float] | None = None
    p_value: float | None = None
    pairs: int = 0
    clock: str = ""
    subject_s: float | None = None  # median seconds per operation
    peer_s: float | None = None
    other_clock: str = ""  # the clock the ratio is not judged by, reported beside it
    other_ratio: float | None = None
    target: float | None = None  # the ratio asked for
    decided: bool | None = None  # whether it counts as reached, where a rule with more care says so
    memory: float | None = None  # peak memory of the subject as a share of the peer's
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target was reached; ``None`` without a target or without a ratio."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio >= self.target if self.decided is None else self.decided

    def entry(self) -> dict[str, object]:
        """The fields a grader report keeps."""
        keep = ("name", "ratio", "spread", "peer", "unit", "plot")
        return {name: getattr(self, name) for name in keep}

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> BenchmarkResult:
        """A result from a report's entry; `ValueError` for a field that does not fit."""
        low, high = entry.get("low"), entry.get("high")
        bounds = {} if low is None or high is None else {"ci95": (low, high)}
        return msgspec.convert({**entry, **bounds}, cls)

    @classmethod
    def of(
        cls,
        name: str,
        comparison: Comparison,
        *,
        unit: str,
        per: int = 1,
        target: float | None = None,
        plot: str = "",
        note: str = "",
        other: Comparison | None = None,
    ) -> BenchmarkResult:
        """The result of ``compare(subject, peer)``, where one call does `per` operations.

        `other` is the same samples by another clock. Caveats of the comparison join the note.
        """
        return cls(
            name=name,
            ratio=comparison.ratio,
            spread=comparison.spread,
            peer=comparison.name_b,
            unit=unit,
            plot=plot,
            subject=comparison.name_a,
            ci95=comparison.ci95,
            p_value=comparison.p_value,
            pairs=int(comparison.a.size),
            clock=comparison.clock,
            subject_s=comparison.median_a / per,
            peer_s=comparison.median_b / per,
            other_clock=other.clock if other else "",
            other_ratio=other.ratio if other else None,
            target=target,
            note="; ".join(part for part in (note, *comparison.caveats) if part),
        )

    @classmethod
    def gap(
        cls,
        name: str,
        *,
        peer: str,
        unit: str,
        note: str,
        subject: str = "meridian",
        target: float | None = None,
    ) -> BenchmarkResult:
        """A race that could not be run, with the reason."""
        return cls(
            name=name,
            ratio=None,
            spread=None,
            peer=peer,
            unit=unit,
            subject=subject,
            target=target,
            note=note,
        )
