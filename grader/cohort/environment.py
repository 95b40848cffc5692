"""What a verdict depends on besides the submission: the rules, and the machine's software.

Equal submission, seed and environment give an equal verdict, so these facts are part of the
cache's key, and a worker on another machine must have the same ones.
"""

from __future__ import annotations

import platform
import sys

import msgspec

from grader.software import course_digest, grader_digest, packages
from meridian.academy.curriculum import lab_root, load

__all__ = ["Environment", "environment"]


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """One field a fact; every one is compared and hashed as it stands."""

    grader: str
    """Digest of the grader, the suite and the models it compares with."""
    course: str
    """Digest of the capstone's entry in the index, the model answer and the master notebook."""
    python: str
    platform: str
    packages: dict[str, str]

    def differs(self, other: Environment) -> tuple[str, ...]:
        """The names of the facts in which two environments differ."""
        return tuple(
            name for name in self.__struct_fields__ if getattr(self, name) != getattr(other, name)
        )


def environment(capstone: str) -> Environment:
    """The environment of this process as its files are now.

    Raises `LabNotFound`, `CurriculumError`, `UnknownKey`, `OSError`.
    """
    root = lab_root()
    module = load(root).module(capstone)
    suite = root / module.acceptance
    return Environment(
        grader=grader_digest(suite),
        course=course_digest(module.capstone, root / module.solution),
        python=f"{sys.implementation.name} {platform.python_version()}",
        platform=f"{sys.platform} {platform.machine()}",
        packages=packages(module.capstone),
    )
