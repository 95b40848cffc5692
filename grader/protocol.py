"""How the judge and the submission talk: length-prefixed msgpack that only ever holds plain data.

This file is read by both sides, so it imports nothing but the standard library and msgspec.

One question is out at a time. A frame is a little-endian u32 length and that many bytes:

    question  [id, [released handles], operation, list of arguments]
    answer    [id, value]
    hello     [0, value]     sent once, before the first question

Values keep their exact type. ``None``, ``bool``, ``float``, ``str``, ``bytes`` and ints of 64 bits
are themselves; everything else is a list that opens with a tag, so nothing can pose as another
type. An object that is not plain data never travels: it stays in the worker under a handle.
The decoder believes nothing: a frame that does not follow this page is a `ProtocolViolation`.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

__all__ = [
    "HEADER",
    "MAX_QUESTION_BYTES",
    "VERSION",
    "Handle",
    "ProtocolViolation",
    "Raised",
    "Tag",
    "decode_answer",
    "decode_question",
    "encode",
    "flatten",
    "frame",
    "unflatten",
]

VERSION = 1
HEADER = struct.Struct("<I")
MAX_QUESTION_BYTES = 256 * 2**20

_MAX_NAME_CHARS = 200
_MAX_MESSAGE_CHARS = 4_000
_MAX_MRO = 64
_SCALARS = frozenset({type(None), bool, int, float, str, bytes})


class Tag(enum.IntEnum):
    """First element of every value that is not a scalar."""

    LIST = 0
    TUPLE = 1
    DICT = 2
    BIG_INT = 3  # hexadecimal text
    TEXT = 4  # UTF-8 with lone surrogates
    SLICE = 5
    HANDLE = 6  # worker to judge: id, class name, kind, snapshot of fields or None
    REFERENCE = 7  # judge to worker: id
    RAISED = 8  # class name, names of the MRO, message, plain fields, where


class ProtocolViolation(Exception):
    """The other side sent something this protocol does not have."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"Broken answer: {reason}")


class Handle(NamedTuple):
    """An object that stayed in the worker.

    `kind` is ``"object"``, ``"buffer"`` (bytes-like), ``"tuple"`` (a NamedTuple), ``"record"`` (a
    frozen dataclass) or ``"enum"``; `fields` is a snapshot of plain fields, or ``None``.
    """

    id: int
    class_name: str
    kind: str
    fields: dict[str, Any] | None


class Raised(NamedTuple):
    """An exception that left a call: names and plain data only; `where` is ``"page.py:41"``."""

    class_name: str
    mro: tuple[str, ...]
    message: str
    fields: dict[str, Any]
    where: str


_KINDS = frozenset({"object", "buffer", "tuple", "record", "enum"})
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode

Refer = Callable[[Any], list[Any]]
Resolve = Callable[[Any], Any]


