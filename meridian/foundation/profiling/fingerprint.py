"""Where a time was measured: times from two different places must not be compared."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, fields
from functools import cache
from importlib import metadata
from pathlib import Path

from meridian.errors import MeridianError

__all__ = ["Fingerprint", "FingerprintMismatch", "load_average"]


class FingerprintMismatch(MeridianError, ValueError):
    """Stored times come from another machine or other versions than the ones set beside them."""

    def __init__(self, old: Fingerprint, new: Fingerprint) -> None:
        self.old = old
        self.new = new
        self.differing = old.differences(new)
        changes = "; ".join(
            f"{name} {getattr(old, name)!r} -> {getattr(new, name)!r}" for name in self.differing
        )
        super().__init__(f"Times are not comparable: {changes}. Measure both in one run instead")


@dataclass(frozen=True)
class Fingerprint:
    """Everything that makes an absolute time unrepeatable elsewhere. Equal means comparable."""

    cpu: str
    cores: int
    os: str
    python: str
    numba: str
    numpy: str
    hz_governor: str | None = None

    @classmethod
    def current(cls) -> Fingerprint:
        """The fingerprint of this process (numba is looked up, not imported)."""
        return _current()

    def differences(self, other: Fingerprint) -> tuple[str, ...]:
        """Names of the fields in which `other` differs."""
        return tuple(
            f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)
        )

    def __str__(self) -> str:
        governor = f", governor {self.hz_governor}" if self.hz_governor else ""
        return (
            f"{self.cpu}, {self.cores} cores{governor}, {self.os}, Python {self.python}, "
            f"numba {self.numba}, numpy {self.numpy}"
        )


def load_average() -> float | None:
    """Processes that wanted to run during the last minute, or ``None`` where unknown."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None


@cache
def _current() -> Fingerprint:
    return Fingerprint(
        cpu=_cpu_model(),
        cores=_usable_cores(),
        os=f"{platform.system()} {platform.release()} {platform.machine()}",
        python=f"{platform.python_implementation()} {platform.python_version()}",
        numba=_version("numba"),
        numpy=_version("numpy"),
        hz_governor=_first_line(Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
    )


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model") and value.strip():
            return " ".join(value.split())
    return platform.processor() or platform.machine() or "unknown"


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"
