"""Runs a replay and shows it as a session: each call, and what it gives.

Started in a process of its own, ``python -m meridian.academy.replaying PROGRAM FOLDER``, because
a replay may end its process. Exit status: the program's own, 1 for an exception.
"""

from __future__ import annotations

import ast
import sys
import traceback
from pathlib import Path
from typing import Any

__all__ = ["ASKED", "LAST_CALL", "last_call", "main"]

ASKED = "# -- what was asked"
"""The line of a replay after which its calls come."""
LAST_CALL = "# <- the last call"
"""Ends the line of the call that failed."""

_SILENT = ("check", "unlike", "unknown", "finish", "killed", "die", "raise_first")
_MAX_SHOWN_CHARS = 200


def last_call(program: str) -> int:
    """The number of the line that a debugger should stop at."""
    lines = program.splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.endswith(LAST_CALL)), len(lines))


class _Session:
    """Puts a word before and after each statement of a replay."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._lines = program.splitlines()

    def tree(self, filename: str) -> ast.Module:
        tree = ast.parse(self._program, filename)
        start = self._lines.index(ASKED) + 1 if ASKED in self._lines else 0
        head = [node for node in tree.body if node.lineno <= start]
        calls = [node for node in tree.body if node.lineno > start]
        tree.body = [*head, *self._told(calls)]
        return ast.fix_missing_locations(tree)

    def _told(self, body: list[ast.stmt]) -> list[ast.stmt]:
        return [line for node in body for line in self._tell(node)]

    def _tell(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.FunctionDef | ast.With):
            node.body = self._told(node.body)
            return [node]
        if isinstance(node, ast.Expr) and _called(node.value) in _SILENT:
            return [node]
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).startswith("data_"):
            return [node]
        shown = ast.copy_location(_call("_show", ast.Constant(node.lineno)), node)
        if isinstance(node, ast.Expr):
            return [shown, ast.copy_location(_call("_value", node.value), node)]
        return [shown, node]

    def show(self, line: int) -> None:
        text = self._lines[line - 1].strip().removesuffix(LAST_CALL).split("  # ")[0].rstrip()
        print(f">>> {_cut(text)}", flush=True)

    @staticmethod
    def value(given: Any) -> None:
        if given is None:
            return
        try:
            text = repr(given)
        except Exception as error:  # the learner's own __repr__
            text = f"<{type(given).__name__}, whose repr raised {type(error).__name__}>"
        print(_cut(text), flush=True)


def _call(name: str, argument: ast.expr) -> ast.Expr:
    return ast.Expr(ast.Call(ast.Name(name, ast.Load()), [argument], []))


def _called(node: ast.expr) -> str:
    called = node.func if isinstance(node, ast.Call) else None
    return called.id if isinstance(called, ast.Name) else ""


def _cut(text: str) -> str:
    shown = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in text)
    return shown if len(shown) <= _MAX_SHOWN_CHARS else f"{shown[: _MAX_SHOWN_CHARS - 3]}..."


def main() -> None:
    """Run ``argv[1]`` against the package in the folder ``argv[2]``."""
    file = sys.argv.pop(0) and sys.argv[0]
    session = _Session(Path(file).read_text())
    names = {"__name__": "__main__", "__file__": file}
    names |= {"_show": session.show, "_value": session.value}  # type: ignore[dict-item]
    try:
        exec(compile(session.tree(file), file, "exec"), names)
    except Exception as error:
        trace = error.__traceback__
        sys.stdout.flush()
        traceback.print_exception(error.with_traceback(trace and trace.tb_next))
        print(f"Still wrong: it raised {type(error).__name__}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