def frame(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return HEADER.pack(len(payload)) + payload


def encode(
    head: list[Any], value: Any, refer: Refer, undo: Callable[[], None] | None = None
) -> bytes:
    """msgpack of ``[*head, flattened value]``; `refer` turns what is not plain into a tagged list.

    `undo` forgets what `refer` did, before all of it is done again with more care. Raises
    `RecursionError` for data that is nested too deeply or contains itself.
    """
    try:
        return _encode([*head, flatten(value, refer)])
    except (OverflowError, UnicodeEncodeError):  # rare: wide ints, lone surrogates
        if undo is not None:
            undo()
        return _encode([*head, flatten(value, refer, careful=True)])


def flatten(value: Any, refer: Refer, *, careful: bool = False) -> Any:
    """The tree of scalars and tagged lists that stands for `value`.

    `careful` also wraps the scalars that msgpack lacks: ints beyond 64 bits and lone surrogates.
    """
    kind = type(value)
    if kind in _SCALARS:
        return _careful_scalar(value) if careful else value
    if kind is list or kind is tuple:
        tag = int(Tag.LIST if kind is list else Tag.TUPLE)
        if not careful and _SCALARS.issuperset(map(type, value)):
            return [tag, value]
        return [tag, [flatten(item, refer, careful=careful) for item in value]]
    if kind is dict:
        pairs = []
        for key, item in value.items():
            pairs.append(flatten(key, refer, careful=careful))
            pairs.append(flatten(item, refer, careful=careful))
        return [int(Tag.DICT), pairs]
    if kind is slice:
        parts = [value.start, value.stop, value.step]
        return [int(Tag.SLICE), [flatten(part, refer, careful=careful) for part in parts]]
    if kind is Raised:
        return [
            int(Tag.RAISED),
            value.class_name,
            list(value.mro),
            flatten(value.message, refer, careful=careful),
            flatten(value.fields, refer, careful=careful),
            value.where,
        ]
    return refer(value)


def _careful_scalar(value: Any) -> Any:
    if type(value) is int and not -(2**63) <= value < 2**64:
        return [int(Tag.BIG_INT), hex(value)]
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return [int(Tag.TEXT), value.encode("utf-8", "surrogatepass")]
    return value


def decode_question(payload: bytes) -> tuple[int, list[int], str, list[Any]]:
    """Taken apart by the worker, which trusts the judge."""
    number, released, operation, (_, arguments) = _decode(payload)
    return number, released, operation, arguments


def decode_answer(payload: bytes, expected: int, resolve: Resolve) -> Any:
    """The value answered to question `expected`; `resolve` makes the judge's side of a `Handle`.

    Raises `ProtocolViolation` for anything else, whatever the bytes are.
    """
    try:
        answer = _decode(payload)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise ProtocolViolation(f"not msgpack ({type(error).__name__})") from None
    if type(answer) is not list or len(answer) != 2:
        raise ProtocolViolation("not [id, value]")
    if type(answer[0]) is not int or answer[0] != expected:
        raise ProtocolViolation("answers a question that was not asked")
    try:
        return unflatten(answer[1], resolve)
    except RecursionError:
        raise ProtocolViolation("nested too deeply") from None


def unflatten(tree: Any, resolve: Resolve) -> Any:
    """The inverse of `flatten`; `resolve` receives a `Handle` or an int (a reference)."""
    kind = type(tree)
    if kind in _SCALARS:
        return tree
    if kind is not list or not tree or type(tree[0]) is not int:
        raise ProtocolViolation(f"{kind.__name__} where a value was due")
    tag, rest = tree[0], tree[1:]
    if tag in (Tag.LIST, Tag.TUPLE):
        items = _one(rest, list)
        if not _SCALARS.issuperset(map(type, items)):
            items = [unflatten(item, resolve) for item in items]
        return items if tag == Tag.LIST else tuple(items)
    if tag == Tag.DICT:
        return _mapping(_one(rest, list), resolve)
    if tag == Tag.BIG_INT:
        return _big_int(_one(rest, str))
    if tag == Tag.TEXT:
        return _text(_one(rest, bytes))
    if tag == Tag.SLICE:
        parts = [unflatten(part, resolve) for part in _one(rest, list)]
        if len(parts) != 3:
            raise ProtocolViolation("a slice has three parts")
        return slice(*parts)
    if tag == Tag.HANDLE:
        return resolve(_handle(rest, resolve))
    if tag == Tag.REFERENCE:
        return resolve(_one(rest, int))
    if tag == Tag.RAISED:
        return _raised(rest, resolve)
    raise ProtocolViolation(f"unknown tag {tag}")


def _one(rest: list[Any], kind: type) -> Any:
    if len(rest) != 1 or type(rest[0]) is not kind:
        raise ProtocolViolation(f"a {kind.__name__} was due")
    return rest[0]


def _mapping(pairs: list[Any], resolve: Resolve) -> dict[Any, Any]:
    if len(pairs) % 2:
        raise ProtocolViolation("a key without a value")
    decoded = [unflatten(item, resolve) for item in pairs]
    try:
        return dict(zip(decoded[::2], decoded[1::2], strict=True))
    except TypeError:
        raise ProtocolViolation("a key that cannot be hashed") from None


def _big_int(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise ProtocolViolation("a number that is none") from None


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise ProtocolViolation("text that is not UTF-8") from None


def _handle(rest: list[Any], resolve: Resolve) -> Handle:
    if len(rest) != 4:
        raise ProtocolViolation("a handle has four parts")
    number, class_name, kind, fields = rest
    if (type(number), type(class_name), type(kind)) != (int, str, str) or kind not in _KINDS:
        raise ProtocolViolation("a handle that is none")
    snapshot = None if fields is None else _fields(fields, resolve)
    return Handle(number, class_name[:_MAX_NAME_CHARS], kind, snapshot)


def _raised(rest: list[Any], resolve: Resolve) -> Raised:
    if len(rest) != 5 or [type(rest[i]) for i in (0, 1, 4)] != [str, list, str]:
        raise ProtocolViolation("an exception that is none")
    names = rest[1][:_MAX_MRO]
    message = unflatten(rest[2], resolve)
    if not all(type(name) is str for name in names) or type(message) is not str:
        raise ProtocolViolation("an exception without names")
    return Raised(
        rest[0][:_MAX_NAME_CHARS],
        tuple(name[:_MAX_NAME_CHARS] for name in names),
        message[:_MAX_MESSAGE_CHARS],
        _fields(rest[3], resolve),
        rest[4][:_MAX_NAME_CHARS],
    )


def _fields(tree: Any, resolve: Resolve) -> dict[str, Any]:
    fields = unflatten(tree, resolve)
    if type(fields) is not dict or not all(type(name) is str for name in fields):
        raise ProtocolViolation("fields without names")
    return fields
