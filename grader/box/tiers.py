"""Which tier works here, why not a better one, and what to do about it."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys

import msgspec

from grader.box.base import Box, BoxUnavailable
from grader.box.bwrap import BwrapBox, python_executable
from grader.box.rlimits import RlimitsBox

__all__ = ["Detection", "detect", "open_box"]

_PROBE_S = 10.0
_INSTALL = "Install it: sudo apt-get install bubblewrap (dnf, pacman and zypper name it the same)."
_ALLOW = (
    "Allow it: sudo sysctl -w kernel.unprivileged_userns_clone=1 on Debian; on Ubuntu 23.10 and "
    "later, sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0."
)
_LINUX_ONLY = "Grade others' work on Linux; checking your own works here."


class Detection(msgspec.Struct, frozen=True):
    """The best tier of this machine. `reason` and `fix` are empty when nothing better exists."""

    tier: str
    reason: str = ""
    fix: str = ""


@functools.cache
def detect() -> Detection:
    """Try the best tier once; remembered for the life of the process."""
    if not sys.platform.startswith("linux"):
        return Detection("rlimits", "bubblewrap needs Linux", _LINUX_ONLY)
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Detection("rlimits", "bubblewrap is not installed", _INSTALL)
    box = BwrapBox(bwrap)
    probe = [bwrap, *box.fixed, "--", python_executable(), "-I", "-S", "-c", "pass"]
    try:
        done = subprocess.run(
            probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Detection("rlimits", f"bubblewrap does not start ({error})", _INSTALL)
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit status {done.returncode}"
        return Detection("rlimits", f"bubblewrap cannot build its box: {reason}", _ALLOW)
    return Detection("bwrap")


def open_box(tier: str) -> Box:
    """The box named `tier`; ``"auto"`` takes the best. Raises `BoxUnavailable`, `ValueError`."""
    if tier not in ("auto", "bwrap", "rlimits"):
        raise ValueError(f"Expected box 'auto', 'bwrap', 'rlimits' or 'none', got {tier!r}")
    best = detect()
    if tier == "bwrap" and best.tier != "bwrap":
        raise BoxUnavailable(tier, best.reason, best.fix)
    return BwrapBox() if "bwrap" in (tier, best.tier) and tier != "rlimits" else RlimitsBox()
