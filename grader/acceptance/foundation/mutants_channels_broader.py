"""Wrong aggregators whose mistake rightly costs more than one criterion."""

from __future__ import annotations

from grader.acceptance.foundation.mutants_channels import AGGREGATOR, SHOW
from grader.authoring.mutants import Change, Variant

__all__ = ["BROADER"]

TAKE = "def _take(self) -> Frame | None:"
ROUTINE = "if frame.priority is FramePriority.ROUTINE:"
INLET = "return self._emergency_in if frame.priority is FramePriority.EMERGENCY else source.inlet"

BROADER = {
    ("1", "3", "8"): Variant(
        "one_fifo",
        "1",
        (
            Change(AGGREGATOR, INLET, "return source.inlet"),
            Change(AGGREGATOR, ROUTINE, "if frame:"),
        ),
    ),
    ("1", "3"): Variant(
        "queue_behind_the_choice",  # priority is decided, and then a bounded queue
        "1",
        (
            Change(
                AGGREGATOR,
                TAKE,
                "def _take(self) -> Frame | None:\n"
                '        chosen = self.__dict__.setdefault("_chosen", deque())\n'
                "        while len(chosen) < 4 and (frame := self._choose()) is not None:\n"
                "            chosen.append(frame)\n"
                "        return chosen.popleft() if chosen else None\n\n"
                "    def _choose(self) -> Frame | None:",
            ),
        ),
    ),
    ("2", "3", "4", "6", "7", "8"): Variant(
        "break_on_shutdown",  # and both lanes are dropped
        "6",
        (
            Change(
                AGGREGATOR,
                "            frame = self._take()\n",
                "            if self._stopped:\n"
                "                return\n"
                "            frame = self._take()\n",
            ),
        ),
    ),
    ("4", "6"): Variant(
        "open_sender_forgotten",
        "6",
        (Change(AGGREGATOR, "            self._out.close()\n", ""),),
    ),
    ("5", "6"): Variant(
        "shown_when_accepted",
        "6",
        (
            Change(AGGREGATOR, "        " + SHOW + "\n", ""),
            Change(
                AGGREGATOR,
                "        self._routed += 1\n",
                "        self._routed += 1\n        self._out.send(frame)\n",
            ),
        ),
    ),
    ("4", "7"): Variant(
        "one_subscriber_for_all",
        "4",
        (
            Change(
                AGGREGATOR,
                "return self._out.subscribe(name)",
                'return self.__dict__.setdefault("_one", self._out.subscribe(name))',
            ),
        ),
    ),
}
"""Mistakes that rightly cost more than one criterion, and which those are."""
