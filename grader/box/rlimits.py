"""The tier without walls: limits on one process. Good enough to check one's own work, no more."""

from __future__ import annotations

import os

from grader.box.base import Plan, Spawn
from grader.box.bwrap import python_executable

__all__ = ["RlimitsBox"]


class RlimitsBox:
    """A plain child process; the worker sets its own limits before it loads the submission."""

    tier = "rlimits"

    def spawn(self, plan: Plan) -> Spawn:
        return Spawn(
            argv=(python_executable(),),
            submission=str(plan.submission),
            scratch=str(plan.scratch),
            runtime=str(plan.runtime),
            libraries=tuple(os.fspath(folder) for folder in plan.libraries),
            # The kernel would count every process of this user, and none of root's.
            count_processes=False,
        )
