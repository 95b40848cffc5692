"""What can be said about the code of a cell without running it.

Learners' code is only compiled to a table of names (`symtable`), never executed. What cannot be
compiled, or is very long, binds and needs nothing.
"""

from __future__ import annotations

import functools
import re
import symtable
from collections import Counter

__all__ = [
    "BEGIN",
    "END",
    "Master",
    "as_python",
    "bound_names",
    "is_python",
    "lines",
    "needed_names",
    "without_measuring",
]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
_MAX_CHARS = 100_000
_MEASURING = ("%%time", "%%timeit", "%%capture", "%%prun", "%%memit", "%%mprun")
_STUB = re.compile(r"raise NotImplementedError\(")


@functools.lru_cache(maxsize=8192)
def lines(source: str) -> tuple[str, ...]:
    """The lines of `source` that say something, without their indentation."""
    return tuple(line.strip() for line in source.splitlines() if line.strip())


def as_python(source: str) -> str | None:
    """`source` without magics and shell lines; ``None`` where the cell is in another language."""
    source = without_measuring(source)
    if source.lstrip().startswith("%%"):
        return None
    kept = (line for line in source.splitlines() if line.lstrip()[:1] not in ("%", "!"))
    return "\n".join(kept) + "\n"


def without_measuring(source: str) -> str:
    """`source` without cell magics that run it as it is and tell how long it took."""
    text = source.lstrip()
    while text.startswith(_MEASURING):
        text = text.partition("\n")[2].lstrip("\n")
    return text if text != source.lstrip() else source


def bound_names(source: str) -> frozenset[str]:
    """Names that the cell gives a value to, for the cells after it."""
    return _names(source)[0]


def needed_names(source: str) -> frozenset[str]:
    """Names that the cell, or a function in it, uses and does not bind."""
    return _names(source)[1]


def is_python(source: str) -> bool:
    """Whether the cell can be compiled."""
    return bool(source.strip()) and _table(source) is not None


@functools.lru_cache(maxsize=512)
def _names(source: str) -> tuple[frozenset[str], frozenset[str]]:
    top = _table(source)
    if top is None:
        return frozenset(), frozenset()
    bound, used, tables = set(), set(), [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            name = symbol.get_name()
            if table is top:
                if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                    bound.add(name)
                if symbol.is_referenced():
                    used.add(name)
            elif symbol.is_global():
                (bound if symbol.is_assigned() else used).add(name)
    return frozenset(bound), frozenset(used - bound)


def _table(source: str) -> symtable.SymbolTable | None:
    python = as_python(source) if len(source) <= _MAX_CHARS else None
    if python is None:
        return None
    try:
        return symtable.symtable(python, "cell", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


class Master:
    """The author's version of a cell that the learner fills in: what is fixed, what is theirs.

    `tail` is what stands below the last region: the author's own check of the answer. It runs
    as the author wrote it, whatever became of it in the learner's notebook.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        outside, inside = [], BEGIN not in source  # without a region, all of it is theirs
        said: dict[str, None] = {}
        for line in source.splitlines():
            if BEGIN in line:
                inside = True
                said[line.partition(BEGIN)[2].strip()] = None
            elif END in line:
                inside = False
            elif not inside:
                outside.append(line)
        self.fixed = Counter(lines("\n".join(outside)))
        self.answer_names = bound_names(source) - bound_names("\n".join(outside))
        self.said = tuple(text for text in said if text)
        tail = source.rpartition(END)[2].partition("\n")[2] if END in source else ""
        flush = not tail.startswith((" ", "\t"))
        self.tail = tail.strip("\n") if tail.strip() and flush and is_python(tail) else ""

    def own_lines(self, source: str) -> list[str]:
        """Lines of a learner's version that are theirs: neither the author's, stub nor comment."""
        left, own = Counter(self.fixed), []
        for line in lines(source):
            if left[line] > 0:
                left[line] -= 1
            elif not line.startswith("#") and not self._is_stub(line):
                own.append(line)
        return own

    def kept(self, source: str) -> int:
        """How many of the author's lines are still there."""
        return sum((Counter(lines(source)) & self.fixed).values())

    def has_stub(self, source: str) -> bool:
        """Whether the line that asks for the answer still stands."""
        return any(_STUB.match(line) for line in lines(source))

    def without_tail(self, source: str) -> tuple[str, bool]:
        """`source` without the author's last lines, and whether they stood there unchanged."""
        text, tail = source.rstrip(), self.tail.rstrip()
        whole = bool(tail) and (text == tail or text.endswith("\n" + tail))
        return (text[: len(text) - len(tail)].rstrip("\n"), True) if whole else (source, False)

    def _is_stub(self, line: str) -> bool:
        if _STUB.match(line) or line in (")", "..."):
            return True
        return line[:1] in "\"'" and any(text in line for text in self.said)
