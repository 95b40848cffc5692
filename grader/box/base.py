"""What every tier of box has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from meridian.errors import MeridianError

__all__ = ["Box", "BoxUnavailable", "Plan", "Spawn", "no_process"]


class BoxUnavailable(MeridianError, RuntimeError):
    """The tier that was asked for does not work on this machine."""

    def __init__(self, tier: str, reason: str, fix: str) -> None:
        self.tier = tier
        self.reason = reason
        self.fix = fix
        super().__init__(f"No {tier} box on this machine: {reason}. {fix}".rstrip())


def no_process(tier: str, error: OSError) -> BoxUnavailable:
    """The machine has no room for one more process: no fault of a submission."""
    reason = f"no process could be started ({error.strerror})"
    return BoxUnavailable(tier, reason, "End other programs, or raise `ulimit -u`.")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which folders of this machine a box needs, and nothing else."""

    runtime: Path
    """Copies of the worker's own code (read-only)."""
    submission: Path
    """The collected submission (read-only)."""
    scratch: Path
    """Holds the folders its workers may write to; shared with the judge."""
    libraries: tuple[Path, ...] = ()
    """Further folders to import from (read-only)."""
    hidden: tuple[Path, ...] = ()
    """Folders inside `libraries` that must look empty."""
    uid: int | None = None
    """The user its workers become, where the judge is root."""
    network: bool = False
    """Whether the submission serves or uses TCP."""


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """How to start python under a plan, and what the folders are called from its side."""

    argv: tuple[str, ...]
    """Up to and with the interpreter. ``{info}`` and ``{hidden}`` stand for descriptors."""
    submission: str
    scratch: str
    runtime: str
    libraries: tuple[str, ...]
    uid: int | None = None
    """A worker gives up root for this uid before it loads the submission."""
    processes_before: int | None = 0
    """How many the kernel counts already against a limit on processes, ``None``: it cannot."""
    hidden: tuple[str, ...] = ()
    """Arguments read from ``{hidden}``, NUL after each: a command line shows in the box's /proc."""
    contained: bool = False
    """Whether all of it dies with one process, whose id is written, as JSON, to ``{info}``."""
    walls: bool = False
    """Whether a worker also confines itself with Landlock and a filter of system calls."""
    own_network: bool = False
    reads: tuple[str, ...] = ()
    """What Landlock lets a worker read, besides submission, runtime and libraries."""
    lists: tuple[str, ...] = ()
    """Folders whose names alone may be read."""
    writes: tuple[str, ...] = ()
    """What Landlock lets it change, besides its scratch folder."""

    @property
    def count_processes(self) -> bool:
        """Whether a limit on processes means anything here."""
        return self.processes_before is not None

    def name_of(self, scratch: Path) -> str:
        """What a worker calls `scratch`, a folder inside `Plan.scratch`."""
        return f"{self.scratch}/{scratch.name}"


class Box(Protocol):
    """One tier."""

    tier: str

    def spawn(self, plan: Plan) -> Spawn:
        """The command line that starts python with access to `plan` alone.

        Raises `BoxUnavailable` for a plan that this tier cannot keep, such as a network.
        """
        ...
