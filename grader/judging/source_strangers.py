"""What must not happen in certain places of a submission: callbacks, and comparisons of commands.

The places are those of `grader.judging.source_flow`: what runs while a lock is held, for example.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable

from grader.judging.source_flow import Flow, function_with, last_name
from grader.judging.source_rules import AnyFunction, Place

__all__ = ["compared", "stranger_called"]

_LOOP = (ast.For, ast.AsyncFor, ast.comprehension)


def stranger_called(
    flow: Flow, places: Iterable[Place], *, known: Collection[str] = ()
) -> list[Place]:
    """The calls among `places` of what was handed in from outside: callbacks, listeners, hooks.

    `known` are attributes that may be called all the same, such as those of given primitives.
    """
    return [
        place
        for place in places
        if isinstance(place.node, ast.Call)
        and last_name(place.node.func) not in known
        and _is_stranger(flow, place, place.node.func)
    ]


def compared(flow: Flow, places: Iterable[Place], *classes: str) -> list[Place]:
    """The comparisons among `places`, ``in`` and ``not in`` too, of objects of these classes.

    Those that a library makes, a heap for one, are seen only when the code runs.
    """
    return [
        place
        for place in places
        if isinstance(place.node, ast.Compare)
        and any(not isinstance(op, ast.Is | ast.IsNot) for op in place.node.ops)
        and any(flow.is_of(v, classes) for v in (place.node.left, *place.node.comparators))
    ]


def _is_stranger(flow: Flow, place: Place, value: ast.expr, seen: Collection[int] = ()) -> bool:
    """Whether `value` is something that somebody outside the package handed in, to be called.

    A parameter of a public function is; one of a private function is what its callers hand
    over; an element of a container, named in a loop or taken by its index, is.
    """
    if id(value) in seen:
        return False
    seen = {*seen, id(value)}
    match value:
        case ast.Subscript():
            return True
        case ast.Attribute(attr=attr) if not flow.named(place, value):
            if flow.functions(attr):
                return False
            return any(_is_stranger(flow, p, v, seen) for p, v in flow.given.get(attr, ()))
        case ast.Name(id=name):
            if flow.named(place, value):
                return False
            if _is_loop_target(place, name):
                return True
            function = function_with(place, name)
            if function is not None:
                if not _is_private(flow, function):
                    return True
                return any(_is_stranger(flow, p, v, seen) for p, v in flow.handed(place, value))
            return any(_is_stranger(flow, p, v, seen) for p, v in flow.given.get(name, ()))
    return False


def _is_private(flow: Flow, function: Place) -> bool:
    name = getattr(function.node, "name", "_")
    owner = flow.class_of(function)
    return owner.startswith("_") or (name.startswith("_") and not name.endswith("__"))


def _is_loop_target(place: Place, name: str) -> bool:
    function = next(
        (o for o in place.module.around(place.node) if isinstance(o, AnyFunction)), None
    )
    return function is not None and any(
        name in {n.id for n in ast.walk(loop.target) if isinstance(n, ast.Name)}
        for loop in ast.walk(function)
        if isinstance(loop, _LOOP)
    )
