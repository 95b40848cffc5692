"""What the judge may ask of a submission's objects: one method for each operation."""

from __future__ import annotations

import operator
import os
import signal
import sys
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from grader.inside.protocol import Raised

__all__ = ["Operations"]

_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "str": str}


class Batch:
    """One call repeated over prepared arguments, so that only the calls lie inside the clock."""

    __slots__ = ("arguments", "function", "results")

    def __init__(self, function: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> None:
        self.function = function
        self.arguments = arguments
        self.results: list[Any] = []

    def run(self) -> None:
        function = self.function
        self.results = [function(*arguments) for arguments in self.arguments]


class Operations(ABC):
    """Arguments are decoded; what a method returns or raises is the answer."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self._load = load
        self.probes: list[str] = []

    @abstractmethod
    def raised(self, error: BaseException) -> Raised:
        """What is told of an exception that is a value of an answer."""

    # -- names, calls and items ------------------------------------------------------------------

    def do_module(self, name: str) -> Any:
        return self._load(name)

    def do_probe(self, name: str, source: str) -> Any:
        """A module of the judge's, run beside the submission."""
        module = types.ModuleType(name)
        module.__dict__["__file__"] = f"<{name}>"
        sys.modules[name] = module  # dataclasses look it up there
        self.probes.append(name)
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
        return module

    def do_subclass(self, bases: tuple[Any, ...], members: dict[str, Any]) -> Any:
        return types.new_class("Double", bases, exec_body=lambda body: body.update(members))

    def do_get(self, target: Any, name: str) -> Any:
        return getattr(target, name)

    def do_set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)

    def do_delete(self, target: Any, name: str) -> None:
        delattr(target, name)

    def do_call(self, function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        return function(*arguments, **keywords)

    def do_method(self, target: Any, name: str, *arguments: Any) -> Any:
        return getattr(target, name)(*arguments)

    def do_operate(self, name: str, *operands: Any) -> Any:
        return getattr(operator, name)(*operands)

    def do_item(self, target: Any, key: Any) -> Any:
        return target[key]

    def do_set_item(self, target: Any, key: Any, value: Any) -> None:
        target[key] = value

    def do_delete_item(self, target: Any, key: Any) -> None:
        del target[key]

    def do_contains(self, target: Any, value: Any) -> bool:
        return value in target

    def do_len(self, target: Any) -> int:
        return len(target)

    def do_convert(self, target: Any, to: str) -> Any:
        return _CONVERSIONS[to](target)

    # -- many calls ------------------------------------------------------------------------------

    def do_map(self, function: Any, calls: list[tuple[Any, ...]]) -> list[Any]:
        answers: list[Any] = []
        for arguments in calls:
            try:
                answers.append(function(*arguments))
            except BaseException as error:
                answers.append(self.raised(error))
        return answers

    def do_prepare(self, function: Any, calls: list[tuple[Any, ...]]) -> Batch:
        return Batch(function, calls)

    def do_run(self, batch: Batch) -> None:
        batch.run()

    def do_results(self, batch: Batch, chosen: list[int] | None) -> list[Any]:
        return batch.results if chosen is None else [batch.results[i] for i in chosen]

    # -- bytes -----------------------------------------------------------------------------------

    def do_buffer(self, source: bytes | int) -> bytearray:
        return bytearray(source)

    def do_view(self, buffer: Any, start: int | None, stop: int | None) -> Any:
        return memoryview(buffer).cast("B")[start:stop]

    def do_bytes(self, target: Any, part: slice) -> bytes:
        own: Any = getattr(type(target), "__bytes__", None)
        if own is not None:
            return bytes(own(target))[part]
        return memoryview(target)[part].tobytes()

    # -- iterators and context managers ----------------------------------------------------------

    def do_iter(self, target: Any) -> Iterator[Any]:
        return iter(target)

    def do_next(self, iterator: Iterator[Any], limit: int) -> tuple[list[Any], Any]:
        """Up to `limit` items, and what ended them: ``None``, ``True`` (the end), an exception."""
        items: list[Any] = []
        try:
            for item in iterator:
                items.append(item)
                if len(items) == limit:
                    return items, None
        except BaseException as error:
            return items, [self.raised(error)]
        return items, True

    def do_enter(self, manager: Any) -> Any:
        return type(manager).__enter__(manager)

    def do_exit(self, manager: Any, error: BaseException | None) -> bool:
        if error is None:
            return bool(type(manager).__exit__(manager, None, None, None))
        kind = type(error)
        return bool(type(manager).__exit__(manager, kind, error, error.__traceback__))

    # -- crashes ---------------------------------------------------------------------------------

    def do_strike(self, module: str, name: str, nth: int) -> None:
        """SIGKILL to this process at the entry of the `nth` call of a function, from now on."""
        place = self._load(module)
        original = getattr(place, name)
        left = nth

        def struck(*arguments: Any, **keywords: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*arguments, **keywords)

        setattr(place, name, struck)
