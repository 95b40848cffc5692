"""Rounds of a race: every side in turn, as many as the answer takes, and what disturbed them."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

__all__ = [
    "MODEL_ANSWER",
    "SUBMISSION",
    "Measured",
    "Neighbours",
    "Rounds",
    "Side",
    "Times",
    "measure",
    "without_collector",
]

SUBMISSION, MODEL_ANSWER = "submission", "model answer"

Side = Callable[[], float]
Times = list[list[float]]

_DISTURBING_CORES = 0.3  # less is the machine's own housekeeping


class Rounds(NamedTuple):
    """Seconds of each side, round by round; `settled` is ``None`` where nothing was settled."""

    times_s: Times
    settled: bool | None
    retried: bool


class Measured(NamedTuple):
    """What a race gave besides its times: peak memory by who ran, and what disturbed it."""

    rounds: Rounds
    peak_bytes: dict[str, int]
    note: str

    def memory_share(self, peer: str) -> float | None:
        """The submission's peak memory as a share of `peer`'s, where both were measured."""
        mine, theirs = self.peak_bytes.get(SUBMISSION), self.peak_bytes.get(peer)
        return mine / theirs if mine and theirs else None

    def said(self, *workload: str) -> str:
        """What stands under the plot: where, what, how often, in how much memory, beside what."""
        from meridian.foundation.profiling.bench import Fingerprint

        rounds = f"{len(self.rounds.times_s[0])} rounds, every side in turn, wall time"
        again = "measured a second time" if self.rounds.retried else ""
        peaks = ", ".join(f"{who} {peak / 2**20:.1f} MiB" for who, peak in self.peak_bytes.items())
        memory = f"peak memory: {peaks}" if peaks else ""
        parts = (str(Fingerprint.current()), *workload, rounds, again, memory, self.note)
        return ". ".join(part[:1].upper() + part[1:] for part in parts if part)


def measure(
    sides: Sequence[Side],
    rng: Random,
    most: int,
    settle: Callable[[Times], bool | None],
    again: Callable[[Times], bool],
) -> Rounds:
    """Take rounds until `settle` has an answer, at most `most`.

    Where it has none even then and `again` asks for more, everything is measured once more, with
    up to twice the rounds, and that run alone counts: a disturbance passes.
    """
    from meridian.foundation.profiling.bench import looks

    for side in sides:
        side()  # warm up
    times_s: Times = []
    for retried in (False, True):
        times_s = [[] for _ in sides]
        for count in looks(2 * most if retried else most):
            _take_turns(sides, times_s, count, rng)
            settled = settle(times_s)
            if settled is not None:
                return Rounds(times_s, settled, retried)
        if not again(times_s):
            break
    return Rounds(times_s, None, retried)


def _take_turns(sides: Sequence[Side], times_s: Times, count: int, rng: Random) -> None:
    """Rounds until there are `count`: A-B-C, then C-B-A, in a new order every two rounds.

    Going back the same way cancels a steady drift between any two sides.
    """
    order = list(range(len(sides)))
    for done in range(len(times_s[0]), count):
        if done % 2:
            order.reverse()
        else:
            rng.shuffle(order)
            gc.collect(1)
        for i in order:
            times_s[i].append(sides[i]())


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection of the judge inside somebody's time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class Neighbours:
    """How much of the machine others used since this was made.

    A race keeps one core busy, the judge's or a side's. What the kernel counts beyond that is
    somebody else's, another user of the machine or another guest of its host; or the side's own,
    where it uses several cores.
    """

    def __init__(self, stat: Path = Path("/proc/stat")) -> None:
        self._stat = stat
        self._busy_s = _busy_s(stat)
        self._began_s = time.monotonic()

    def note(self) -> str:
        """A sentence when others were computing, else nothing. Nothing either where unknown."""
        busy_s, elapsed_s = _busy_s(self._stat), time.monotonic() - self._began_s
        if busy_s is None or self._busy_s is None or elapsed_s <= 0:
            return ""
        cores = (busy_s - self._busy_s) / elapsed_s - 1
        if cores < _DISTURBING_CORES:
            return ""
        return f"beside the race {cores:.1f} of {os.cpu_count()} cores were busy"


def _busy_s(stat: Path) -> float | None:
    """CPU seconds used on this machine since it started, steal included (proc_stat(5))."""
    try:
        name, user, nice, system, _idle, _wait, *rest = stat.read_text().split("\n", 1)[0].split()
    except (OSError, ValueError):
        return None
    if name != "cpu":
        return None
    ticks = sum(map(int, (user, nice, system, *rest[:3])))  # guest time is in user already
    return ticks / os.sysconf("SC_CLK_TCK")
