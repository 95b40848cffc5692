"""What the course index says of a track, a module, a lesson, a capstone and its criteria.

Keys are written in when the index is loaded; paths follow from them, relative to the lab's root.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

__all__ = ["Capstone", "Criterion", "Lesson", "Module", "Track"]


class Criterion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing a capstone is judged by; `benchmark` ones are judged against the clock."""

    id: str
    title: str
    points: int
    required: bool = False
    benchmark: bool = False


class Capstone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The project that ends a module. A planned module has only a title here.

    `allowed_imports` are modules of the standard library and installed packages, top-level
    (``"os"``) or dotted, to allow just that module; `library` are modules of `meridian`, in full.
    With `network` it may open TCP and UDP sockets, on loopback only.
    """

    title: str
    package: str = ""
    hours: str = ""
    pass_mark: int = 70
    bonus_cap: int = 0
    allowed_imports: tuple[str, ...] = ()
    library: tuple[str, ...] = ()
    network: bool = False
    criteria: tuple[Criterion, ...] = ()
    bonus: tuple[Criterion, ...] = ()
    key: str = ""

    @property
    def third_party(self) -> tuple[str, ...]:
        """The installed packages among `allowed_imports`, by their top-level names."""
        names = {name.partition(".")[0] for name in self.allowed_imports}
        return tuple(sorted(names - sys.stdlib_module_names))


class Lesson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One notebook with one quiz. Paths are relative to the lab's root."""

    topic: str
    title: str
    key: str = ""

    @property
    def number(self) -> int:
        return int(self.key.rpartition("/")[2])

    @property
    def module_key(self) -> str:
        return self.key.rpartition("/")[0]

    @property
    def notebook(self) -> Path:
        return Path("notebooks", self.module_key, f"lesson-{self.number:02}-{self.topic}.ipynb")

    @property
    def quiz(self) -> Path:
        return Path("notebooks", self.module_key, f"lesson-{self.number:02}-quiz.toml")


class Module(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A few lessons and the capstone they lead to. Paths are relative to the lab's root."""

    slug: str
    title: str
    summary: str
    available: bool
    lessons: tuple[Lesson, ...]
    capstone: Capstone
    key: str = ""

    @property
    def track_slug(self) -> str:
        return self.key.partition("/")[0]

    @property
    def name(self) -> str:
        """The slug as a Python name: ``01-storage`` is ``storage``."""
        return self.slug.partition("-")[2].replace("-", "_")

    @property
    def notebooks(self) -> Path:
        return Path("notebooks", self.key)

    @property
    def exercise(self) -> Path:
        return Path("exercises", self.key)

    @property
    def solution(self) -> Path:
        return Path("solutions", self.key)

    @property
    def acceptance(self) -> Path:
        return Path("grader", "acceptance", self.track_slug, f"test_{self.name}.py")


class Track(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Modules that build one system together."""

    slug: str
    title: str
    system: str
    summary: str
    modules: tuple[Module, ...]
