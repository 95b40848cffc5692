"""Tasks and their life: waiting, racing, stopping, draining; on asyncio and on trio.

The floor first: `parking` (one task's sleep), `readiness` (asking without waiting), `select`
(the first of several), `cancel` (telling a tree to stop), `exits` and `tracker` (how tasks end).
"""

from __future__ import annotations

from meridian.foundation.tasks.cancel import CancellationToken
from meridian.foundation.tasks.exits import EXPECTED, TaskExit, classify
from meridian.foundation.tasks.readiness import (
    CLOSED,
    PENDING,
    Closed,
    Pending,
    Ready,
    Selectable,
)
from meridian.foundation.tasks.select import SelectExhausted, select
from meridian.foundation.tasks.tracker import (
    EndedTask,
    TaskAborted,
    TaskHandle,
    TaskTracker,
    TrackerClosed,
    abort_on_exit,
)

__all__ = [
    "CLOSED",
    "EXPECTED",
    "PENDING",
    "CancellationToken",
    "Closed",
    "EndedTask",
    "Pending",
    "Ready",
    "SelectExhausted",
    "Selectable",
    "TaskAborted",
    "TaskExit",
    "TaskHandle",
    "TaskTracker",
    "TrackerClosed",
    "abort_on_exit",
    "classify",
    "select",
]
