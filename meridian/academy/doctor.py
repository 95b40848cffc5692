"""Is this machine fit for the course? Each finding that is not good names its fix.

Required findings decide; the others say what will be missing. Nothing is changed but one scratch
file, which is removed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import msgspec

from meridian.academy.curriculum import Curriculum
from meridian.academy.lab import NoFreePort, find_port
from meridian.academy.progress import ProgressStore, capstone_state, lesson_state
from meridian.academy.progress_records import Record
from meridian.errors import MeridianError

__all__ = ["Diagnosis", "Finding", "Tier", "examine"]

DISTRIBUTION = "meridian-academy"
MIN_PYTHON = (3, 11)
MIN_FREE_BYTES = 1 << 30
SLOW_FSYNC_MS = 50.0
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class Tier(msgspec.Struct, frozen=True):
    """How well a submission can be boxed here; `reason` and `fix` when it could be better."""

    tier: str
    reason: str = ""
    fix: str = ""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    name: str
    ok: bool
    said: str
    fix: str = ""
    required: bool = True


class Diagnosis(msgspec.Struct, frozen=True):
    """All findings, whether the course can start, and that in one sentence."""

    ready: bool
    verdict: str
    findings: tuple[Finding, ...]


def examine(
    course: Curriculum, store: ProgressStore, *, detect_box: Callable[[], Tier]
) -> Diagnosis:
    """Look at everything; takes about a second. `detect_box` is the grader's own detection."""
    record, reading = _record(store)
    findings = (
        _python(),
        _packages(),
        _box(detect_box),
        _port(),
        *_folder(course.root),
        _kernel_cache(),
        _browser(),
        reading,
    )
    problems = sum(finding.required and not finding.ok for finding in findings)
    if problems:
        verdict = f"Not ready: {problems} of {len(findings)} findings need a fix."
    else:
        modules = [module for module in course.modules() if module.available]
        started = sum(
            any(lesson_state(record, lesson.key) != "new" for lesson in module.lessons)
            or capstone_state(record, module.key) != "new"
            for module in modules
        )
        verdict = f"Ready. {started} of {len(modules)} modules started."
    return Diagnosis(not problems, verdict, findings)


def _python() -> Finding:
    have = ".".join(map(str, sys.version_info[:3]))
    fix = f"Use Python {MIN_PYTHON[0]}.{MIN_PYTHON[1]} or later: uv python install 3.12"
    ok = sys.version_info[:2] >= MIN_PYTHON
    return Finding("Python", ok, f"{have} at {sys.executable}", "" if ok else fix)


def _packages() -> Finding:
    from packaging.requirements import Requirement

    name, fix = "Packages", "Install what the lock file says: uv sync"
    try:
        wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        return Finding(name, False, f"{DISTRIBUTION} is not installed", fix)
    wrong = []
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            have = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(have, prereleases=True):
            wrong.append(f"{requirement.name} is {have}, needs {requirement.specifier}")
    if wrong:
        return Finding(name, False, "; ".join(wrong), fix)
    return Finding(name, True, f"{len(wanted)} packages, all as required")


def _box(detect_box: Callable[[], Tier]) -> Finding:
    try:
        found = detect_box()
    except (ImportError, OSError, MeridianError) as error:
        fix = "Reinstall the lab: uv sync"
        return Finding("Box", False, f"the grader does not start: {error}", fix)
    if not found.reason:
        return Finding("Box", True, f"tier {found.tier}", required=False)
    strong = found.tier == "landlock"
    use = "enough to grade" if strong else "enough for your own work, not for other people's"
    said = f"tier {found.tier}: {use} ({found.reason})"
    return Finding("Box", strong, said, found.fix, required=False)


def _port() -> Finding:
    try:
        return Finding("Port", True, f"{find_port()} is free")
    except NoFreePort as error:
        return Finding(
            "Port", False, str(error), "Close other Jupyter servers: jupyter server stop"
        )


def _folder(root: Path) -> Iterator[Finding]:
    """Room and speed where the lab keeps its files."""
    free = shutil.disk_usage(root).free
    room = f"{free / (1 << 30):.1f} GiB free in {root}"
    enough = free >= MIN_FREE_BYTES
    yield Finding("Disk space", enough, room, "" if enough else "Free 1 GiB on this disk")
    folder = root / ".meridian"
    try:
        folder.mkdir(exist_ok=True)
        took_ms = _fsync_ms(folder)
    except OSError as error:
        fix = f"Make the folder writable: chmod -R u+w {root}"
        yield Finding("Disk writes", False, f"{folder}: {error.strerror}", fix)
        return
    said = f"fsync takes {took_ms:.2f} ms (median of {_ROUNDS})"
    if took_ms > SLOW_FSYNC_MS:
        fix = "Put the lab on a local disk; durability experiments will be slow here"
        yield Finding("Disk writes", False, said, fix, required=False)
    else:
        yield Finding("Disk writes", True, said)


_ROUNDS = 5


def _fsync_ms(folder: Path) -> float:
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        times = []
        for _ in range(_ROUNDS):
            file.write(bytes(4096))
            start = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e3


def _kernel_cache() -> Finding:
    """Compiled kernels are kept beside their source, or in the user's cache, or nowhere."""
    import meridian

    named = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(named)] if named else [Path(meridian.__file__).parent, Path.home() / ".cache"]
    for place in places:
        try:
            place.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=place):
                return Finding("Kernel cache", True, f"writable in {place}")
        except OSError:
            continue
    fix = "Name a folder of yours: export NUMBA_CACHE_DIR=~/numba-cache"
    said = "not writable, so every start compiles the kernels again"
    return Finding("Kernel cache", False, said, fix, required=False)


def _browser() -> Finding:
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found:
        return Finding("Browser", True, f"{found} (for the test suite)", required=False)
    fix = "To run the browser tests: sudo apt-get install chromium"
    said = "no Chromium found; the lab opens in any browser, only its own tests need this one"
    return Finding("Browser", False, said, fix, required=False)


def _record(store: ProgressStore) -> tuple[Record, Finding]:
    try:
        record = store.record()
    except (MeridianError, OSError) as error:
        fix = "Follow the sentence above, then run meridian doctor again"
        return Record(), Finding("Your record", False, str(error), fix)
    where = str(store.path) if store.path.exists() else "starts with your first quiz"
    return record, Finding("Your record", True, where)
