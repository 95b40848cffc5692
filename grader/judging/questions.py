"""Questions of a transcript as Python statements, one each."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Sequence
from typing import Any

from grader.judging.literals import Literals, Unwritable
from grader.judging.transcript import Event, Fault, Thing

__all__ = ["Names", "Writer"]

_INLINE = frozenset(
    ("type", "function", "method", "module", "builtin_function_or_method", "ABCMeta", "EnumType")
)
_LOOKS = ("get", "enter", "item")
_MAX_NAME_CHARS = 30
_RESERVED = frozenset(
    (
        *("path", "read", "write", "noise", "unpacked", "call_all", "killed", "same", "check"),
        *(
            "must_raise",
            "unlike",
            "unknown",
            "told",
            "raise_first",
            "finish",
            "got",
            "islice",
            "arguments",
            "annotations",
            "i",
        ),
        *("base64", "contextlib", "os", "random", "signal", "sys", "tempfile", "traceback"),
        *(
            "zlib",
            "atexit",
            "shutil",
            "operator",
            "anyio",
            "numpy",
            "run_async",
            "die",
            *dir(builtins),
        ),
    )
)


class Names:
    """What each object of the submission is called in the program."""

    def __init__(self, package: str) -> None:
        self.modules = [package]
        self._package = package
        self._names: dict[tuple[int, int], str] = {}
        self._taken: dict[str, int] = {package: 1}

    def of(self, thing: Thing) -> str:
        """The expression of `thing`. Raises `Unwritable` for one that no event made."""
        try:
            return self._names[thing.worker, thing.number]
        except KeyError:
            raise Unwritable(thing.class_name) from None

    def set(self, thing: Thing, expression: str) -> None:
        self._names[thing.worker, thing.number] = expression

    def new(self, class_name: str) -> str:
        """A variable named after a class: ``PageFile`` gives page_file, page_file_2, ..."""
        # The class's name is the submission's own word: take letters, nothing else.
        words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", class_name)
        base = "_".join(words).lower()[:_MAX_NAME_CHARS].strip("_")
        if not base.isidentifier() or keyword.iskeyword(base) or keyword.issoftkeyword(base):
            base = "thing"
        base = {"bytearray": "buffer", "memoryview": "view"}.get(base, base)
        if base in _RESERVED:
            base += "_1"
        number = self._taken[base] = self._taken.get(base, 0) + 1
        return base if number == 1 else f"{base}_{number}"

    def module(self, name: str) -> None:
        if name not in self.modules:
            self.modules.append(name)


class Writer:
    """Turns one event into an expression, or into a statement where it has no value."""

    def __init__(self, names: Names, literals: Literals, events: Sequence[Event]) -> None:
        self._names = names
        self._say = literals
        self._asked = {
            (thing.worker, thing.number)
            for event in events
            for thing, _ in _things(event.arguments, "")
        }
        self._batches: dict[tuple[int, int], tuple[str, str, str]] = {}

    def expression(self, event: Event) -> str | None:
        """What `event` asks, as an expression; ``None`` when it is a `statement`."""
        make: Callable[..., str] | None = getattr(self, f"_ask_{event.operation}", None)
        return None if make is None else make(*event.arguments)

    def statement(self, event: Event) -> str:
        """What `event` does, where it gives nothing. Raises `Unwritable` for what is unknown."""
        make: Callable[..., str] | None = getattr(self, f"_do_{event.operation}", None)
        if make is None:
            raise Unwritable(event.operation)
        return make(*event.arguments)

    def bind(self, event: Event, text: str) -> str:
        """The line for an expression: assigned to a variable where it gives objects."""
        value = event.value
        if type(value) is Thing:
            if event.operation == "module":
                self._names.set(value, text)
                return ""
            if event.operation == "get" and value.class_name in _INLINE:
                self._names.set(value, text)
                return ""
            if event.operation == "prepare":
                return self._bind_batch(event, value)
            if event.operation in _LOOKS and (value.worker, value.number) not in self._asked:
                return text  # looked at and never used: its repr tells more than a name
            name = self._names.new(value.class_name)
            self._names.set(value, name)
            return f"{name} = {text}"
        inside = list(_things(value[0] if event.operation == "next" else value, ""))
        if not inside:
            return text
        name = self._names.new("Results")
        for thing, place in inside:
            self._names.set(thing, name + place)
        return f"{name} = {text}"

    # -- questions that give something ---------------------------------------------------------

    def _ask_module(self, name: str) -> str:
        self._names.module(name)
        return name

    def _ask_get(self, target: Thing, name: str) -> str:
        return f"{self._say(target)}.{name}"

    def _ask_call(
        self, function: Thing, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> str:
        named = (f"{key}={self._say(value)}" for key, value in keywords.items())
        return f"{self._say(function)}({', '.join([*map(self._say, arguments), *named])})"

    def _ask_method(self, target: Thing, name: str, *arguments: Any) -> str:
        return f"{self._say(target)}.{name}({', '.join(map(self._say, arguments))})"

    def _ask_operate(self, name: str, *operands: Any) -> str:
        return f"operator.{name}({', '.join(map(self._say, operands))})"

    def _ask_run_async(
        self, backend: str, function: Thing, arguments: tuple[Any, ...], keywords: dict[str, Any]
    ) -> str:
        said = ", ".join(map(self._say, (function, tuple(arguments), keywords)))
        return f"run_async({backend!a}, {said})"

    def _ask_map(self, function: Thing, calls: list[tuple[Any, ...]]) -> str:
        return f"call_all({self._say(function)}, {self._calls(calls)})"

    def _calls(self, calls: list[tuple[Any, ...]]) -> str:
        if len(calls) > 1 and all(call == calls[0] for call in calls):
            return f"[{self._say(calls[0])}] * {len(calls)}"
        return self._say(calls)

    def _ask_prepare(self, function: Thing, calls: list[tuple[Any, ...]]) -> str:
        return f"({self._say(function)}, {self._calls(calls)})"

    def _bind_batch(self, event: Event, batch: Thing) -> str:
        function, calls = event.arguments
        name, results = self._names.new("Calls"), self._names.new("Results")
        self._batches[batch.worker, batch.number] = (self._say(function), name, results)
        return f"{name} = {self._calls(calls)}"

    def _ask_results(self, batch: Thing, chosen: list[int] | None) -> str:
        _, _, results = self._batch(batch)
        return results if chosen is None else f"[{results}[i] for i in {self._say(chosen)}]"

    def _batch(self, batch: Thing) -> tuple[str, str, str]:
        try:
            return self._batches[batch.worker, batch.number]
        except KeyError:
            raise Unwritable("a batch") from None

    def _ask_buffer(self, source: bytes | int) -> str:
        return f"bytearray({self._say(source)})"

    def _ask_view(self, target: Thing, start: int | None, stop: int | None) -> str:
        view = f"memoryview({self._say(target)})"
        return view if (start, stop) == (None, None) else f"{view}[{_span(slice(start, stop))}]"

    def _ask_bytes(self, target: Thing, part: slice) -> str:
        whole = f"bytes({self._say(target)})"
        return whole if part == slice(None) else f"{whole}[{_span(part)}]"

    def _ask_item(self, target: Thing, key: Any) -> str:
        return f"{self._say(target)}[{self._key(key)}]"

    def _ask_contains(self, target: Thing, value: Any) -> str:
        return f"{self._say(value)} in {self._say(target)}"

    def _ask_len(self, target: Thing) -> str:
        return f"len({self._say(target)})"

    def _ask_convert(self, target: Thing, to: str) -> str:
        return f"{to}({self._say(target)})"

    def _ask_iter(self, target: Thing) -> str:
        return f"iter({self._say(target)})"

    def _ask_next(self, iterator: Thing, limit: int) -> str:
        return f"list(islice({self._say(iterator)}, {limit}))"

    def _ask_enter(self, manager: Thing) -> str:
        return f"{self._say(manager)}.__enter__()"

    def _ask_read(self, name: str) -> str:
        return f"read({name!a})"

    # -- questions that only do something --------------------------------------------------------

    def _do_set(self, target: Thing, name: str, value: Any) -> str:
        return f"{self._say(target)}.{name} = {self._say(value)}"

    def _do_set_item(self, target: Thing, key: Any, value: Any) -> str:
        return f"{self._say(target)}[{self._key(key)}] = {self._say(value)}"

    def _do_delete_item(self, target: Thing, key: Any) -> str:
        return f"del {self._say(target)}[{self._key(key)}]"

    def _do_run(self, batch: Thing) -> str:
        function, calls, results = self._batch(batch)
        return f"{results} = [{function}(*arguments) for arguments in {calls}]"

    def _do_write(self, name: str, data: bytes, offset: int | None) -> str:
        where = "" if offset is None else f", {offset}"
        return f"write({name!a}, {self._say(data)}{where})"

    def _do_exit(self, manager: Thing, cause: Fault | None) -> str:
        if cause is None:
            return f"{self._say(manager)}.__exit__(None, None, None)"
        known = getattr(builtins, cause.class_name, None)
        is_error = isinstance(known, type) and issubclass(known, Exception)
        kind = cause.class_name if is_error else "RuntimeError"
        return f"{self._say(manager)}.__exit__({kind}, {kind}({cause.message!a}), None)"

    def _do_delete(self, target: Thing, name: str) -> str:
        return f"del {self._say(target)}.{name}"

    def _do_truncate(self, name: str, size: int) -> str:
        return f"os.truncate(path({name!a}), {size})"

    def _key(self, key: Any) -> str:
        return _span(key) if type(key) is slice else self._say(key)


def _span(part: slice) -> str:
    ends = ["" if end is None else repr(end) for end in (part.start, part.stop)]
    return ":".join(ends if part.step is None else [*ends, repr(part.step)])


def _things(value: Any, place: str) -> Any:
    """The objects inside plain data, each with the place it lies at."""
    kind = type(value)
    if kind is Thing:
        yield value, place
    elif kind in (list, tuple):
        for i, item in enumerate(value):
            yield from _things(item, f"{place}[{i}]")
    elif kind is dict:
        for key, item in value.items():
            if type(key) in (str, int):
                yield from _things(item, f"{place}[{key!r}]")
