"""Several threads at one lock: how many get through, and how long a write has to wait."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from meridian.academy.widgets.base import ACCENT, INK, MUTED, WARN, svg_document
from meridian.academy.widgets.playground import Playground, Shown, choice, slider
from meridian.academy.widgets.svg_parts import BOLD, text
from meridian.foundation.sync import Mutex, RwLock

__all__ = ["LOCKS", "WORK", "LockRace", "RaceResult", "paint_race", "race"]

THREADS = 4
DEVICE_S = 0.002

Table = dict[int, str]


def _look_up(table: Table) -> object:
    return table.get(25_544)


def _ask_device(table: Table) -> object:
    time.sleep(DEVICE_S)  # stands for a read that waits with the GIL released
    return table.get(25_544)


WORK: dict[str, Callable[[Table], object]] = {
    "a look into the dictionary": _look_up,
    "a read that waits 2 ms": _ask_device,
}
"""What is done while the lock is held."""

LOCKS: dict[str, Callable[[Table], Any]] = {
    "Mutex": Mutex,
    "RwLock": RwLock,
    "RwLock, fair": lambda table: RwLock(table, prefer="fair"),
}


@dataclass(frozen=True, slots=True)
class RaceResult:
    """What some threads did with one lock in a given time.

    Attributes:
        lock: its name in `LOCKS`.
        per_s: reads and writes per second, of all threads together.
        write_wait_ms: the longest wait of a write; None where nobody wrote.
    """

    lock: str
    per_s: float
    write_wait_ms: float | None


def race(name: str, work: str, read_percent: float, *, seconds: float = 0.15) -> RaceResult:
    """Let four threads read and write a table under the lock `name` for so many seconds.

    `read_percent` of the operations are reads, drawn with a fixed seed; both do the same `work`
    while they hold the lock. A mutex knows no difference. Raises `KeyError` for unknown names.
    """
    lock, do = LOCKS[name]({25_544: "gs-svalbard"}), WORK[work]
    enter_read, enter_write = getattr(lock, "read", None), getattr(lock, "write", None)
    if enter_read is None or enter_write is None:
        enter_read = enter_write = lock.lock
    start = threading.Barrier(THREADS)
    done, waits_s, took_s = [0] * THREADS, [[0.0] for _ in range(THREADS)], [0.0] * THREADS

    def run(seat: int) -> None:
        choose = random.Random(seat)
        reads = [choose.uniform(0, 100) < read_percent for _ in range(997)]
        start.wait()
        begin = now = time.perf_counter()
        while now < begin + seconds:
            if reads[done[seat] % len(reads)]:
                with enter_read() as guard:
                    do(guard.value)
            else:
                with enter_write() as guard:
                    waits_s[seat].append(time.perf_counter() - now)
                    do(guard.value)
            done[seat] += 1
            now = time.perf_counter()
        took_s[seat] = now - begin

    threads = [threading.Thread(target=run, args=(seat,)) for seat in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    longest = max(map(max, waits_s)) * 1e3 if any(len(w) > 1 for w in waits_s) else None
    return RaceResult(name, sum(done) / max(took_s), longest)


class LockRace(Playground):
    """Mutex against reader-writer locks; sliders for the share of reads, a list of what they do.

    Every change runs the real locks for a good tenth of a second each.
    """

    def __init__(self, work: str = "a read that waits 2 ms", read_percent: int = 90) -> None:
        self.work = choice("work", list(WORK), work, width="22rem")
        self.read_percent = slider("reads, %", read_percent, 0, 100, 5)
        self.results: list[RaceResult] = []
        super().__init__([self.read_percent, self.work], self._race)

    def _race(self) -> Shown:
        work, percent = self.work.value, self.read_percent.value
        self.results = [race(name, work, percent) for name in LOCKS]
        title = f"{THREADS} threads, {percent} % reads, {work}"
        svg = paint_race(self.results, title)
        return Shown(f"{title}: {_said(self.results)}", (svg,), aloud=False)


def paint_race(results: Sequence[RaceResult], title: str) -> str:
    """Two bars for each lock: how often per second, and the longest wait of a write."""
    parts = [text(8, 16, title, size=13, extra=BOLD)]
    parts.append(text(110, 40, "operations per second", size=10, fill=MUTED))
    parts.append(text(430, 40, "longest wait of a write", size=10, fill=MUTED))
    most = max((r.per_s for r in results), default=0.0) or 1.0
    slowest = max((r.write_wait_ms or 0.0 for r in results), default=0.0) or 1.0
    for number, result in enumerate(results):
        y = 50 + 30 * number
        parts.append(text(100, y + 14, result.lock, anchor="end"))
        parts += _bar(110, y, result.per_s / most, ACCENT, f"{result.per_s:,.0f}")
        wait = result.write_wait_ms
        if wait is None:
            parts.append(text(430, y + 14, "nobody writes", size=10, fill=MUTED))
        else:
            parts += _bar(430, y, wait / slowest, WARN, f"{wait:,.3g} ms")
    return svg_document(720, 56 + 30 * len(results), "".join(parts), title=_said(results))


def _said(results: Sequence[RaceResult]) -> str:
    return "; ".join(f"{r.lock} {r.per_s:,.0f} per second" for r in results)


def _bar(x: float, y: float, share: float, ink: str, words: str) -> Iterable[str]:
    width = max(1.0, 200 * share)
    yield (
        f'<rect x="{x:g}" y="{y:g}" width="{width:.1f}" height="20" '
        f'style="fill:{ink};stroke:{INK}" stroke-width="0.5"/>'
    )
    yield text(x + width + 8, y + 14, words)
