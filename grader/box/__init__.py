"""Where submitted code runs: the strongest walls this machine offers, named in every report.

``bwrap``     namespaces (user, pid, ipc, uts, net), read-only system, its own uid; for grading
``landlock``  Landlock, a filter of system calls and limits, where bubblewrap is missing or blocked
``rlimits``   a plain process with limits; for checking one's own work
``none``      this very process; for developing a suite against code one trusts

A tier is chosen once per job and printed in its report. Nothing falls back in silence.
"""

from __future__ import annotations

from grader.box.base import Box, BoxUnavailable, Plan, Spawn
from grader.box.tiers import Detection, detect, open_box, survey

__all__ = ["Box", "BoxUnavailable", "Detection", "Plan", "Spawn", "detect", "open_box", "survey"]
