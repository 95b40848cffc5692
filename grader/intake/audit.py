"""Reading a submission before it runs: only imports that the capstone allows.

This keeps the exercise honest (raw layout by hand, no ready-made engine); it is no wall. It looks
at the source and refuses the known ways around an import statement, without chasing every
disguise: what must not be reached is not in the box.
"""

from __future__ import annotations

import ast
import importlib
import io
import sys
import tokenize
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from types import ModuleType

from grader.intake.intake import SubmissionRefused

__all__ = ["audit"]

MAX_SOURCE_BYTES = 256 * 1024
MAX_SOURCES_BYTES = 1024 * 1024
"""Of all files: the judge parses them, and a tree is a thousand times as large as its text."""

_MAX_LISTED = 5
_MAX_LINE_CHARS = 80
_SOURCE = (".py", ".pyw")
_UTF_8 = frozenset({"utf-8", "utf-8-sig", "ascii"})
# Names by which code is imported or run without an import statement.
_DYNAMIC = frozenset(
    {"__import__", "__builtins__", "__loader__", "__spec__", "exec", "eval", "compile"}
)
_DYNAMIC_ATTRIBUTES = frozenset(
    {"__import__", "__builtins__", "__loader__", "__subclasses__", "__globals__", "load_module"}
    | {"import_module", "exec_module", "spec_from_file_location", "run_module", "run_path"}
)
_DYNAMIC_TEXTS = _DYNAMIC_ATTRIBUTES - {"run_module", "run_path"}
# Modules by which the interpreter is reached; other modules hold them as attributes (`os.sys`).
_INTERPRETER = frozenset({"sys", "builtins", "importlib", "inspect", "gc", "ctypes"})
_INSIDES = frozenset({"sys", "_sys", "modules", "_getframe", "_current_frames", "__dict__"})


def audit(folder: Path, files: Collection[str], package: str, allowed: Collection[str]) -> None:
    """Check every Python file of `files` below `folder`.

    `allowed` are top-level module names (``"os"``), or dotted ones to allow just that module.
    A package of `meridian` may be named for the modules of it that are allowed.
    Raises `SubmissionRefused` naming file and line of each import that is not, or where a file
    is not Python, not UTF-8, or too long to be read.
    """
    found: list[tuple[str, str]] = []
    left = MAX_SOURCES_BYTES
    for name in files:
        if name.lower().endswith(_SOURCE):
            source = (folder / name).read_bytes()
            left -= len(source)
            if len(source) > MAX_SOURCE_BYTES or left < 0:
                cap = MAX_SOURCE_BYTES if len(source) > MAX_SOURCE_BYTES else MAX_SOURCES_BYTES
                raise SubmissionRefused(
                    name, f"more than {cap} bytes of source", "Keep data in a file of its own."
                )
            tree = _parse(name, source)
            for line, what in _offences(tree, name, package, allowed):
                found.append((f"{name}:{line}", what))
    if found:
        more = "".join(f"; {where}: {what}" for where, what in found[1:_MAX_LISTED])
        rest = len(found) - _MAX_LISTED
        more += f"; and {rest} more" if rest > 0 else ""
        where, what = found[0]
        raise SubmissionRefused(
            where, what + more, f"This capstone allows {', '.join(sorted(allowed))}."
        )


def _parse(name: str, source: bytes) -> ast.Module:
    try:
        text = _decode(name, source)
        with warnings.catch_warnings(action="ignore"):  # style is the author's own affair
            return ast.parse(text, filename=name)
    except UnicodeDecodeError as error:
        line = source.count(b"\n", 0, error.start) + 1
        raise SubmissionRefused(f"{name}:{line}", "not UTF-8 text", "Save it as UTF-8.") from None
    except SyntaxError as error:
        where = f"{name}:{error.lineno}" if error.lineno else name
        shown = _line(source, error.lineno or 0)
        raise SubmissionRefused(where, f"not Python: {error.msg}{shown}", "Mend it.") from None
    except SubmissionRefused:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        raise SubmissionRefused(
            name, f"cannot be parsed ({type(error).__name__})", "Write it more simply."
        ) from None


