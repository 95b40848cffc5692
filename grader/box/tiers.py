"""Which tiers work here, why the others do not, and what to do about it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec

from grader.box import landlock
from grader.box.base import Box, BoxUnavailable, Plan
from grader.box.bwrap import BwrapBox
from grader.box.landlock import LandlockBox
from grader.box.rlimits import RlimitsBox
from grader.box.system import python_executable, spare_uid

__all__ = ["TIERS", "Detection", "detect", "open_box", "survey"]

TIERS = ("bwrap", "landlock", "rlimits")
"""Strongest first."""

_PROBE_S = 10.0
_INSTALL = "Install it: sudo apt-get install bubblewrap (dnf, pacman and zypper name it the same)."
_UBUNTU_SWITCH = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
_DEBIAN_SWITCH = Path("/proc/sys/kernel/unprivileged_userns_clone")
_COUNT_SWITCH = Path("/proc/sys/user/max_user_namespaces")
_UBUNTU = (
    "Allow it by AppArmor profile: printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\n"
    "profile bwrap {bwrap} flags=(unconfined) {{\\n  userns,\\n}}\\n' | "
    "sudo tee /etc/apparmor.d/bwrap && sudo apparmor_parser -r /etc/apparmor.d/bwrap"
)
_DEBIAN = "Allow it: sudo sysctl -w kernel.unprivileged_userns_clone=1"
_COUNT = "Allow it: sudo sysctl -w user.max_user_namespaces=10000"
_OTHERWISE = (
    "Allow unprivileged user namespaces on this machine; in a container, start it with "
    "--security-opt seccomp=unconfined --security-opt apparmor=unconfined"
)
_LINUX_ONLY = "Grade others' work on Linux; checking your own works here."


class Detection(msgspec.Struct, frozen=True):
    """One tier: `reason` and `fix` say why it does not work, or why none better does.

    Both are empty when there is nothing to mend.
    """

    tier: str
    reason: str = ""
    fix: str = ""


@functools.cache
def survey() -> tuple[Detection, ...]:
    """Every tier, strongest first; `reason` is empty where it works. Tried once per process."""
    return (_bwrap(), _landlock(), Detection("rlimits"))


@functools.cache
def detect() -> Detection:
    """The best tier that works here, with the reason and fix of the first better one."""
    found = survey()
    best = next(each for each in found if not each.reason)
    worse = next((each for each in found if each.reason), None)
    if worse is None or TIERS.index(worse.tier) > TIERS.index(best.tier):
        return Detection(best.tier)
    return Detection(best.tier, worse.reason, worse.fix)


def open_box(tier: str) -> Box:
    """The box named `tier`; ``"auto"`` takes the best. Raises `BoxUnavailable`, `ValueError`."""
    if tier not in ("auto", *TIERS):
        names = ", ".join(map(repr, TIERS))
        raise ValueError(f"Expected box 'auto', {names} or 'none', got {tier!r}")
    name = detect().tier if tier == "auto" else tier
    found = next(each for each in survey() if each.tier == name)
    if found.reason:
        raise BoxUnavailable(name, found.reason, found.fix)
    made: dict[str, type[Box]] = {
        "bwrap": BwrapBox,
        "landlock": LandlockBox,
        "rlimits": RlimitsBox,
    }
    return made[name]()


def _bwrap() -> Detection:
    if not sys.platform.startswith("linux"):
        return Detection("bwrap", "bubblewrap needs Linux", _LINUX_ONLY)
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return Detection("bwrap", "bubblewrap is not installed", _INSTALL)
    fixed = BwrapBox(bwrap).fixed
    problem = _probe([bwrap, *fixed, "--remount-ro", "/", "--", python_executable()])
    if problem is None:
        return Detection("bwrap")
    return Detection("bwrap", f"bubblewrap cannot build its box: {problem}", _allow(bwrap))


def _allow(bwrap: str) -> str:
    """The one line that lets bubblewrap work, by what this machine forbids."""
    if _says(_UBUNTU_SWITCH, "1"):
        return _UBUNTU.format(bwrap=bwrap)
    if _says(_DEBIAN_SWITCH, "0"):
        return _DEBIAN
    return _COUNT if _says(_COUNT_SWITCH, "0") else _OTHERWISE


def _says(switch: Path, value: str) -> bool:
    try:
        return switch.read_text().strip() == value
    except OSError:
        return False


def _landlock() -> Detection:
    if not sys.platform.startswith("linux"):
        return Detection("landlock", "Landlock needs Linux", _LINUX_ONLY)
    reason, fix = landlock.missing()
    if not reason:
        problem = _probe_landlock()
        if problem is not None:
            reason = f"a worker cannot confine itself: {problem}"
            fix = "Run the grader as an ordinary user, or as root with all its capabilities"
    return Detection("landlock", reason, fix)


def _probe_landlock() -> str | None:
    """Confine a process for real; what stands in its way, or ``None``."""
    from grader.box.boxes import confinement_of

    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        plan = Plan(runtime=here, submission=here, scratch=here, uid=spare_uid())
        wanted = confinement_of(LandlockBox().spawn(plan), {}, (here,))
        text = msgspec.json.encode(wanted).decode()
        code = (
            "import sys; sys.path[:0] = sys.argv[2:]; import msgspec; "
            "from grader.inside import confine; "
            "confine.confine(msgspec.json.decode(sys.argv[1], type=confine.Confinement)); "
            "import colorsys"  # of the standard library, not loaded before: Python can be read
        )
        roots = [str(Path(__file__).parents[2]), str(Path(msgspec.__file__).parents[1])]
        return _probe([python_executable(), "-c", code, text, *roots], argument=())


def _probe(argv: list[str], argument: tuple[str, ...] = ("-I", "-S", "-c", "pass")) -> str | None:
    try:
        done = subprocess.run(
            [*argv, *argument],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PROBE_S,
            check=False,
            env={"PATH": os.defpath},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it does not start ({error})"
    if done.returncode == 0:
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"exit status {done.returncode}"
