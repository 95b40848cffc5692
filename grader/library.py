"""The parts of `meridian` that a capstone stands on, as a folder that its box can import from.

A capstone that builds a broker may use our channels, and must not find our broker. Its entry lists
modules; these and what they import go into the box, as a copy, and nothing else of `meridian` does.
"""

from __future__ import annotations

import ast
import compileall
import functools
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import meridian
from meridian.errors import MeridianError

__all__ = ["Library", "NoSuchModule", "library_of", "packages_of"]

_ROOT = Path(meridian.__file__).parents[1]
_NAME_CHARS = 16


class NoSuchModule(MeridianError, LookupError):
    """A capstone's entry lists a part of `meridian` that is not there."""

    def __init__(self, module: str) -> None:
        self.module = module
        super().__init__(f"library: there is no module {module!r}. List modules, not packages")


class Library(NamedTuple):
    """Files by their place below the folder to import from, and the packages they import."""

    files: dict[str, Path]
    requires: frozenset[str]

    def digest(self) -> str:
        """One hash of all files: what a verdict depends on."""
        digest = hashlib.sha256()
        for name, path in sorted(self.files.items()):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode() + content)
        return digest.hexdigest()

    def folder(self) -> Path:
        """The copy, compiled, in this user's cache; made once for each content."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "meridian"
        place = cache / "library" / self.digest()[:_NAME_CHARS]
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            made = Path(tempfile.mkdtemp(prefix="new-", dir=place.parent))
            try:
                self._copy(made)
                made.rename(place)
            except OSError:
                if not place.is_dir():  # else another process was first
                    raise
            finally:
                shutil.rmtree(made, ignore_errors=True)
        return place

    def _copy(self, target: Path) -> None:
        for name, path in self.files.items():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        compileall.compile_dir(target, quiet=2)
        for path in (target, *target.rglob("*")):  # a worker may be another user
            path.chmod(0o755 if path.is_dir() else 0o644)


@functools.lru_cache(maxsize=16)
def library_of(modules: tuple[str, ...]) -> Library:
    """`modules` and all that they import of `meridian`, wherever the statement stands.

    Of a package on the way to a module, only what its ``__init__`` imports at once. What is
    imported for type checkers alone is left out. Raises `NoSuchModule`.
    """
    files: dict[str, Path] = {}
    requires: set[str] = set()
    left = list(modules)
    for module in modules:
        if _file(module) is None or _is_package(module):
            raise NoSuchModule(module)
    while left:
        module = left.pop()
        path = _file(module)
        if path is None or (name := path.relative_to(_ROOT).as_posix()) in files:
            continue
        files[name] = path
        left.extend(packages_of(module))
        tree = ast.parse(path.read_text())
        for imported in _imports(tree, deep=not _is_package(module)):
            if imported.partition(".")[0] == meridian.__name__:
                left.append(imported)
            else:
                requires.add(imported.partition(".")[0])
    return Library(files, frozenset(requires))


def packages_of(module: str) -> list[str]:
    """The packages that `module` lies in, outermost first."""
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file(module: str) -> Path | None:
    """The source of `module`; none for a name that is not a module of ours."""
    if not all(map(str.isidentifier, module.split("."))):
        return None
    path = _ROOT.joinpath(*module.split("."))
    found = [path.with_suffix(".py"), path / "__init__.py"]
    if module.partition(".")[0] != meridian.__name__:
        return None
    return next((file for file in found if file.is_file()), None)


def _is_package(module: str) -> bool:
    path = _file(module)
    return path is not None and path.name == "__init__.py"


def _imports(node: ast.AST, *, deep: bool) -> Iterator[str]:
    """The modules that statements below `node` name; each ``from`` gives its names as well."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and not child.level:
            assert child.module is not None
            yield child.module
            yield from (f"{child.module}.{alias.name}" for alias in child.names)
        elif isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            for other in child.orelse:
                yield from _imports(ast.Module([other], []), deep=deep)
        elif deep or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(child, deep=deep)
