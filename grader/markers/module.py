"""From the code cells of an assignment to the module that is judged.

A skeleton must have the names of the solution, so an answer is cut where that leaves them: a
function keeps its head and loses its body, a name keeps its place as ``name = ...``. Lines are
taken over as they stand, comments included.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.markers.model import Assignment, Cell
from grader.notebooks.cellcode import BEGIN, END

__all__ = ["imports_of", "module_source", "speaking"]

_SHOWN = ("print", "display", "help")


def module_source(found: Assignment, package: str) -> str:
    """The source of the package's ``__init__.py``, answers between markers."""
    parts = [f'"""{package}: what the notebook builds, one section for each of its cells."""']
    bound: set[str] = set()
    for cell, answer in found.code:
        text = _section(cell, answer, bound, found)
        if text.strip():
            parts.append(f"# Cell {cell.name}\n{text}")
    return "\n\n\n".join(parts) + "\n"


def speaking(source: str, said: str) -> str:
    """`source` with words behind every marker that has none, so that the stub can say them."""
    lines = []
    for line in source.splitlines():
        head, marker, words = line.partition(BEGIN)
        lines.append(f"{head}{BEGIN} {said}" if marker and not words.strip() else line)
    return "\n".join(lines)


def imports_of(source: str) -> dict[str, str]:
    """Import statements at the top level, by the name they bind."""
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[name] = ast.unparse(node)
    return found


def _section(cell: Cell, answer: bool, bound: set[str], found: Assignment) -> str:
    source = _without_magics(cell, found)
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        where = f"{cell.name}, line {error.lineno}"
        found.lose(where, "a cell that is not Python", f"Not in the package: {error.msg}.")
        return ""
    lines = source.splitlines()
    spans = _spans(lines)
    if answer and not spans:
        spans = [(0, len(lines) + 1)]
    kept: list[str] = []
    for node in tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        last = node.end_lineno or node.lineno
        # A marker that closes a function's region is a comment below its last statement.
        last = max([last, *(end for begin, end in spans if first <= begin <= last)])
        text = lines[first - 1 : last]
        if _only_shows(node):
            continue
        if any(begin < first and last < end for begin, end in spans):
            kept += _cut(node, text, _said(lines, first, cell), bound)
        else:
            kept += speaking("\n".join(text), _words(cell)).splitlines()
        bound |= set(_names(node))
    return "\n".join(kept)


def _spans(lines: list[str]) -> list[tuple[int, int]]:
    """First and last line of every region, markers included."""
    begins = [number for number, line in enumerate(lines, 1) if BEGIN in line]
    ends = [number for number, line in enumerate(lines, 1) if END in line]
    return list(zip(begins, ends, strict=False))


def _said(lines: list[str], first: int, cell: Cell) -> str:
    above = [line for line in lines[:first] if BEGIN in line]
    words = above[-1].partition(BEGIN)[2].strip() if above else ""
    return words or _words(cell)


def _words(cell: Cell) -> str:
    return f"#{cell.question}: {cell.name}, as the notebook asks"


def _cut(node: ast.stmt, text: list[str], said: str, bound: set[str]) -> list[str]:
    """A statement of the answer, cut so that the names it gives stay."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return text
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return _cut_function(node, text, said)
    if isinstance(node, ast.ClassDef):
        return _cut_class(node, text, said)
    open_names = [f"{name} = ..." for name in _names(node) if name not in bound]
    return [*open_names, BEGIN, *text, END]


def _cut_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, text: list[str], said: str
) -> list[str]:
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    if body and body[0].lineno == node.body[0].lineno == node.lineno:  # all on one line
        text = ast.unparse(node).splitlines()
        inner = ast.parse("\n".join(text)).body[0]
        assert isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
        indent = " " * node.col_offset
        return [indent + line for line in _cut_function(inner, text, said)]
    if not body:
        return text
    decorators = getattr(body[0], "decorator_list", ())
    at = min([body[0].lineno, *(d.lineno for d in decorators)]) - first
    indent = " " * body[0].col_offset
    return [*text[:at], f"{indent}{BEGIN} {said}", *text[at:], f"{indent}{END}"]


def _cut_class(node: ast.ClassDef, text: list[str], said: str) -> list[str]:
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    for member in reversed(node.body):
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            begin = min([member.lineno, *(d.lineno for d in member.decorator_list)]) - first
            end = (member.end_lineno or member.lineno) - first + 1
            text = [*text[:begin], *_cut_function(member, text[begin:end], said), *text[end:]]
    return text


def _names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement binds where it stands."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
        return
    if isinstance(node, ast.Import | ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name.partition(".")[0]
        return
    todo: list[ast.AST] = [node]
    seen = set()
    while todo:
        item = todo.pop(0)
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        if isinstance(item, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            continue
        if isinstance(item, ast.Lambda):
            continue
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store) and item.id not in seen:
            seen.add(item.id)
            yield item.id
        todo += ast.iter_child_nodes(item)


def _only_shows(node: ast.stmt) -> bool:
    """Whether a statement is there to be seen in a notebook: a bare value, a print."""
    if not isinstance(node, ast.Expr):
        return False
    call = node.value
    if isinstance(call, ast.Call):
        return isinstance(call.func, ast.Name) and call.func.id in _SHOWN
    return not isinstance(call, ast.Await | ast.Yield | ast.YieldFrom)


def _without_magics(cell: Cell, found: Assignment) -> str:
    lines = cell.source.splitlines()
    if lines and lines[0].startswith("%%"):
        advice = "Not in the package; the notebook keeps it."
        found.lose(cell.name, f"a cell of the magic {lines[0].split()[0]}", advice)
        return ""
    for number, line in enumerate(lines):
        if line.lstrip()[:1] in ("%", "!"):
            advice = "Not in the package; the notebook keeps it."
            found.lose(f"{cell.name}, line {number + 1}", f"`{line.strip()}`", advice)
            lines[number] = ""
    return "\n".join(lines)
