"""Which work gets faster with more threads: four pieces of a job, on 1, 2 and 4 of them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from meridian.academy.widgets.base import ACCENT, INK, MUTED, svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice
from meridian.academy.widgets.svg_parts import BOLD, text
from meridian.foundation.sync import scope

__all__ = ["JOBS", "JobScaling", "measure_job", "paint_scaling"]

PIECES = 4
THREADS = (1, 2, 4)
_WIDTH = 640.0


def _python(turns: int = 150_000) -> int:
    total = 0
    for number in range(turns):
        total += number & 7
    return total


def _hash() -> bytes:
    return hashlib.sha256(_megabytes()).digest()


def _kernel() -> int:
    return int(_spin()(6_000_000))


def _sleep() -> None:
    time.sleep(0.01)


JOBS: dict[str, tuple[Callable[[], Any], str]] = {
    "a loop in Python": (_python, "holds the interpreter's lock: no faster, however many threads"),
    "sha256 of 8 MB": (
        _hash,
        "hashlib gives up the lock for large buffers: as fast as there are CPUs",
    ),
    "a numba kernel, nogil": (_kernel, "compiled without the lock: as fast as there are CPUs"),
    "a call that blocks (sleep)": (_sleep, "waits without the lock: as fast as there are threads"),
}


@cache
def _megabytes() -> bytes:
    return bytes(8 << 20)


@cache
def _spin() -> Any:
    import numba

    def spin(turns: int) -> int:
        value = 1
        for _ in range(turns):  # each needs the one before: not to be optimized away
            value = (value * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        return value

    compiled = numba.njit(nogil=True)(spin)
    compiled(1)
    return compiled


def measure_job(job: Callable[[], Any], threads: int, rounds: int = 5) -> float:
    """Seconds for four pieces of `job` on so many threads, the best of `rounds`."""
    job()
    best = float("inf")
    for _ in range(rounds):
        start_s = time.perf_counter()
        with scope(max_threads=threads) as s:
            for _ in range(PIECES):
                s.spawn(job)
        best = min(best, time.perf_counter() - start_s)
    return best


class JobScaling(Playground):
    """Four pieces of a job on 1, 2 and 4 threads of this machine, measured when it is chosen."""

    def __init__(self, job: str = "a loop in Python") -> None:
        self.job = choice("job", list(JOBS), job, width="22rem")
        super().__init__([self.job], self._measure)

    def _measure(self) -> Shown:
        name = self.job.value
        job, why = JOBS[name]
        took_s = {threads: measure_job(job, threads) for threads in THREADS}
        words = f"{name} on {', '.join(map(str, THREADS))} threads"
        return Shown(words, (paint_scaling(name, why, took_s),), aloud=False)


def paint_scaling(job: str, why: str, took_s: dict[int, float]) -> str:
    """A bar for each number of threads; a tick where it would end if threads divided the work."""
    cpus = os.cpu_count() or 1
    left, wide = 90.0, _WIDTH - 270
    scale = wide / max(took_s.values())
    parts = [text(8, 16, f"{PIECES} pieces of: {job}", size=13, extra=BOLD)]
    for row, (threads, seconds) in enumerate(took_s.items()):
        y = 32.0 + row * 30
        ideal = took_s[1] / threads * scale + left
        bar = f'<rect x="{left:g}" y="{y:g}" width="{seconds * scale:.1f}" height="18" '
        tick = f'<path d="M{ideal:.1f} {y - 3:g}V{y + 21:g}" stroke-dasharray="3 2" '
        parts += [
            text(left - 8, y + 14, f"{threads} thread{'s' * (threads > 1)}", size=11, anchor="end"),
            f'{bar}style="fill:{ACCENT}"/>',
            f'{tick}style="stroke:{INK}" stroke-width="1.6"/>',
            text(
                left + seconds * scale + 8,
                y + 14,
                f"{seconds * 1e3:.1f} ms, {took_s[1] / seconds:.1f} times as fast",
                size=11,
            ),
        ]
    y = 32.0 + len(took_s) * 30 + 14
    parts.append(text(8, y, why, size=11, fill=INK))
    parts.append(
        text(8, y + 18, f"dashed: the work divided by the threads; this machine has {cpus} CPUs",
             size=10, fill=MUTED)
    )  # fmt: skip
    return svg_document(_WIDTH, y + 26, "".join(parts), title=f"{job} on threads")
