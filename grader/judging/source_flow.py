"""What of a submission's source runs from where: in the functions asked for, or under a lock.

`Flow` follows calls inside the package: functions by name, methods of ``self``, of attributes and
names whose class is written down or made there, properties, what is handed to another function as
``lambda`` or by name. What it cannot follow it leaves out.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from grader.judging.source_rules import AnyFunction, Place, Sources

__all__ = ["Flow", "function_with", "last_name"]


class Flow:
    """Who calls whom in a package."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        self._functions: dict[str, list[Place]] = {}  # "pop", and "CommandQueue.pop"
        self._calls: dict[str, list[Place]] = {}  # by the last name of what is called
        self._made: dict[str, set[str]] = {}  # classes of an attribute or a name
        self.given: dict[str, list[tuple[Place, ast.expr]]] = {}  # what an attribute is set to
        self._classes = {
            place.node.name: place
            for place in sources.nodes()
            if isinstance(place.node, ast.ClassDef)
        }
        for place in sources.nodes():
            self._note(place)

    def _note(self, place: Place) -> None:
        match place.node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                self._functions.setdefault(name, []).append(place)
                if owner := self.class_of(place):
                    self._functions.setdefault(f"{owner}.{name}", []).append(place)
            case ast.Call():
                self._calls.setdefault(place.name.rpartition(".")[2], []).append(place)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._note_value(place, target, value)
            case ast.AnnAssign(target=target, annotation=annotation, value=value):
                self._note_class(target, annotation)
                if value is not None:
                    self._note_value(place, target, value)
            case ast.arg(arg=name, annotation=annotation) if annotation is not None:
                self._note_class(ast.Name(name), annotation)

    def _note_value(self, place: Place, target: ast.expr, value: ast.expr) -> None:
        self.given.setdefault(last_name(target), []).append((place, value))
        if isinstance(value, ast.Call):
            self._note_class(target, value.func)

    def _note_class(self, target: ast.expr, of: ast.expr) -> None:
        """Whatever classes of the package `of` speaks of, `target` may be of."""
        names = {n.id for n in ast.walk(of) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(of) if isinstance(n, ast.Attribute)}
        if isinstance(of, ast.Constant) and isinstance(of.value, str):
            names |= set(of.value.replace("|", " ").split())
        if found := names & self._classes.keys():
            self._made.setdefault(last_name(target), set()).update(found)

    # -- where it goes ---------------------------------------------------------------------------

    def functions(self, name: str) -> list[Place]:
        """The functions of this name: ``pop``, or ``CommandQueue.pop`` of that class alone."""
        return self._functions.get(name, [])

    def reached(self, *names: str) -> Iterator[Place]:
        """Every node that runs when a function of such a name is called, each once."""
        starts = [place for name in names for place in self.functions(name)]
        return self._followed(chain.from_iterable(_body(place) for place in starts), starts)

    def while_held(self) -> Iterator[Place]:
        """Every node that runs while a lock is held, each once: in the ``with`` and below it.

        A lock is any plain name in a ``with``, and a context manager of the package that yields
        inside such a block.
        """
        return self._followed(
            Place(place.module, statement)
            for place in self.sources.nodes()
            if isinstance(place.node, ast.With)
            and any(self._holds(place, i) for i in place.node.items)
            for statement in place.node.body
        )

    def _holds(self, place: Place, item: ast.withitem) -> bool:
        held = item.context_expr
        if isinstance(held, ast.Name | ast.Attribute):
            return True
        if not isinstance(held, ast.Call):
            return False
        return any(
            isinstance(inner.node, ast.With)
            and any(isinstance(i.context_expr, ast.Name | ast.Attribute) for i in inner.node.items)
            and any(isinstance(n, ast.Yield) for n in ast.walk(inner.node))
            for function in self.targets(Place(place.module, held))
            for inner in function.nodes()
        )

    def _followed(self, nodes: Iterable[Place], seen: Iterable[Place] = ()) -> Iterator[Place]:
        done = {id(place.node) for place in seen}
        told: set[int] = set()
        waiting = list(nodes)
        while waiting:
            place = waiting.pop(0)
            for inner in _run(place):
                if id(inner.node) in told:
                    continue
                told.add(id(inner.node))
                yield inner
                for function in self.targets(inner):
                    if id(function.node) not in done:
                        done.add(id(function.node))
                        waiting += _body(function)

    def targets(self, place: Place) -> list[Place]:
        """The functions of the package that run because of this one node."""
        node = place.node
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            return [f for f in self.named(place, node) if _is_property(f.node)]
        if not isinstance(node, ast.Call):
            return []
        found = self.named(place, node.func)
        if isinstance(node.func, ast.Name) and self._is_parameter(place, node.func.id):
            found = [f for v in self.handed(place, node.func) for f in self._callable(*v)]
        if last_name(node.func) in ("wait_for", "sorted", "min", "max", "map", "filter", "sort"):
            for value in (*node.args, *(k.value for k in node.keywords)):
                found = found + self._callable(place, value)
        return found

    def _callable(self, place: Place, value: ast.expr) -> list[Place]:
        if isinstance(value, ast.Lambda):
            return [Place(place.module, value)]
        return self.named(place, value) if isinstance(value, ast.Name | ast.Attribute) else []

    def named(self, place: Place, name: ast.expr) -> list[Place]:
        """The functions of the package that the expression `name` means, at this place."""
        match name:
            case ast.Name(id=text):
                text = place.module.dotted(name).rpartition(".")[2] or text
                if text in self._classes:
                    return [
                        f
                        for made in ("__init__", "__post_init__")
                        for f in self.functions(f"{text}.{made}")
                    ]
                return [f for f in self.functions(text) if not self.class_of(f)]
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=attr):
                return [f for c in self._family(place) for f in self.functions(f"{c}.{attr}")]
            case ast.Attribute(value=owner, attr=attr):
                of = self._made.get(last_name(owner), set())
                return [f for c in sorted(of) for f in self.functions(f"{c}.{attr}")]
        return []

    def class_of(self, place: Place) -> str:
        """The class whose method a function is, or that a node stands in; "" for none."""
        for outer in place.module.around(place.node):
            if isinstance(outer, ast.ClassDef):
                return outer.name
            if isinstance(place.node, ast.FunctionDef | ast.AsyncFunctionDef) and isinstance(
                outer, ast.FunctionDef | ast.AsyncFunctionDef
            ):
                return ""
        return ""

    def _family(self, place: Place) -> list[str]:
        """The class a node stands in, with the bases it has in the package."""
        found: list[str] = []
        waiting = [self.class_of(place)]
        while waiting:
            name = waiting.pop()
            if name in self._classes and name not in found:
                found.append(name)
                definition = self._classes[name].node
                assert isinstance(definition, ast.ClassDef)
                waiting += [last_name(base) for base in definition.bases]
        return found

    def is_of(self, value: ast.expr, names: Collection[str]) -> bool:
        """Whether the source says, anywhere, that what is called so is of one of these classes."""
        return bool(self._made.get(last_name(value), set()) & set(names))

    # -- what is handed over ---------------------------------------------------------------------

    def _is_parameter(self, place: Place, name: str) -> bool:
        return function_with(place, name) is not None

    def handed(self, place: Place, name: ast.Name) -> list[tuple[Place, ast.expr]]:
        """What the callers in the package hand over for the parameter `name`."""
        function = function_with(place, name.id)
        if function is None or isinstance(function.node, ast.Lambda):
            return []
        assert isinstance(function.node, ast.FunctionDef | ast.AsyncFunctionDef)
        called = function.node.name
        if called == "__init__":
            called = self.class_of(function)
        arguments = function.node.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args)]
        number = names.index(name.id) if name.id in names else len(names)
        if names[:1] in (["self"], ["cls"]):
            number -= 1
        found = []
        for call in self._calls.get(called, []):
            assert isinstance(call.node, ast.Call)
            values = [k.value for k in call.node.keywords if k.arg == name.id]
            values += call.node.args[number : number + 1]
            found += [(call, value) for value in values]
        return found


def _run(place: Place) -> Iterator[Place]:
    """The nodes that run when `place` does: not what stands in functions made there."""
    waiting: list[ast.AST] = [place.node]
    while waiting:
        node = waiting.pop(0)
        yield Place(place.module, node)
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def _body(function: Place) -> list[Place]:
    assert isinstance(function.node, AnyFunction)
    body = function.node.body
    return [Place(function.module, n) for n in (body if isinstance(body, list) else [body])]


def function_with(place: Place, name: str) -> Place | None:
    """The innermost function around `place` that has a parameter of this name."""
    for outer in place.module.around(place.node):
        if isinstance(outer, AnyFunction):
            arguments = outer.args
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            if name in {a.arg for a in every}:
                return Place(place.module, outer)
    return None


def _is_property(node: ast.AST) -> bool:
    decorators = getattr(node, "decorator_list", [])
    return any(last_name(d) in ("property", "cached_property") for d in decorators)


def last_name(node: ast.AST) -> str:
    """The last word of a name: ``_lock`` of ``self._lock``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Call(func=func) | ast.Subscript(value=func):
            return last_name(func)
    return ""
