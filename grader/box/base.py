"""What every tier of box has in common."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from meridian.errors import MeridianError

__all__ = ["Box", "BoxUnavailable", "Plan", "Spawn"]


class BoxUnavailable(MeridianError, RuntimeError):
    """The tier that was asked for does not work on this machine."""

    def __init__(self, tier: str, reason: str, fix: str) -> None:
        self.tier = tier
        self.reason = reason
        self.fix = fix
        super().__init__(f"No {tier} box on this machine: {reason}. {fix}")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Which folders of this machine one boxed process needs, and nothing else."""

    runtime: Path
    """Copies of the worker's own code (read-only)."""
    submission: Path
    """The collected submission (read-only)."""
    scratch: Path
    """The one folder it may write to; shared with the judge."""
    libraries: tuple[Path, ...] = ()
    """Further folders to import from (read-only)."""
    hidden: tuple[Path, ...] = ()
    """Folders inside `libraries` that must look empty."""


class Spawn(msgspec.Struct, frozen=True, kw_only=True):
    """How to start python under a plan, and what the folders are called from its side."""

    argv: tuple[str, ...]
    """Up to and with the interpreter. ``{info}`` and ``{hidden}`` stand for descriptors."""
    submission: str
    scratch: str
    runtime: str
    libraries: tuple[str, ...]
    uid: int | None = None
    """The worker gives up root for this uid before it loads the submission."""
    count_processes: bool = True
    """Whether a limit on processes would count this box alone."""
    hidden: tuple[str, ...] = ()
    """Arguments read from ``{hidden}``, NUL after each: a command line shows in the box's /proc."""
    contained: bool = False
    """Whether all of it dies with one process, whose id is written, as JSON, to ``{info}``."""


class Box(Protocol):
    """One tier."""

    tier: str

    def spawn(self, plan: Plan) -> Spawn:
        """The command line that starts python with access to `plan` alone."""
        ...
