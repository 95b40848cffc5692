"""The tier without walls: limits on one process. Good enough to check one's own work, no more."""

from __future__ import annotations

import os

from grader.box.base import Plan, Spawn
from grader.box.system import python_executable, tasks_of_this_user

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
            processes_before=tasks_of_this_user(),
        )
