"""Cutting solution regions out of source and notebooks, and proving that the API is left whole."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from grader.authoring.nbgrader_metadata import nbgrader_metadata
from meridian.errors import MeridianError

__all__ = [
    "BuildError",
    "check_api",
    "check_no_marker",
    "cut_notebook",
    "cut_source",
    "public_api",
]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_HIDDEN = ("### BEGIN HIDDEN TESTS", "### BEGIN MARK SCHEME")
_NOT_IN_TEXT = (BEGIN, END, *_HIDDEN)
_MAX_LINE = 100
_BLANKS = re.compile(r"\n{4,}")


class BuildError(MeridianError, ValueError):
    """A master that cannot be cut: which file, which line (0: the file itself), why."""

    def __init__(self, path: Path, line: int, reason: str) -> None:
        self.path = path
        self.line = line
        self.reason = reason
        where = f"{path}:{line}" if line else f"{path}"
        super().__init__(f"{where}: {reason}")


def cut_source(source: str, key: str, path: Path, first_line: int = 1) -> str:
    """`source` without its solution regions, a stub that speaks in the place of each.

    Raises `BuildError` for regions that are nested, unclosed, or closed but never opened, and
    for a result that is not Python.
    """
    lines, begun = [], 0
    for number, line in enumerate(source.splitlines(), first_line):
        if BEGIN in line:
            if begun:
                raise BuildError(path, number, f"{BEGIN} inside the region of line {begun}")
            begun = number
            lines += _stub(line, key)
        elif END in line:
            if not begun:
                raise BuildError(path, number, f"{END} without {BEGIN}")
            begun = 0
        elif not begun:
            lines.append(line)
    if begun:
        raise BuildError(path, begun, f"{BEGIN} without {END}")
    text = "\n".join(line.rstrip() for line in lines)
    text = _BLANKS.sub("\n\n\n", text).strip("\n") + "\n" if text.strip() else ""
    try:
        ast.parse(text)
    except SyntaxError as error:
        reason = f"the skeleton is not Python at its line {error.lineno}: {error.msg}"
        raise BuildError(path, 0, reason) from None
    return text


def _stub(line: str, key: str) -> list[str]:
    indent, _, said = line.partition(BEGIN)
    if not said.strip():
        return []
    text = json.dumps(f"{key} {said.strip()}", ensure_ascii=False)
    one = f"{indent}raise NotImplementedError({text})"
    if len(one) <= _MAX_LINE:
        return [one]
    return [f"{indent}raise NotImplementedError(", f"{indent}    {text}", f"{indent})"]


def cut_notebook(content: bytes, key: str, path: Path) -> bytes:
    """The notebook with its code cells cut, outputs and execution counts cleared.

    Cells carry nbgrader's metadata: those with a region are the learner's, the others are locked.
    Raises `BuildError` for a cell without an id, for two of the same, and as `cut_source` does.
    """
    try:
        notebook = json.loads(content)
        cells, metadata = list(notebook["cells"]), notebook["metadata"]
        kinds = [cell["cell_type"] for cell in cells]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BuildError(path, 0, f"not a notebook ({type(error).__name__})") from None
    seen: set[str] = set()
    for i, (cell, kind, source) in enumerate(zip(cells, kinds, sources, strict=True)):
        name = cell.get("id")
        if not name or not isinstance(name, str) or name in seen:
            raise BuildError(path, 0, f"cell {i} needs an id of its own, has {name!r}")
        seen.add(name)
        where = path / f"cell {name}"
        check_no_marker(source, where, _HIDDEN if kind == "code" else _NOT_IN_TEXT)
        if kind == "code":
            _cut_cell(cell, source, key, where)
    for volatile in ("widgets", "signature"):
        metadata.pop(volatile, None)
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def check_no_marker(text: str, path: Path, markers: tuple[str, ...] = _NOT_IN_TEXT) -> None:
    """Raise `BuildError` where a marker would let learners see what is not for them."""
    for number, line in enumerate(text.splitlines(), 1):
        for marker in markers:
            if marker in line:
                advice = "hidden tests belong into the acceptance suite"
                if marker in (BEGIN, END):
                    advice = "only code is cut"
                raise BuildError(path, number, f"{marker} here: {advice}")


def _cut_cell(cell: dict[str, Any], source: str, key: str, where: Path) -> None:
    theirs = BEGIN in source
    if theirs or END in source:
        source = cut_source(source, key, where).rstrip("\n")
    cell["source"] = source.splitlines(keepends=True)
    cell["outputs"], cell["execution_count"] = [], None
    tags = cell.get("metadata", {}).get("tags")
    cell["metadata"] = {"tags": tags} if tags else {}
    cell["metadata"]["nbgrader"] = nbgrader_metadata(cell["id"], "code", source, theirs=theirs)


def check_api(solution: str, skeleton: str, path: Path) -> None:
    """Raise `BuildError` unless both have the same public names with the same signatures."""
    want, have = public_api(solution), public_api(skeleton)
    for name in sorted(want.keys() | have.keys()):
        if want.get(name) != have.get(name):
            raise BuildError(
                path,
                0,
                f"{name} is {want.get(name, 'missing')!r} in the solution and "
                f"{have.get(name, 'missing')!r} in the skeleton",
            )


def public_api(source: str) -> dict[str, str]:
    """Signatures of public functions, classes, methods and names, by dotted name."""
    return dict(_names(ast.parse(source).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, str]]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if _is_public(node.name):
                yield prefix + node.name, _signature(node)
        elif isinstance(node, ast.ClassDef):
            if _is_public(node.name):
                bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
                yield prefix + node.name, f"class({bases}){_decorators(node)}"
                yield from _names(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if _is_public(node.target.id):
                yield prefix + node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                for name in ast.walk(target):
                    if isinstance(name, ast.Name) and _is_public(name.id):
                        yield prefix + name.id, "name"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    kind = "async " if isinstance(node, ast.AsyncFunctionDef) else ""
    return f"{kind}({ast.unparse(node.args)}){returns}{_decorators(node)}"


def _decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> str:
    return "".join(f" @{ast.unparse(decorator)}" for decorator in node.decorator_list)


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))
