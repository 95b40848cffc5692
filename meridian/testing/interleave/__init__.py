"""Every interleaving of a few threads, up to a bound: find the race, keep the schedule, replay it.

In the manner of loom and CHESS: `explore` runs a scenario on real threads of which one at a time
may go on, and decides at every operation of their locks who that is. Read in this order: `records`,
`tasks`, `schedule`, `run`, `primitives`, `carriers`, `search`.
"""

from __future__ import annotations

from meridian.testing.interleave.primitives import Bundle
from meridian.testing.interleave.records import (
    Failure,
    NotDeterministic,
    Report,
    ScenarioStuck,
    Step,
    Trace,
)
from meridian.testing.interleave.search import explore, replay

__all__ = [
    "Bundle",
    "Failure",
    "NotDeterministic",
    "Report",
    "ScenarioStuck",
    "Step",
    "Trace",
    "explore",
    "replay",
]
