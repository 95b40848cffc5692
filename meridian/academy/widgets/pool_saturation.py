"""A burst of calls on a real pool of blocking threads: who waits for a thread, and how long."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import anyio

from meridian.academy.widgets.base import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    svg_document,
)
from meridian.academy.widgets.playground import Playground, Shown, slider
from meridian.academy.widgets.svg_parts import line, rect, text, tick_step
from meridian.foundation.tasks import BlockingPool, Runtime, RuntimeConfig

__all__ = ["BlockingCall", "PoolSaturation", "longest_queue", "paint_calls", "send_burst"]

_WIDTH, _LEFT, _RIGHT = 720.0, 70.0, 16.0
_ROW, _QUEUE = 10.0, 52.0


class BlockingCall(NamedTuple):
    """One call: when it was asked for, when a thread took it, and when it was over."""

    asked_s: float
    began_s: float
    ended_s: float


def send_burst(limit: int, jobs: int, job_s: float) -> list[BlockingCall]:
    """Send `jobs` calls that sleep `job_s` at once to a `BlockingPool` of `limit` threads.

    In the order they were asked for; seconds since the first one. Real threads, real time.
    """
    pool = BlockingPool(limit, name="burst")
    calls: list[BlockingCall] = []

    def call(asked_s: float) -> None:
        began_s = time.perf_counter()
        time.sleep(job_s)
        calls.append(BlockingCall(asked_s, began_s, time.perf_counter()))

    async def burst() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(jobs):
                tasks.start_soon(pool.run, call, time.perf_counter())

    try:
        with Runtime(RuntimeConfig(name="burst")) as runtime:
            runtime.block_on(burst)
    finally:
        pool.close()
    zero_s = min((call.asked_s for call in calls), default=0.0)
    return sorted(BlockingCall(*(at - zero_s for at in call)) for call in calls)


def longest_queue(calls: Sequence[BlockingCall], limit: int) -> int:
    """How many calls at most had to wait because all `limit` threads were taken."""
    return max((queued for _, queued in _queue(calls, limit)), default=0)


def _queue(calls: Sequence[BlockingCall], limit: int) -> list[tuple[float, int]]:
    """How many wait so, from each moment on at which that may change."""
    moves = sorted([(c.asked_s, +1) for c in calls] + [(c.ended_s, -1) for c in calls])
    there, steps = 0, []
    for at_s, by in moves:
        there += by
        steps.append((at_s, max(0, there - limit)))
    return steps


def paint_calls(calls: Sequence[BlockingCall], limit: int, *, title: str = "") -> str:
    """Every call as a row, thin while it waits and solid in a thread; below them the queue."""
    whole_s = max((call.ended_s for call in calls), default=0.0) or 1.0
    scale = (_WIDTH - _LEFT - _RIGHT) / whole_s
    top, bottom = 14.0, 14.0 + _ROW * len(calls)
    parts = [text(8, top + 10, "calls", size=11)]
    for number, call in enumerate(calls):
        parts += _call(call, scale, top + number * _ROW)
    base = bottom + 22 + _QUEUE
    parts += _steps(calls, limit, scale, base)
    parts += _axis(whole_s, scale, top, base)
    y = base + 34
    parts.append(line(8, y - 4, 24, y - 4, MUTED, 1.6))
    parts.append(text(28, y, "waits for a thread", size=10.5, fill=MUTED))
    parts.append(rect(148, y - 9, 14, 9, f"fill:{ACCENT}"))
    parts.append(text(167, y, "runs in a thread", size=10.5, fill=MUTED))
    return svg_document(_WIDTH, y + 8, "".join(parts), title=title)


def _call(call: BlockingCall, scale: float, y: float) -> Iterable[str]:
    asked, began, ended = (_LEFT + at * scale for at in call)
    middle = y + _ROW / 2
    yield line(asked, middle, began, middle, MUTED, 1.6)
    yield rect(began, y + 1, max(1.0, ended - began), _ROW - 2, f"fill:{ACCENT}")


def _steps(calls: Sequence[BlockingCall], limit: int, scale: float, base: float) -> Iterable[str]:
    yield text(8, base - _QUEUE / 2 + 4, "queue", size=11)
    most = longest_queue(calls, limit)
    if not most:
        return
    path, height = f"M{_LEFT:g} {base:g}", _QUEUE / most
    for at_s, queued in _queue(calls, limit):
        path += f"H{_LEFT + at_s * scale:.2f}V{base - queued * height:.1f}"
    yield f'<path d="{path}" style="stroke:{INK}" stroke-width="1.8" fill="none"/>'
    yield text(_LEFT - 6, base - _QUEUE + 9, str(most), size=9.5, fill=MUTED, anchor="end")


def _axis(whole_s: float, scale: float, top: float, base: float) -> Iterable[str]:
    step_ms = tick_step(whole_s * 1e3, 8)
    for number in range(int(whole_s * 1e3 / step_ms) + 1):
        x = _LEFT + number * step_ms / 1e3 * scale
        yield line(x, top, x, base + 3, FAINT)
        words = f"{number * step_ms:g}{' ms' if number == 0 else ''}"
        yield text(x, base + 15, words, size=9.5, fill=MUTED, anchor="middle")


class PoolSaturation(Playground):
    """Sliders for the pool and the burst; each change sends the burst again."""

    def __init__(self, limit: int = 4, jobs: int = 16, job_ms: int = 50) -> None:
        self.limit = slider("threads at most", limit, 1, 40, 1, width="19rem")
        self.jobs = slider("calls at once", jobs, 1, 40, 1, width="19rem")
        self.job_ms = slider("each takes, ms", job_ms, 10, 100, 1, width="19rem")
        self.calls: list[BlockingCall] = []
        super().__init__([self.limit, self.jobs, self.job_ms], self._send)

    def _send(self) -> Shown:
        limit = self.limit.value
        self.calls = send_burst(limit, self.jobs.value, self.job_ms.value / 1e3)
        longest_ms = max(call.began_s - call.asked_s for call in self.calls) * 1e3
        all_ms = max(call.ended_s for call in self.calls) * 1e3
        words = (
            f"{len(self.calls)} calls done after {all_ms:.0f} ms; the longest wait for a thread "
            f"was {longest_ms:.0f} ms, the longest queue {longest_queue(self.calls, limit)}"
        )
        return Shown(words, (paint_calls(self.calls, limit, title=words),))
