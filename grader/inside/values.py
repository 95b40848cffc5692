"""Values as trees of scalars and tagged lists, with their exact type, and back.

``None``, ``bool``, ``float``, ``str``, ``bytes`` and ints of 64 bits are themselves; everything
else is a list that opens with a `Tag`, so nothing can pose as another type. An object that is not
plain data never travels: it stays in the worker under a handle. The way back believes nothing.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from grader.inside.arrays import array_of, parts_of, scalar_of

__all__ = ["Handle", "ProtocolViolation", "Raised", "Sent", "Tag", "flatten", "unflatten"]

MAX_DEPTH = 100
_MAX_NAME_CHARS = 200
_MAX_MESSAGE_CHARS = 4_000
_MAX_MRO = 64
_MAX_GROUP = 64
_MANY = 64
_MAX_EQUAL_HASHES = 64
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
    RAISED = 8  # the fields of `Raised`
    SET = 9
    FROZENSET = 10
    ARRAY = 11  # dtype, shape, bytes: see grader.inside.arrays
    NUMBER = 12  # a NumPy scalar: dtype, bytes
    CALLBACK = 13  # judge to worker: id, whether awaited
    BUILTIN = 14  # judge to worker: name of a class of builtins
    ERROR = 15  # judge to worker: name of an exception class of builtins, arguments


_SENT = frozenset({Tag.REFERENCE, Tag.CALLBACK, Tag.BUILTIN, Tag.ERROR})


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
    """An exception that left a call: names and plain data only.

    `where` is ``"page.py:41"``, `cause` what it was raised from, `group` the members of an
    exception group, `number` by what name the worker remembers it (0: not).
    """

    class_name: str
    mro: tuple[str, ...]
    message: str
    fields: dict[str, Any]
    where: str
    cause: Raised | None = None
    group: tuple[Raised, ...] = ()
    number: int = 0


class Sent(NamedTuple):
    """What only the judge may send: a reference to an object, a callback, a class, an exception."""

    tag: Tag
    parts: list[Any]


_KINDS = frozenset({"object", "buffer", "tuple", "record", "enum"})

Refer = Callable[[Any], list[Any]]
Resolve = Callable[[Handle | Sent], Any]


def flatten(value: Any, refer: Refer, *, careful: bool = False, depth: int = MAX_DEPTH) -> Any:
    """The tree that stands for `value`; `refer` turns what is not plain into a tagged list.

    `careful` also wraps the scalars that msgpack lacks: ints beyond 64 bits and lone surrogates.
    Raises `RecursionError` for data that is nested deeper than `depth` or contains itself.
    """
    kind = type(value)
    if kind in _SCALARS:
        return _careful_scalar(value) if careful else value
    if not depth:
        raise RecursionError(f"Data nested deeper than {MAX_DEPTH} levels")
    if kind in _SEQUENCES:
        tag = int(_SEQUENCES[kind])
        if not careful and _SCALARS.issuperset(map(type, value)):
            return [tag, list(value)]
        return [tag, [flatten(item, refer, careful=careful, depth=depth - 1) for item in value]]
    if kind is dict:
        items = [item for pair in value.items() for item in pair]
        return [
            int(Tag.DICT),
            [flatten(item, refer, careful=careful, depth=depth - 1) for item in items],
        ]
    if kind is slice:
        ends = [value.start, value.stop, value.step]
        return [int(Tag.SLICE), [flatten(e, refer, careful=careful, depth=depth - 1) for e in ends]]
    if kind is Raised:
        return [
            int(Tag.RAISED),
            value.class_name,
            list(value.mro),
            flatten(value.message, refer, careful=careful),
            flatten(value.fields, refer, careful=careful, depth=depth - 1),
            value.where,
            flatten(value.cause, refer, careful=careful, depth=depth - 1),
            [flatten(member, refer, careful=careful, depth=depth - 1) for member in value.group],
            value.number,
        ]
    array = parts_of(value)
    if array is None:
        return refer(value)
    dtype, shape, data = array
    return [int(Tag.NUMBER), dtype, data] if shape is None else [int(Tag.ARRAY), dtype, shape, data]


_SEQUENCES: dict[type, Tag] = {
    list: Tag.LIST,
    tuple: Tag.TUPLE,
    set: Tag.SET,
    frozenset: Tag.FROZENSET,
}


def _careful_scalar(value: Any) -> Any:
    if type(value) is int and not -(2**63) <= value < 2**64:
        return [int(Tag.BIG_INT), hex(value)]
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            return [int(Tag.TEXT), value.encode("utf-8", "surrogatepass")]
    return value


def unflatten(tree: Any, resolve: Resolve, depth: int = MAX_DEPTH) -> Any:
    """The inverse of `flatten`; `resolve` receives a `Handle`, or what the judge `Sent`.

    Raises `ProtocolViolation` for any other tree.
    """
    kind = type(tree)
    if kind in _SCALARS:
        return tree
    if kind is not list or not tree or type(tree[0]) is not int:
        raise ProtocolViolation(f"{kind.__name__} where a value was due")
    if not depth:
        raise ProtocolViolation("nested too deeply")
    tag, rest = tree[0], tree[1:]
    if tag in _MANY_OF:
        items = _one(rest, list)
        if not _SCALARS.issuperset(map(type, items)):
            items = [unflatten(item, resolve, depth - 1) for item in items]
        return _MANY_OF[tag](items)
    if tag in _SIMPLE:
        return _SIMPLE[tag](rest)
    if tag == Tag.SLICE:
        parts = [unflatten(part, resolve, depth - 1) for part in _one(rest, list)]
        if len(parts) != 3:
            raise ProtocolViolation("a slice has three parts")
        return slice(*parts)
    if tag == Tag.HANDLE:
        return resolve(_handle(rest, resolve, depth - 1))
    if tag == Tag.RAISED:
        return _raised(rest, resolve, depth - 1)
    if tag in _SENT:
        return resolve(Sent(Tag(tag), rest))
    raise ProtocolViolation(f"unknown tag {tag}")


def _one(rest: list[Any], kind: type) -> Any:
    if len(rest) != 1 or type(rest[0]) is not kind:
        raise ProtocolViolation(f"a {kind.__name__} was due")
    return rest[0]


def _mapping(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise ProtocolViolation("a key without a value")
    keys = items[::2]
    _check_keys(keys)
    found = dict(zip(keys, items[1::2], strict=True))
    if len(found) != len(keys):
        raise ProtocolViolation("a key twice")
    return found


def _collection(kind: type) -> Callable[[list[Any]], Any]:
    def collect(items: list[Any]) -> Any:
        _check_keys(items)
        found = kind(items)
        if len(found) != len(items):
            raise ProtocolViolation("a set with an element twice")
        return found

    return collect


def _check_keys(keys: list[Any]) -> None:
    """Every key has a hash, and not too many the same one: looking them up would take for ever."""
    try:
        hashes = list(map(hash, keys))
    except (TypeError, RecursionError):
        raise ProtocolViolation("a key that cannot be hashed") from None
    if len(keys) > _MANY and max(Counter(hashes).values()) > _MAX_EQUAL_HASHES:
        raise ProtocolViolation("keys chosen to collide")


def _big_int(rest: list[Any]) -> int:
    try:
        return int(_one(rest, str), 16)
    except ValueError:
        raise ProtocolViolation("a number that is none") from None


def _text(rest: list[Any]) -> str:
    try:
        return str(_one(rest, bytes), "utf-8", "surrogatepass")
    except UnicodeDecodeError:
        raise ProtocolViolation("text that is not UTF-8") from None


def _numpy(make: Callable[..., Any], parts: int) -> Callable[[list[Any]], Any]:
    def build(rest: list[Any]) -> Any:
        if len(rest) != parts:
            raise ProtocolViolation("an array without its parts")
        try:
            return make(*rest)
        except ValueError as error:
            raise ProtocolViolation(str(error)) from None

    return build


_MANY_OF: dict[int, Callable[[list[Any]], Any]] = {
    Tag.LIST: list,
    Tag.TUPLE: tuple,
    Tag.DICT: _mapping,
    Tag.SET: _collection(set),
    Tag.FROZENSET: _collection(frozenset),
}
_SIMPLE: dict[int, Callable[[list[Any]], Any]] = {
    Tag.BIG_INT: _big_int,
    Tag.TEXT: _text,
    Tag.ARRAY: _numpy(array_of, 3),
    Tag.NUMBER: _numpy(scalar_of, 2),
}


def _handle(rest: list[Any], resolve: Resolve, depth: int) -> Handle:
    if len(rest) != 4:
        raise ProtocolViolation("a handle has four parts")
    number, class_name, kind, fields = rest
    if (type(number), type(class_name), type(kind)) != (int, str, str) or kind not in _KINDS:
        raise ProtocolViolation("a handle that is none")
    snapshot = None if fields is None else _fields(fields, resolve, depth)
    return Handle(number, class_name[:_MAX_NAME_CHARS], kind, snapshot)


def _raised(rest: list[Any], resolve: Resolve, depth: int) -> Raised:
    if len(rest) != 8 or [type(rest[i]) for i in (0, 1, 4, 6, 7)] != [str, list, str, list, int]:
        raise ProtocolViolation("an exception that is none")
    names = rest[1][:_MAX_MRO]
    message = unflatten(rest[2], resolve, depth)
    cause = unflatten(rest[5], resolve, depth)
    group = [unflatten(member, resolve, depth) for member in rest[6][:_MAX_GROUP]]
    if not all(type(name) is str for name in names) or type(message) is not str:
        raise ProtocolViolation("an exception without names")
    if type(cause) not in (type(None), Raised) or not all(type(one) is Raised for one in group):
        raise ProtocolViolation("a cause that is no exception")
    return Raised(
        rest[0][:_MAX_NAME_CHARS],
        tuple(name[:_MAX_NAME_CHARS] for name in names),
        message[:_MAX_MESSAGE_CHARS],
        _fields(rest[3], resolve, depth),
        rest[4][:_MAX_NAME_CHARS],
        cause,
        tuple(group),
        rest[7],
    )


def _fields(tree: Any, resolve: Resolve, depth: int) -> dict[str, Any]:
    fields = unflatten(tree, resolve, depth)
    if type(fields) is not dict or not all(type(name) is str for name in fields):
        raise ProtocolViolation("fields without names")
    return fields
