"""Aggregators that are right and slow, or fast because they lose frames."""

from __future__ import annotations

from grader.authoring.mutants import Change, Variant

__all__ = ["LOSSY", "SLOW"]

AGGREGATOR = "aggregator.py"
TURN = "            if taken % turn == 0:\n                await checkpoint()"

SLOW = Variant(
    "a_turn_for_each_frame",
    "9",
    (
        Change(
            AGGREGATOR, TURN, "            for _ in range(20):\n                await checkpoint()"
        ),
    ),
)

LOSSY = Variant(
    "lossy_and_fast",  # with many sources subscribers are skipped: what they miss costs no time
    "9",
    (
        Change(
            AGGREGATOR,
            "            if taken % turn == 0:\n",
            "            if taken % (turn * max(1, len(self._sources) // 2)) == 0:\n",
        ),
    ),
)
