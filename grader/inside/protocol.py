"""How the judge and the submission talk: length-prefixed msgpack that only ever holds plain data.

This file is read by both sides, so it imports nothing but the standard library and msgspec.
A frame is a little-endian u32 length and that many bytes. The two sides speak in turn:

    judge     question  [id, [released handles], operation, list of arguments]
              reply     [callback, whether it raised, value]
    worker    hello     [0, value]     sent once, before the first question
              answer    [id, value]
              call      [id, callback, value]     calls a function of the judge

Every frame of the judge is followed by one frame of the worker: the answer to the question that
was asked last and has none yet, or a call made while it is out. The judge follows a call by its
reply, or first by questions of its own. Values are those of `values`. The decoder believes
nothing: a frame that does not follow this page is a `ProtocolViolation`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from grader.inside.values import (
    Handle,
    ProtocolViolation,
    Raised,
    Refer,
    Resolve,
    Sent,
    Tag,
    flatten,
    unflatten,
)

__all__ = [
    "HEADER",
    "MAX_ITEMS",
    "MAX_QUESTION_BYTES",
    "VERSION",
    "Call",
    "Handle",
    "ProtocolViolation",
    "Question",
    "Raised",
    "Reply",
    "Sent",
    "Tag",
    "decode_answer",
    "decode_heard",
    "encode",
    "flatten",
    "frame",
    "unflatten",
]

VERSION = 2
HEADER = struct.Struct("<I")
MAX_QUESTION_BYTES = 256 * 2**20
MAX_ITEMS = 2_000_000
"""Values in one answer: a byte on the wire can stand for a hundred in memory."""

_SMALL_BYTES = 1 << 12
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class Call(NamedTuple):
    """The submission calls a function of the judge."""

    callback: int
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class Question(NamedTuple):
    """What the worker hears when it is asked; the arguments are not yet decoded."""

    number: int
    released: list[int]
    operation: str
    arguments: list[Any]


class Reply(NamedTuple):
    """What the worker hears after a call; the value is not yet decoded."""

    callback: int
    raised: bool
    value: Any


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


def decode_heard(payload: bytes) -> Question | Reply:
    """What the judge said, taken apart by the worker, which trusts it."""
    parts = _decode(payload)
    if len(parts) == 3:
        return Reply(*parts)
    number, released, operation, (_, arguments) = parts
    return Question(number, released, operation, arguments)


def decode_answer(payload: bytes, expected: int, resolve: Resolve) -> Any:
    """The value answered to question `expected`, or a `Call` made while it is out.

    `resolve` makes the judge's side of a `Handle`. Raises `ProtocolViolation` for anything else,
    whatever the bytes are.
    """
    if len(payload) > _SMALL_BYTES:
        _check_size(payload)
    try:
        answer = _decode(payload)
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError, MemoryError) as error:
        raise ProtocolViolation(f"not msgpack ({type(error).__name__})") from None
    if type(answer) is not list or len(answer) not in (2, 3):
        raise ProtocolViolation("not [id, value]")
    if type(answer[0]) is not int or answer[0] != expected:
        raise ProtocolViolation("answers a question that was not asked")
    try:
        value = unflatten(answer[-1], resolve)
    except RecursionError:
        raise ProtocolViolation("nested too deeply") from None
    return value if len(answer) == 2 else _call(answer[1], value)


def _call(callback: Any, value: Any) -> Call:
    if type(callback) is not int or type(value) is not tuple or len(value) != 2:
        raise ProtocolViolation("a call that is none")
    arguments, keywords = value
    if type(arguments) is not tuple or type(keywords) is not dict:
        raise ProtocolViolation("a call without arguments")
    if not all(type(name) is str for name in keywords):
        raise ProtocolViolation("a call with keywords that are none")
    return Call(callback, arguments, keywords)


def _widths() -> bytes:
    """By first byte of a msgpack value, how many bytes to the next one; 0 where a length follows.

    The items of a container are values of their own, so only its head is stepped over.
    """
    widths = bytearray([1]) * 256
    for head in range(0xA0, 0xC0):  # short text
        widths[head] = 1 + (head & 0x1F)
    for head in (0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xD9, 0xDA, 0xDB):
        widths[head] = 0
    fixed = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5}
    fixed |= {0xD3: 9, 0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}
    fixed |= {0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
    for head, width in fixed.items():
        widths[head] = width
    return bytes(widths)


_WIDTHS = _widths()
_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_MAPS = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})
_EXTENSIONS = (0xC7, 0xC8, 0xC9)


def _check_size(payload: bytes) -> None:
    """Refuse more values than the judge has room for, before any of them is made."""
    at, count, end = 0, 0, len(payload)
    while at < end:
        count += 1
        if count > MAX_ITEMS:
            raise ProtocolViolation(f"more than {MAX_ITEMS:,} values")
        head = payload[at]
        if head in _MAPS:  # building one may take the square of its keys
            raise ProtocolViolation("dict where a value was due")
        width = _WIDTHS[head]
        if not width:
            size = _LENGTH_BYTES[head]
            length = int.from_bytes(payload[at + 1 : at + 1 + size], "big")
            width = 1 + size + length + (head in _EXTENSIONS)
        at += width
