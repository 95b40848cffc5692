"""The worker's own code, copied to where a box may read it and nothing beside it."""

from __future__ import annotations

import compileall
import shutil
from pathlib import Path

import msgspec

from grader import inside
from grader.box.files import remove_tree

__all__ = ["prepare_runtime"]


def prepare_runtime(work: Path) -> Path:
    """The worker's own code as a folder in `work`: `grader.inside`, and msgspec."""
    runtime = work / "runtime"
    if runtime.exists():
        return runtime
    source = Path(inside.__file__).parent
    try:
        (runtime / "grader").mkdir(parents=True)
        shutil.copyfile(source.parent / "__init__.py", runtime / "grader" / "__init__.py")
        _copy(source, runtime / "grader" / source.name)
        _copy(Path(msgspec.__file__).parent, runtime / "msgspec")
        compileall.compile_dir(runtime, quiet=2, legacy=False)
    except BaseException:
        remove_tree(runtime)  # half of it would be taken for all of it
        raise
    return runtime


def _copy(source: Path, target: Path) -> None:
    """Copy a package. Unlike ``shutil.copytree`` it stops at the first error, and raises that."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
