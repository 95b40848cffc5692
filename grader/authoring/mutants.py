"""Wrong answers: each a small change to a model answer that breaks exactly one criterion.

A suite is only as good as the mistakes it finds, so the mistakes are listed beside it, in
``mutants_<module>.py``, and `grader prove` judges them all. Such a file ends in one line:

    PROOF = Proof(MUTANTS, races=RACE_MUTANTS, adapter="tests/grader/adapters/...")
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import NamedTuple

import msgspec

from meridian.errors import MeridianError

__all__ = ["Change", "MutantError", "Proof", "Variant", "load_proof"]


class MutantError(MeridianError, ValueError):
    """A mutant does not fit the model answer it changes, or a list of mutants is none."""

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(f"{name}: {reason}")


class Change(NamedTuple):
    """Replace `old`, which must occur exactly once in `file`, by `new`."""

    file: str
    old: str
    new: str


class Variant(NamedTuple):
    """A model answer with `changes`; `criterion` is the one it must fail, and no other."""

    name: str
    criterion: str
    changes: tuple[Change, ...]

    def write(self, solution: Path, target: Path) -> Path:
        """Copy the package of `solution` to `target`, changed. Returns `target`.

        Raises `MutantError` when there is nothing to change, or a change does not fit once.
        """
        package = next((path.parent for path in sorted(solution.glob("*/__init__.py"))), None)
        if package is None:
            raise MutantError(self.name, f"{solution} holds no package")
        if not self.changes:
            raise MutantError(self.name, "it changes nothing")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(package, target / package.name, ignore=ignored)
        for change in self.changes:
            path = target / package.name / change.file
            if not path.is_file():
                raise MutantError(self.name, f"there is no {change.file} in {package.name}")
            source = path.read_text(encoding="utf-8")
            found = source.count(change.old) if change.old else 0
            if found != 1:
                raise MutantError(self.name, f"{change.old!r} stands {found} times in {path.name}")
            path.write_text(source.replace(change.old, change.new), encoding="utf-8")
        return target


class Proof(msgspec.Struct, frozen=True):
    """What `grader prove` judges beside the model answer and the skeleton.

    `races` are mutants that only a benchmark finds. `adapter`, relative to the lab's root, puts
    the course's own system behind the capstone's interface. `quick` gives constants of the suite,
    as ``{"package.module:NAME": value}``, with which mutants are found sooner; `race_points` is
    what the model answer must reach in the benchmarks on a busy machine (all, if not given).
    """

    mutants: tuple[Variant, ...] = ()
    races: tuple[Variant, ...] = ()
    adapter: str = ""
    quick: dict[str, float] = {}
    race_points: float | None = None

    def chosen(self, only: str | None) -> tuple[Variant, ...]:
        """The mutants, or those whose name contains `only`."""
        return tuple(v for v in self.mutants if only is None or only in v.name)


def load_proof(suite: Path) -> Proof:
    """The `PROOF` in ``mutants_<module>.py`` beside the suite; an empty one where there is none.

    Raises `MutantError` when that file has no such list, or two mutants share a name.
    """
    path = suite.with_name(f"mutants_{suite.stem.removeprefix('test_')}.py")
    if not path.exists():
        return Proof()
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    proof = getattr(module, "PROOF", None)
    if not isinstance(proof, Proof):
        raise MutantError(path.name, "expected PROOF = Proof(...) at its end")
    names = [variant.name for variant in (*proof.mutants, *proof.races)]
    for name in names:
        if names.count(name) > 1:
            raise MutantError(path.name, f"two mutants are called {name!r}")
    return proof
