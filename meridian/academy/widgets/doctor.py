"""One line on whether this machine is fit for the course, for the first screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from meridian.academy.widgets.saved import SAVING

__all__ = ["NOT_EXAMINED", "Doctor", "doctor_line"]

Doctor: TypeAlias = Callable[[Path], str]
TIMEOUT_S = 30.0
NOT_EXAMINED = "not examined yet. Select this cell and press Shift+Enter."


def doctor_line(root: Path) -> str:
    """What ``meridian doctor`` says of the lab at `root`; never raises, since the map must open."""
    if os.environ.get(SAVING):
        return NOT_EXAMINED
    command = [sys.executable, "-m", "meridian.academy", "doctor", "--json"]
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        verdict = json.loads(done.stdout)["verdict"]
    except (OSError, subprocess.TimeoutExpired, ValueError, KeyError, TypeError) as error:
        return f"The doctor did not answer ({type(error).__name__}). Run: meridian doctor"
    return str(verdict)
