"""Plain data as Python source: short, exact, and inert whatever a submission put into it."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from grader.judging.transcript import Thing

__all__ = ["Literals", "Unwritable"]

_MAX_PLAIN_BYTES = 48
_MAX_INLINE_CHARS = 64
_MAX_DIGITS = 4_000


class Unwritable(Exception):
    """A value or a question that has no source form."""


class Literals:
    """Writes values; `name_of` gives the expression of an object, `noise` the seeds of bytes.

    Long bytes get a name, once, in `data`: those lines come before the calls.
    """

    def __init__(
        self, name_of: Callable[[Thing], str], folder: str, noise: Mapping[bytes, int]
    ) -> None:
        self._name_of = name_of
        self._folder = folder
        self._noise = noise
        self._named: dict[bytes, str] = {}
        self.data: list[str] = []

    def __call__(self, value: Any) -> str:
        """`value` as an expression. Raises `Unwritable`."""
        kind = type(value)
        if kind is Thing:
            return self._name_of(value)
        if value is None or kind is bool:
            return repr(value)
        if kind is int:
            return hex(value) if abs(value) >> (3 * _MAX_DIGITS) else repr(value)
        if kind is float:
            return repr(value) if math.isfinite(value) else f'float("{value}")'
        if kind is str:
            return self._text(value)
        if kind is bytes:
            return self._bytes(value)
        if kind is list:
            return f"[{self._items(value)}]"
        if kind is tuple:
            return f"({self._items(value)}{',' if len(value) == 1 else ''})"
        if kind is dict:
            pairs = (f"{self(key)}: {self(item)}" for key, item in value.items())
            return f"{{{', '.join(pairs)}}}"
        if kind is complex:
            return f"complex({self(value.real)}, {self(value.imag)})"
        if kind in (set, frozenset):
            return f"{kind.__name__}([{self._items(sorted(value, key=repr))}])"
        if kind.__name__ == "ndarray" and hasattr(value, "tobytes"):
            return self._array(value)
        if kind is slice:
            return f"slice({self(value.start)}, {self(value.stop)}, {self(value.step)})"
        raise Unwritable(kind.__name__)

    def _array(self, value: Any) -> str:
        if value.dtype.hasobject:
            raise Unwritable("an array of objects")
        kind = value.dtype.descr if value.dtype.names else value.dtype.str
        data = self(value.tobytes())
        return f"numpy.frombuffer({data}, {kind!r}).reshape({value.shape!r}).copy()"

    def _items(self, values: Any) -> str:
        return ", ".join(map(self, values))

    def _text(self, value: str) -> str:
        if value.startswith(f"{self._folder}/") and self._folder not in value[1:]:
            return f"path({value[len(self._folder) + 1 :]!a})"
        return " + FOLDER + ".join(map(ascii, value.split(self._folder)))

    def _bytes(self, value: bytes) -> str:
        if value in self._named:
            return self._named[value]
        text = self._spelled(value)
        if len(text) <= _MAX_INLINE_CHARS:
            return text
        name = self._named[value] = f"data_{len(self._named) + 1}"
        self.data.append(f"{name} = {text}")
        return name

    def _spelled(self, value: bytes) -> str:
        if len(value) <= _MAX_PLAIN_BYTES:
            return repr(value)
        if value == value[:1] * len(value):
            return f"{value[:1]!r} * {len(value)}" if value[0] else f"bytes({len(value)})"
        for known, seed in self._noise.items():
            at = value.find(known)
            if at >= 0:
                parts = (value[:at], value[at + len(known) :])
                left, right = (self._spelled(part) if part else "" for part in parts)
                made = f"noise({seed}, {len(known)})"
                return " + ".join(part for part in (left, made, right) if part)
        return f'unpacked("{base64.b85encode(zlib.compress(value, 9)).decode()}")'