def _decode(name: str, source: bytes) -> str:
    """The text of a file in UTF-8. Any other encoding is code that another reader would not see."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
    except SyntaxError:
        source.decode()  # says better where it is wrong
        raise
    if encoding not in _UTF_8:
        raise SubmissionRefused(f"{name}:1", f"encoded as {encoding}", "Save it as UTF-8.")
    return source.decode("utf-8-sig")


def _line(source: bytes, number: int) -> str:
    """The line that a syntax error is about, fit to be shown."""
    lines = source.decode(errors="replace").splitlines()
    if not 0 < number <= len(lines) or not lines[number - 1].strip():
        return ""
    text = lines[number - 1].strip()
    cut = text[:_MAX_LINE_CHARS] + ("..." if len(text) > _MAX_LINE_CHARS else "")
    return f", in: {cut}" if cut.isprintable() else f", in: {ascii(cut)[1:-1]}"


def _offences(
    tree: ast.Module, file: str, package: str, allowed: Collection[str]
) -> Iterator[tuple[int, str]]:
    modules, own = _module_names(tree), _own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (hidden := _reached(node, modules, allowed)):
            yield node.lineno, f"{hidden} (the interpreter reached through a module)"
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if not _is_allowed(alias.name, package, allowed):
                    yield node.lineno, f"import of {_told(alias.name)}"
        elif isinstance(node, ast.ImportFrom):
            for what in _from(node, file, package, allowed):
                yield node.lineno, what
        elif isinstance(node, ast.Name) and node.id in _DYNAMIC and node.id not in own:
            yield node.lineno, f"{node.id} (an import in disguise)"
        elif isinstance(node, ast.Attribute) and node.attr in _DYNAMIC_ATTRIBUTES:
            if "importlib" not in allowed or node.attr.startswith("__"):
                yield node.lineno, f"{node.attr} (an import in disguise)"
        elif isinstance(node, ast.Constant) and (hidden := _disguised(node.value)):
            yield node.lineno, f'"{hidden}" (an import in disguise)'


def _disguised(value: object) -> str:
    """The name of an import that a text is, as for `getattr` and `operator.attrgetter`."""
    parts = value.split(".") if isinstance(value, str) else ()
    return next(iter(_DYNAMIC_TEXTS.intersection(parts)), "")


def _from(node: ast.ImportFrom, file: str, package: str, allowed: Collection[str]) -> Iterator[str]:
    module = node.module or ""
    if node.level >= len(file.split("/")):  # a file of the package itself may say one dot
        yield f"import from {'.' * node.level}{module}, which is outside of {package}"
    if node.level or module.split(".")[0] == package:
        return
    if not _is_allowed(module, package, allowed):
        yield f"import of {_told(module)}"
        return
    for alias in node.names:
        if alias.name == "*":
            yield f"import of everything from {module} (name what you use)"
        elif alias.name not in allowed and _holds_module(
            module, alias.name
        ):  # `from os import sys`
            yield f"import of {alias.name} through {module}"


def _holds_module(module: str, name: str) -> bool:
    """Whether an allowed module of the standard library has another one under that name."""
    known = sys.stdlib_module_names
    if name.lstrip("_") not in known or module.partition(".")[0] not in known:
        return False
    try:
        return isinstance(getattr(importlib.import_module(module), name, None), ModuleType)
    except ImportError:
        return True


def _told(module: str) -> str:
    """`module`, spelled out where its letters are not what they look like."""
    return module if module.isascii() else f"{ascii(module)[1:-1]}, which is not ASCII"


def _own_names(tree: ast.Module) -> frozenset[str]:
    """Of the names that Python also has, those that the file gives to functions of its own."""
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == "compile"
    )


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
    if parts[0] == package or not prefixes.isdisjoint(allowed):
        return True
    # A package of ours stands for the modules of it that are allowed: no others are in the box.
    return parts[0] == "meridian" and any(name.startswith(f"{module}.") for name in allowed)
