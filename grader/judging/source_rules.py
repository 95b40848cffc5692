"""What a submission's source says without being run: names, classes, calls, locks.

Read by the judge, never run. Names are followed through imports, aliases and plain assignments of
the module, so that ``import threading as t`` and ``from threading import Lock as L`` hide nothing.
A rule gives the places that break it, in the order of files and lines; none of them is a proof that
nothing is wrong, for Python can hide a name where no reader finds it. What runs from where, for
example while a lock is held, is for `grader.judging.source_flow`.
"""

from __future__ import annotations

import ast
import fnmatch
import functools
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from grader.judging.compare import CriterionFailed

__all__ = ["LOCKS", "AnyFunction", "Module", "Place", "Sources", "lock_used"]

AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda

LOCKS = frozenset({"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "allocate_lock"})
"""Classes that are locks wherever they come from."""
_LOCKING = frozenset(
    f"{module}.{name}"
    for module, names in (
        ("threading", ("Event", "Barrier")),
        ("multiprocessing", ("Event", "Barrier", "Queue")),
        ("queue", ("Queue", "PriorityQueue", "LifoQueue")),
    )
    for name in names
)
_BY_HAND = frozenset({"acquire", "release"})
_MAKES_LOGGERS = ("logging.", "structlog.", "warnings.")


class Module:
    """One file: its tree, what its names stand for, and what stands around a node."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.file = file
        self.tree = tree
        self._around = {
            id(child): node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
        }
        self._names: dict[str, str] = {}
        for node in ast.walk(tree):
            for alias, name in _imported(node):
                self._names[alias] = name
        self._imported = frozenset(self._names)
        for _ in range(2):  # an alias of an alias
            for node in ast.walk(tree):
                self._note_alias(node)

    def _note_alias(self, node: ast.AST) -> None:
        """``nap = time.sleep``, ``self._log = logging.getLogger()``: the name stands for it."""
        if not (isinstance(node, ast.Assign) and node.value):
            return
        name = self.dotted(node.value)
        known = name.partition(".")[0] in {n.partition(".")[0] for n in self._names.values()}
        plain = isinstance(node.value, ast.Name | ast.Attribute)
        if name and known and (plain or name.startswith(_MAKES_LOGGERS)):
            for target in node.targets:
                self._names.setdefault(ast.unparse(target), name)

    def dotted(self, node: ast.AST) -> str:
        """The full name of an expression: ``threading.Lock``, ``self._lock``; "" if it has none.

        What a call gives is written ``name()``; a name of the package itself begins with a dot.
        """
        match node:
            case ast.Name(id=name):
                return self._names.get(name, name)
            case ast.Attribute(value=owner, attr=attr):
                owned = self.dotted(owner)
                return self._names.get(ast.unparse(node)) or (f"{owned}.{attr}" if owned else "")
            case ast.Call(func=func):
                name = self.dotted(func)
                return f"{name}()" if name else ""
        return ""

    def around(self, node: ast.AST) -> Iterator[ast.AST]:
        """What `node` stands in, from the inside out."""
        while (outer := self._around.get(id(node))) is not None:
            yield outer
            node = outer


@dataclass(frozen=True, slots=True)
class Place:
    """A node of the source; ``str(place)`` is its file and line, to begin a message with."""

    module: Module
    node: ast.AST

    @property
    def line(self) -> int:
        node: ast.AST | None = self.node
        while node is not None and not hasattr(node, "lineno"):
            node = next(self.module.around(node), None)
        return int(getattr(node, "lineno", 1))

    def __repr__(self) -> str:
        return f"{self.module.file}:{self.line}"

    @property
    def text(self) -> str:
        return ast.unparse(self.node)

    @property
    def name(self) -> str:
        """The full name of the expression, or of what is called; see `Module.dotted`."""
        node = self.node
        return self.module.dotted(node.func if isinstance(node, ast.Call) else node)

    def nodes(self) -> Iterator[Place]:
        """The place itself and all that stands in it, as they are read."""
        waiting = [self.node]
        while waiting:
            node = waiting.pop()
            yield Place(self.module, node)
            waiting += reversed(list(ast.iter_child_nodes(node)))


class Sources:
    """The files of a submission, parsed once; `CriterionFailed` for one that is not Python.

    >>> Sources({"queue.py": "import threading as t\\nlock = t.Lock()"}).called("threading.*")
    [queue.py:2]
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.modules = tuple(Module(file, _parsed(file, texts[file])) for file in sorted(texts))

    def nodes(self) -> Iterator[Place]:
        """Every node of every file."""
        for module in self.modules:
            yield from Place(module, module.tree).nodes()

    def classes(self, name: str) -> list[Place]:
        """Where a class of this name is defined."""
        return [p for p in self._classes if getattr(p.node, "name", "") == name]

    @functools.cached_property
    def _classes(self) -> list[Place]:
        return [p for p in self.nodes() if isinstance(p.node, ast.ClassDef)]

    def class_named(self, name: str) -> Place:
        """The one class of this name; `CriterionFailed` when there is none, or a second one."""
        found = self.classes(name)
        if len(found) == 1:
            return found[0]
        files = ", ".join(m.file for m in self.modules) or "no file"
        raise CriterionFailed(
            f"class {name} is defined {len(found)} times ({', '.join(map(str, found))}): keep one"
            if found
            else f"No class {name} is defined in the package ({files}): write it as `class {name}`"
        )

    def imported(self, *names: str) -> list[Place]:
        """Where a module or name is imported; `names` are full ones, ``threading.*`` and the like.

        A module is asked for by its own name, what is taken out of it by ``module.name``.
        """
        found = []
        for place in self.nodes():
            for alias, name in _imported(place.node):
                whole = getattr(place.node, "names", [])
                full = {name, *(a.name for a in whole if alias == a.name.partition(".")[0])}
                if isinstance(place.node, ast.ImportFrom):
                    full.add(place.node.module or "")
                if any(_fits(text, names) for text in full):
                    found.append(place)
                    break
        return found

    def called(self, *names: str) -> list[Place]:
        """Every call of a function with such a full name; ``*.acquire`` is one on any object."""
        return [p for p in self.nodes() if isinstance(p.node, ast.Call) and _fits(p.name, names)]

    def locks_by_hand(self) -> list[Place]:
        """Every ``acquire`` and ``release``, called or handed on: a way out may leave one held."""
        return [
            p for p in self.nodes() if isinstance(p.node, ast.Attribute) and p.node.attr in _BY_HAND
        ]


def lock_used(places: Iterable[Place]) -> Iterator[tuple[Place, str]]:
    """Where a lock is made, taken or let go among `places`, and in what words.

    A ``with`` of a plain name is one: what stands there again and again is a lock.
    """
    for place in places:
        match place.node:
            case ast.With(items=items):
                for item in items:
                    if isinstance(item.context_expr, ast.Name | ast.Attribute):
                        yield place, f"with {ast.unparse(item.context_expr)}"
            case ast.Attribute(attr=attr) if attr in _BY_HAND:
                yield place, place.text
            case ast.Attribute() | ast.Name():
                name = place.name
                if name.rpartition(".")[2] in LOCKS or name in _LOCKING:
                    yield place, name


def _parsed(file: str, text: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a backslash too many is no business of a rule
            return ast.parse(text, file)
    except SyntaxError as error:
        raise CriterionFailed(f"{file}:{error.lineno or 1}: not Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise CriterionFailed(f"{file}: cannot be read as Python: {error}") from None


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The names that an import makes, with what they stand for."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield (
                    alias.asname or alias.name.partition(".")[0],
                    (alias.name if alias.asname else alias.name.partition(".")[0]),
                )
        case ast.ImportFrom(module=module, names=names, level=level):
            for alias in names:
                yield (
                    alias.asname or alias.name,
                    f"{'.' * level}{module or ''}{'.' if module else ''}{alias.name}",
                )


def _fits(name: str, patterns: Iterable[str]) -> bool:
    return bool(name) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
