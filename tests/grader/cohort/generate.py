"""Labelled submissions of the storage capstone: right, wrong, hostile and broken, each with what
it deserves. Equal seed, equal submissions; no two of one set are equal.

    python -m tests.grader.cohort.generate FOLDER --count 300 --seed 1
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import random
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from grader.authoring.build import write_exercise
from grader.authoring.mutants import Variant, load_proof
from grader.report import CriterionReport, Report
from meridian.academy.curriculum import load

ROOT = Path(__file__).parents[3]
KEY = "database/01-storage"
MODULE = load(ROOT).module(KEY)
PACKAGE = MODULE.capstone.package
SOLUTION = ROOT / MODULE.solution
ALWAYS = {c.id for c in MODULE.capstone.criteria if not c.benchmark}
"""The criteria that a clock does not decide."""


class Deserves(NamedTuple):
    """The verdict. `outcomes` are those that a missed criterion may have; `missed`, where it is
    known exactly, which criteria those are."""

    passed: bool | None
    outcomes: tuple[str, ...] = ()
    missed: tuple[str, ...] | None = None


class Labelled(NamedTuple):
    learner: str
    kind: str
    what: str
    deserves: Deserves


RIGHT = Deserves(True, (), ())
UNREAD = Deserves(False, ("refused",))

# What is appended to a file of the model answer, and how each criterion it spoils may end.
HOSTILE: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "leaves_on_import": ("__init__.py", "import os\nos._exit(0)\n", ("crashed", "refused")),
    "leaves_in_a_call": (
        "page_file.py",
        "import os\nPageFile.read_page = lambda *a, **k: os._exit(0)\n",
        ("crashed", "refused"),
    ),
    "hangs_on_import": ("page.py", "while True:\n    pass\n", ("timeout",)),
    "ends_the_interpreter": (
        "page_file.py",
        "def _end(*a, **k):\n    raise SystemExit(0)\n\n\nPageFile.__init__ = _end\n",
        ("error",),
    ),
    "prints_without_end": (
        "page_file.py",
        (
            "def _print(*a, **k):\n    while True:\n        print('x' * 1_000_000)\n\n\n"
            "PageFile.__init__ = _print\n"
        ),
        ("output",),
    ),
    "takes_all_memory": (
        "page_file.py",
        "PageFile.__init__ = lambda *a, **k: bytearray(1 << 44)\n",
        ("memory",),
    ),
    "equal_to_everything": (
        "page.py",
        (
            "class _Yes(bytes):\n    __hash__ = bytes.__hash__\n\n    def __eq__(self, other):\n"
            "        return True\n\n\nSlottedPage.get = lambda self, slot: _Yes(b'no')\n"
        ),
        ("failed", "error"),
    ),
    "imports_what_is_not_allowed": ("page.py", "import ctypes\n", ("refused",)),
    "answers_with_markup": (
        "page_file.py",
        (
            "def _markup(*a, **k):\n    raise ValueError('<script>alert(1)</script>\\x1b[2J')\n\n\n"
            "PageFile.__init__ = _markup\n"
        ),
        ("error", "failed"),
    ),
}


def generate(folder: Path, count: int, seed: int = 1) -> list[Labelled]:
    """Write `count` submissions into the new folder `folder`; what each deserves."""
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    makers = _makers()
    labelled = []
    for i in range(count):
        kind = _KINDS[i % len(_KINDS)]
        what, make = makers[kind][i // len(_KINDS) % len(makers[kind])]
        learner = f"{kind}-{i:03}"
        deserves = make(folder / learner, rng)
        package = folder / learner / PACKAGE
        if (package / "errors.py").is_file() and not (package / "errors.py").is_symlink():
            with open(package / "errors.py", "a", encoding="utf-8") as file:
                file.write(f"\n# {learner}\n")
        labelled.append(Labelled(learner, kind, what, deserves))
    return labelled


def wrongly_judged(label: Labelled, report: Report) -> str:
    """How `report` differs from what was deserved; empty when it does not."""
    missed = [c for c in report.criteria if c.id in ALWAYS and c.outcome != "passed"]
    want = label.deserves
    if want.passed is not None and report.passed != want.passed:
        return f"passed is {report.passed}: {_told(missed)}"
    if want.missed is not None and {c.id for c in missed} != set(want.missed):
        return f"missed {_told(missed)} instead of {want.missed}"
    told = [c for c in missed if c.outcome != "not_run"]  # the rest waits for what those say
    if want.outcomes and not told:
        return "nothing was missed"
    others = [c for c in told if want.outcomes and c.outcome not in want.outcomes]
    if others and (label.kind != "hostile" or others[0] is told[0]):
        return f"outcomes {_told(others)} instead of {want.outcomes}"
    return ""


def _told(criteria: list[CriterionReport]) -> str:
    return ", ".join(f"{c.id} {c.outcome} ({c.message[:80]})" for c in criteria)


_KINDS = ("right", "wrong", "right", "wrong", "hostile", "broken")
Make = Callable[[Path, random.Random], Deserves]


def _makers() -> dict[str, list[tuple[str, Make]]]:
    mutants = load_proof(ROOT / MODULE.acceptance).mutants
    return {
        "right": [("as it is", _same), ("renamed", _renamed), ("packed", _packed), ("lab", _lab)],
        "wrong": [(mutant.name, _mutant(mutant)) for mutant in mutants],
        "hostile": [(name, _hostile(*what)) for name, what in HOSTILE.items()],
        "broken": list(_BROKEN.items()),
    }


# -- right ---------------------------------------------------------------------------------------


def _same(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    return RIGHT


def _renamed(place: Path, rng: random.Random) -> Deserves:
    """Other names for local variables, other layout, no comments: the same program."""
    _solution(place)
    for path in sorted((place / PACKAGE).glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                _rename(node, rng.choice(("_v", "_of_mine", "2")))
        path.write_text(ast.unparse(tree) + "\n", encoding="utf-8")
    return RIGHT


def _packed(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    (place / PACKAGE / "notes.py").write_text(f"# {rng.random()}\n")
    _tar(place)
    return RIGHT


def _lab(place: Path, rng: random.Random) -> Deserves:
    _solution(place / "exercises" / KEY)
    (place / "exercises" / KEY / PACKAGE / "notes.py").write_text(f"# {rng.random()}\n")
    return RIGHT


# -- wrong and hostile ---------------------------------------------------------------------------


def _mutant(mutant: Variant) -> Make:
    def make(place: Path, rng: random.Random) -> Deserves:
        mutant.write(SOLUTION, place)
        shutil.copyfile(SOLUTION / "capstone.ipynb", place / "capstone.ipynb")
        return Deserves(None, (), (mutant.criterion,))

    return make


def _hostile(file: str, code: str, outcomes: tuple[str, ...]) -> Make:
    def make(place: Path, rng: random.Random) -> Deserves:
        _solution(place)
        with open(place / PACKAGE / file, "a", encoding="utf-8") as out:
            out.write(f"\n\n{code}")
        return Deserves(False, outcomes)

    return make


# -- broken --------------------------------------------------------------------------------------


def _nothing(place: Path, rng: random.Random) -> Deserves:
    place.mkdir()
    return UNREAD


def _empty_package(place: Path, rng: random.Random) -> Deserves:
    (place / PACKAGE).mkdir(parents=True)
    (place / PACKAGE / "__init__.py").write_text(f"# {rng.random()}\n")
    return Deserves(False, ("error", "failed"))


def _cut_source(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    path = place / PACKAGE / "page.py"
    path.write_text(path.read_text(encoding="utf-8").rstrip()[:-40] + "(", encoding="utf-8")
    return Deserves(False, ("error", "refused"))


def _missing_file(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    (place / PACKAGE / "page_file.py").unlink()
    return Deserves(False, ("error", "refused"))


def _cut_archive(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    archive = _tar(place)
    archive.write_bytes(archive.read_bytes()[: rng.randrange(200, 2000)])
    return UNREAD


def _no_archive(place: Path, rng: random.Random) -> Deserves:
    place.with_name(f"{place.name}.zip").write_bytes(rng.randbytes(500))
    return UNREAD


def _escaping_archive(place: Path, rng: random.Random) -> Deserves:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(f"{PACKAGE}/__init__.py", "")
        archive.writestr(f"{PACKAGE}/../../escaped-{rng.random()}.py", "")
    place.with_name(f"{place.name}.zip").write_bytes(data.getvalue())
    return UNREAD


def _skeleton(place: Path, rng: random.Random) -> Deserves:
    write_exercise(ROOT, MODULE, place)
    return Deserves(False, ("failed",))


def _link(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    (place / PACKAGE / "page.py").unlink()
    (place / PACKAGE / "page.py").symlink_to("/etc/passwd")
    return UNREAD


def _other_encoding(place: Path, rng: random.Random) -> Deserves:
    _solution(place)
    with open(place / PACKAGE / "page.py", "ab") as file:
        file.write("\nNAME = 'Zoë'\n".encode("latin-1"))
    return Deserves(False, ("error", "refused"))


def _mangled_notebook(place: Path, rng: random.Random) -> Deserves:
    """The code is right, so a check passes it; a submission needs its notebook."""
    _solution(place)
    (place / "capstone.ipynb").write_text('{"cells": [')
    return Deserves(None, (), ())


_BROKEN: dict[str, Make] = {
    "nothing": _nothing,
    "empty package": _empty_package,
    "cut source": _cut_source,
    "missing file": _missing_file,
    "cut archive": _cut_archive,
    "no archive": _no_archive,
    "escaping archive": _escaping_archive,
    "skeleton": _skeleton,
    "link": _link,
    "other encoding": _other_encoding,
    "mangled notebook": _mangled_notebook,
}


# -- within --------------------------------------------------------------------------------------


def _solution(place: Path) -> None:
    shutil.copytree(
        SOLUTION / PACKAGE, place / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copyfile(SOLUTION / "capstone.ipynb", place / "capstone.ipynb")


def _tar(place: Path) -> Path:
    archive = place.with_name(f"{place.name}.tar.gz")
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(place, arcname=place.name)
    shutil.rmtree(place)
    return archive


def _rename(function: ast.FunctionDef, suffix: str) -> None:
    """Give the variables of a function other names, where nothing inside shares them."""
    inside = [node for node in ast.walk(function) if node is not function]
    closed = (ast.FunctionDef, ast.Lambda, ast.ClassDef, ast.Global, ast.Nonlocal, ast.Import)
    if any(isinstance(node, (*closed, ast.ImportFrom)) for node in inside):
        return
    kept = {arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)}
    kept |= {node.name for node in inside if isinstance(node, ast.ExceptHandler) and node.name}
    names = {node.id for node in inside if isinstance(node, ast.Name) and _stored(node)} - kept
    for node in inside:
        if isinstance(node, ast.Name) and node.id in names:
            node.id += suffix


def _stored(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Store)


def labels(labelled: list[Labelled]) -> Iterator[dict[str, object]]:
    """The labels as plain data."""
    for label in labelled:
        yield {**label._asdict(), "deserves": label.deserves._asdict()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    made = generate(given.folder, given.count, given.seed)
    path = given.folder.with_name(f"{given.folder.name}.labels.json")
    path.write_text(json.dumps(list(labels(made)), indent=1) + os.linesep)
    print(f"{len(made)} submissions in {given.folder}, what they deserve in {path}")


if __name__ == "__main__":
    main()
