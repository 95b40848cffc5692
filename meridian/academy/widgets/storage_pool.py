"""Pictures of a real buffer pool at work: what the second storage lesson looks at.

- `PoolStepper`: type a trace, choose policy and frames, step, play, go back.
- `show_pool(trace)`: one moment of a trace as a picture.
- `run_trace(trace)`: every state of a trace as values, for tables and tests.

A trace is text: ``3`` fetches page 3, ``3w`` writes to it, ``3s`` fetches it as part of a scan,
``3+`` keeps it pinned, ``3-`` gives up that pin.
"""

from __future__ import annotations

from meridian.academy.widgets.page_picture import PagePicture
from meridian.academy.widgets.pool_state import Access, Frame, Outcome, PoolState, Step
from meridian.academy.widgets.pool_stepper import TRACES, PoolStepper
from meridian.academy.widgets.pool_svg import paint_pool, summary
from meridian.academy.widgets.pool_trace import TraceRun, pool_state, read_trace, run_trace

__all__ = [
    "TRACES",
    "Access",
    "Frame",
    "Outcome",
    "PoolState",
    "PoolStepper",
    "Step",
    "TraceRun",
    "pool_state",
    "read_trace",
    "run_trace",
    "show_pool",
]


def show_pool(
    trace: str, *, policy: str = "clock", frames: int = 5, step: int | None = None
) -> PagePicture:
    """The pool after access `step` of `trace` (default: the last) as a picture.

    Raises `ValueError` for a trace, policy, number of frames or step that there is not.
    """
    run = run_trace(trace, frames, policy)
    at = len(run.accesses) if step is None else step
    if not 0 <= at <= len(run.accesses):
        raise ValueError(f"Expected a step from 0 to {len(run.accesses)}, got {step}")
    return PagePicture(paint_pool(run, at), summary(run, at))
