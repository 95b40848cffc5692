"""Reading a submission before it runs: only imports that the capstone allows.

This keeps the exercise honest (raw layout by hand, no ready-made engine); it is not what keeps
the grader safe, the box is. So it looks at the source and refuses the known ways around an import
statement, without chasing every disguise.
"""

from __future__ import annotations

import ast
import sys
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

from grader.intake import SubmissionRefused

__all__ = ["audit"]

_MAX_LISTED = 5
# Names by which code is imported or run without an import statement.
_DYNAMIC = frozenset({"__import__", "__builtins__", "__loader__", "exec", "eval"})
_DYNAMIC_ATTRIBUTES = frozenset(
    {"__import__", "__builtins__", "__loader__", "__subclasses__", "__globals__", "load_module"}
)
# Modules by which the interpreter is reached; other modules hold them as attributes (`os.sys`).
_INTERPRETER = frozenset({"sys", "builtins", "importlib", "inspect", "gc", "ctypes"})
_INSIDES = frozenset({"sys", "_sys", "modules", "_getframe", "_current_frames", "__dict__"})


def audit(folder: Path, files: Collection[str], package: str, allowed: Collection[str]) -> None:
    """Check every Python file of `files` below `folder`.

    `allowed` are top-level module names (``"os"``), or dotted ones to allow just that module.
    Raises `SubmissionRefused` naming file and line of each import that is not, or where a file
    is not Python.
    """
    found: list[tuple[str, str]] = []
    for name in files:
        if name.endswith(".py"):
            tree = _parse(folder / name, name)
            found += [(f"{name}:{line}", what) for line, what in _offences(tree, package, allowed)]
    if found:
        more = "".join(f"; {where}: {what}" for where, what in found[1:_MAX_LISTED])
        rest = len(found) - _MAX_LISTED
        more += f"; and {rest} more" if rest > 0 else ""
        where, what = found[0]
        raise SubmissionRefused(
            where, what + more, f"This capstone allows {', '.join(sorted(allowed))}."
        )


def _parse(path: Path, name: str) -> ast.Module:
    try:
        with warnings.catch_warnings(action="ignore"):  # style is the author's own affair
            return ast.parse(path.read_bytes(), filename=name)
    except SyntaxError as error:
        where = f"{name}:{error.lineno}" if error.lineno else name
        raise SubmissionRefused(where, f"not Python: {error.msg}", "Mend it.") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise SubmissionRefused(
            name, f"cannot be parsed ({type(error).__name__})", "Write it more simply."
        ) from None


def _offences(
    tree: ast.Module, package: str, allowed: Collection[str]
) -> Iterator[tuple[int, str]]:
    modules = _module_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (hidden := _reached(node, modules, allowed)):
            yield node.lineno, f"{hidden} (the interpreter reached through a module)"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if not _is_allowed(alias.name, package, allowed):
                    yield node.lineno, f"import of {alias.name}"
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level or module.split(".")[0] == package:
                continue
            if not _is_allowed(module, package, allowed):
                yield node.lineno, f"import of {module}"
            for alias in node.names:  # `from os import sys`
                if alias.name in sys.stdlib_module_names and alias.name not in allowed:
                    yield node.lineno, f"import of {alias.name} through {module}"
        elif isinstance(node, ast.Name) and node.id in _DYNAMIC:
            yield node.lineno, f"{node.id} (an import in disguise)"
        elif isinstance(node, ast.Attribute) and node.attr in _DYNAMIC_ATTRIBUTES:
            yield node.lineno, f"{node.attr} (an import in disguise)"


def _module_names(tree: ast.Module) -> frozenset[str]:
    """The names that `import` statements bind to modules, anywhere in the file."""
    return frozenset(
        alias.asname or alias.name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    )


def _reached(node: ast.expr, modules: Collection[str], allowed: Collection[str]) -> str:
    """What part of the interpreter this expression takes from a module, or nothing.

    `os.sys`, `getattr(os, "sys")`, `vars(os)`, `os.path.os.sys`, `self.sys.modules`; where a
    capstone allows ``sys`` itself, nothing is hidden.
    """
    if "sys" in allowed:
        return ""
    if isinstance(node, ast.Attribute):
        rooted = _root(node.value) in modules
        whole = node.attr.lstrip("_") in _INTERPRETER or node.attr in _INSIDES
        if (rooted and whole) or node.attr in ("_getframe", "_current_frames"):
            return node.attr
        if node.attr == "modules" and _last(node.value).lstrip("_") == "sys":
            return node.attr
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id not in ("getattr", "vars") or _root(node.args[0]) not in modules:
            return ""
        name = getattr(node.args[1], "value", None) if len(node.args) > 1 else None
        if not isinstance(name, str) or name.lstrip("_") in _INTERPRETER or name in _INSIDES:
            return f"{node.func.id}() of a module"
    return ""


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _last(node: ast.expr) -> str:
    return getattr(node, "attr", "") or getattr(node, "id", "")


def _is_allowed(module: str, package: str, allowed: Collection[str]) -> bool:
    parts = module.split(".")
    prefixes = {".".join(parts[: i + 1]) for i in range(len(parts))}
    return parts[0] == package or not prefixes.isdisjoint(allowed)
