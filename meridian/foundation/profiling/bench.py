"""Benchmarks with honest statistics: the public face of the engine.

``compare(a, b)`` is what to reach for: it measures both sides interleaved and says whether b is
faster, slower, equivalent, or whether the data cannot tell. ``measure(f)`` times one function,
for storing in a `BaselineStore` or drawing its distribution. Ratios measured in one run hold on
other machines; absolute times do not, and `Fingerprint` keeps them from being mixed.

What the engine does not do: several processes (pyperf does; memory layout and hash seeds differ
from process to process and shift times by a few percent).
"""

from __future__ import annotations

from meridian.foundation.profiling.baseline import (
    BaselineCorrupt,
    BaselineMissing,
    BaselineStore,
)
from meridian.foundation.profiling.blackbox import black_box, use_in_kernels
from meridian.foundation.profiling.comparison import (
    Comparison,
    Verdict,
    compare_pairs,
    compare_samples,
)
from meridian.foundation.profiling.fingerprint import (
    Fingerprint,
    FingerprintMismatch,
    load_average,
)
from meridian.foundation.profiling.growth import (
    EliminationVerdict,
    SweepResult,
    elimination_check,
    fit_growth,
    sweep,
)
from meridian.foundation.profiling.interleaved import compare, compare_many
from meridian.foundation.profiling.measurement import Measurement, measure
from meridian.foundation.profiling.result import BenchmarkResult
from meridian.foundation.profiling.sequential import LOOK_LEVEL, Asked, looks
from meridian.foundation.profiling.stats import Interval, bootstrap_median, holm
from meridian.foundation.profiling.timing import BadTiming

__all__ = [
    "Asked",
    "BadTiming",
    "BaselineCorrupt",
    "BaselineMissing",
    "BaselineStore",
    "BenchmarkResult",
    "Comparison",
    "EliminationVerdict",
    "Fingerprint",
    "FingerprintMismatch",
    "Interval",
    "LOOK_LEVEL",
    "Measurement",
    "SweepResult",
    "Verdict",
    "black_box",
    "bootstrap_median",
    "compare",
    "compare_many",
    "compare_pairs",
    "compare_samples",
    "elimination_check",
    "fit_growth",
    "holm",
    "load_average",
    "looks",
    "measure",
    "sweep",
    "use_in_kernels",
]
