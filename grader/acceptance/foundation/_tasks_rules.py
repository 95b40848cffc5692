"""Criterion 6, read off the source: where a failure goes unseen."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from grader.judging.source_rules import Module, Place, Sources

__all__ = ["hidden_failures"]

_WIDE = frozenset({"BaseException", "BaseExceptionGroup", "CancelledError", "Cancelled"})
_NOBODY_KEEPS = frozenset({"create_task", "ensure_future"})


def hidden_failures(sources: Sources) -> Iterator[tuple[Place, str]]:
    """Every place of `sources` by which a failure or a cancellation goes unseen, and how."""
    for place in sources.nodes():
        module = place.module
        match place.node:
            case ast.ExceptHandler(type=None):
                yield place, "a bare except: it takes cancellations as well"
            case ast.ExceptHandler(type=kind) if (
                kind is not None
                and _takes_cancellation(module, kind)
                and not any(isinstance(inner.node, ast.Raise) for inner in place.nodes())
            ):
                yield place, f"except {ast.unparse(kind)} without raising it again"
            case ast.Call(args=args) if _last(place.name) == "suppress" and any(
                _takes_cancellation(module, kind) for kind in args
            ):
                yield place, f"{place.text} swallows a cancellation"
            case ast.Expr(value=ast.Call() as call):
                called = Place(module, call)
                if _last(called.name) in _NOBODY_KEEPS:
                    yield place, f"{ast.unparse(call.func)}(): nobody keeps the task"
            case ast.Expr(value=ast.Await(value=ast.Call(func=ast.Attribute(attr="join")))):
                yield place, "the TaskExit that join() gives is not looked at"


def _takes_cancellation(module: Module, kind: ast.expr) -> bool:
    if isinstance(kind, ast.Tuple):
        return any(_takes_cancellation(module, each) for each in kind.elts)
    name = _last(module.dotted(kind))
    return name in _WIDE or name == "get_cancelled_exc_class()"


def _last(name: str) -> str:
    return name.rpartition(".")[2]
