"""Finding what was handed in, in the layouts that people have.

    <learner>/                        the exercise folder itself
    <learner>.zip, .tar.gz ...        the same, packed
    <learner>/<track>/<module>/       a copy of the lab's exercises, also below exercises/
    submitted/<learner>/<assignment>/ nbgrader's exchange; any assignment that holds the package
    .../attempt-2, .../attempt-2.zip  several attempts, wherever a submission may lie: the layout
                                      of whoever collects; see `capped`

Everything directly inside the folder is either one or more submissions or an `Oddity`: nothing
is skipped in silence. Links are never followed: a learner could point one at another's work.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import msgspec

__all__ = ["ARCHIVES", "ATTEMPTS", "Found", "Oddity", "capped", "discover", "learner_problem"]

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")
MAX_LEARNER = 100
ATTEMPTS = 5
"""How many attempts of one learner are judged in a run, if nobody says."""
_ATTEMPT = re.compile(r"attempt-([1-9][0-9]{0,5})")
_NOTEBOOK = "capstone.ipynb"
_LEARNER = re.compile(r"\w[\w .@+\-]*")


class Found(msgspec.Struct, frozen=True, order=True):
    """One submission: whose, which attempt (`numbered` when its name says so), and where."""

    learner: str
    attempt: int
    path: Path
    numbered: bool = False

    def claimed(self, path: Path, attempt: int) -> Oddity:
        """That `path` cannot be this attempt of the same learner, for this one is."""
        return Oddity(path, f"{self.path.name} is attempt {attempt} of {self.learner} already")


class Oddity(msgspec.Struct, frozen=True, order=True):
    """What lies among the submissions and is not judged, and why."""

    path: Path
    reason: str


def discover(folder: Path, capstone: str, package: str) -> tuple[list[Found], list[Oddity]]:
    """Every submission to `capstone` in `folder`, by learner and attempt, and what is none.

    Raises `NotADirectoryError` when `folder` is no folder.
    """
    if not folder.is_dir():
        raise NotADirectoryError(20, "Not a folder of submissions", str(folder))
    root = folder / "submitted" if (folder / "submitted").is_dir() else folder
    taken: dict[tuple[str, int], Found] = {}
    odd = [] if root == folder else [*_beside(folder)]
    for entry in sorted(root.iterdir()):
        for item in _read(entry, capstone, package):
            if isinstance(item, Oddity):
                odd.append(item)
                continue
            first = taken.setdefault((item.learner, item.attempt), item)
            if first is not item:
                odd.append(first.claimed(item.path, item.attempt))
    return sorted(taken.values()), sorted(odd)


def capped(found: list[Found], attempts: int) -> tuple[list[Found], list[Oddity]]:
    """Of each learner the `attempts` with the highest numbers, and that the others are too many.

    A learner can put ``attempt-<n>`` into their own folder, and every attempt draws hidden inputs
    of its own: without an end, one of them is lucky.
    """
    kept: list[Found] = []
    odd: list[Oddity] = []
    for _, group in groupby(found, lambda item: item.learner):
        own = list(group)
        kept += own[-attempts:]
        reason = f"{len(own)} attempts, and the last {attempts} of a learner are judged: --attempts"
        odd += [Oddity(item.path, f"{reason} allows more") for item in own[:-attempts]]
    return kept, odd


def learner_problem(name: str) -> str:
    """Why `name` cannot name a learner; empty when it can."""
    if name == "local":
        return "the name 'local' is kept for work on one's own machine"
    if unicodedata.normalize("NFC", name) != name:
        return "the name is not in Unicode's normal form NFC: rename it"
    if len(name) > MAX_LEARNER:
        return f"the name is longer than {MAX_LEARNER} characters"
    if not _LEARNER.fullmatch(name) or name.endswith((" ", ".")):
        return "a learner's name has letters, digits, spaces and . _ - @ +, and opens with a letter"
    return ""


def _beside(folder: Path) -> Iterator[Oddity]:
    """Beside nbgrader's ``submitted`` lie its own folders; anything may."""
    for entry in folder.iterdir():
        if entry.name != "submitted":
            yield Oddity(entry, "beside the folder 'submitted', which is read instead")


def _read(entry: Path, capstone: str, package: str) -> list[Found | Oddity]:
    try:
        return list(_of_learner(entry, capstone, package))
    except PermissionError as error:
        return [Oddity(entry, f"{error.filename} may not be read: allow it")]


def _of_learner(entry: Path, capstone: str, package: str) -> Iterator[Found | Oddity]:
    name, archive = _named(entry)
    if entry.is_symlink():
        yield Oddity(entry, "a symbolic link: put the files themselves here")
    elif name.startswith((".", "__")):
        yield Oddity(entry, "a hidden file")
    elif not (archive or entry.is_dir()):
        yield Oddity(entry, f"neither a folder nor an archive ({', '.join(ARCHIVES)})")
    elif problem := learner_problem(name):
        yield Oddity(entry, problem)
    elif archive:
        yield Found(name, 1, entry)
    else:
        yield from _attempts(name, *_place(entry, capstone, package))


def _named(entry: Path) -> tuple[str, bool]:
    """The name without an archive's ending, and whether it is an archive."""
    for ending in sorted(ARCHIVES, key=len, reverse=True):
        if entry.name.lower().endswith(ending) and entry.is_file():
            return entry.name[: -len(ending)], True
    return entry.name, False


def _place(folder: Path, capstone: str, package: str) -> tuple[Path, str]:
    """Where below a learner's folder the submission lies, and why that is unclear, if it is.

    A folder without any trace of the capstone is its own place: `collect` says what is missing.
    """
    if _holds(folder, package) or _has_attempts(folder):
        return folder, ""
    for below in (folder / capstone, folder / "exercises" / capstone):
        if _plain_folder(folder, below):
            return below, ""
    track, _, module = capstone.partition("/")
    inside = [
        entry
        for entry in sorted(folder.iterdir())
        if entry.is_dir()
        and not entry.is_symlink()
        and (_holds(entry, package) or _has_attempts(entry))
    ]
    if len(inside) > 1:
        names = {module, f"{track}-{module}", f"{track}_{module}", capstone.replace("/", "")}
        inside = [entry for entry in inside if entry.name in names] or inside
    if len(inside) > 1:
        return folder, f"several hold {package}: {', '.join(entry.name for entry in inside)}"
    return (inside[0] if inside else folder), ""


def _attempts(learner: str, place: Path, problem: str) -> Iterator[Found | Oddity]:
    if problem:
        yield Oddity(place, problem)
        return
    found = False
    for entry in sorted(place.iterdir()):
        match = _ATTEMPT.fullmatch(_named(entry)[0])
        if match is None:
            continue
        found = True
        if entry.is_symlink() or not (entry.is_dir() or _named(entry)[1]):
            yield Oddity(entry, "neither a folder nor an archive of its own")
        else:
            yield Found(learner, int(match[1]), entry, True)
    if not found:
        yield Found(learner, 1, place)


def _holds(folder: Path, package: str) -> bool:
    return any((folder / name).exists() for name in (package, _NOTEBOOK))


def _has_attempts(folder: Path) -> bool:
    return any(_ATTEMPT.fullmatch(_named(entry)[0]) for entry in folder.iterdir())


def _plain_folder(root: Path, below: Path) -> bool:
    """Whether `below` is a folder and no step from `root` to it is a link."""
    steps = [root.joinpath(*below.relative_to(root).parts[: i + 1]) for i in range(3)]
    return below.is_dir() and not any(step.is_symlink() for step in steps)
