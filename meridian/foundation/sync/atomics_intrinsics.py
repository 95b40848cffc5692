"""What the compiler makes of the functions in `atomics`: LLVM's own atomic instructions.

A memory order is a numba type of its own, so it is known when a kernel is compiled, also where it
reaches an operation as an argument. An order that an operation cannot have is a typing error.
LLVM never removes or hoists an atomic access, which it does with a plain one: a loop that waits
for an ordinary array element to change never ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending as _extending
from numba.core import cgutils as _cgutils
from numba.core import imputils as _imputils
from numba.core import types as _types
from numba.core.errors import TypingError
from numba.core.typing import templates as _templates

from meridian.foundation.sync.atomics_orders import Order, OrderMeta, objection

__all__ = ["OrderType", "register"]

cgutils: Any = _cgutils  # numba carries no annotations for these
extending: Any = _extending
imputils: Any = _imputils
templates: Any = _templates
types: Any = _types

RMW = {
    "fetch_add": "add",
    "fetch_sub": "sub",
    "fetch_and": "and",
    "fetch_or": "or",
    "fetch_xor": "xor",
    "fetch_max": "max",
    "fetch_min": "min",
    "swap": "xchg",
}
_LLVM = {order: order.value for order in Order} | {Order.RELAXED: "monotonic"}
_WORD_BYTES = 8


# -- orders as types -----------------------------------------------------------------------------


class OrderType(types.Type):  # type: ignore[misc]
    """The type of one memory order; it has that one value, which takes no room."""

    def __init__(self, order: Order) -> None:
        self.order = order
        super().__init__(name=f"Order.{order.name}")


class OrderClassType(types.Type):  # type: ignore[misc]
    """The type of the class `Order`, from which kernels take orders by name."""

    def __init__(self) -> None:
        super().__init__(name="class(Order)")


class _Members(templates.AttributeTemplate):  # type: ignore[misc]
    key = OrderClassType

    def generic_resolve(self, _class: OrderClassType, name: str) -> OrderType | None:
        return OrderType(Order[name]) if name in Order.__members__ else None


def _no_value(context: Any, *_: Any) -> Any:
    return context.get_dummy_value()


for _type in (OrderType, OrderClassType):
    extending.register_model(_type)(extending.models.OpaqueModel)
    imputils.lower_constant(_type)(_no_value)
extending.typeof_impl.register(Order)(lambda order, _context: OrderType(order))
extending.typeof_impl.register(OrderMeta)(lambda _class, _context: OrderClassType())
extending.infer_getattr(_Members)
imputils.lower_getattr_generic(OrderClassType)(_no_value)
extending.unbox(OrderType)(lambda _type, _value, c: extending.NativeValue(_no_value(c.context)))


# -- what is refused -----------------------------------------------------------------------------


def _check_order(operation: str, order: Any) -> None:
    if not isinstance(order, OrderType):
        raise TypingError(
            f"{operation}: expected the order as a constant such as Order.SEQ_CST, got {order}"
        )
    reason = objection(operation, order.order)
    if reason:
        raise TypingError(reason)


def _check_cell(operation: str, array: Any, index: Any, *, writes: bool = True) -> None:
    if not (isinstance(array, types.Array) and array.ndim == 1 and array.dtype == types.int64):
        raise TypingError(f"{operation}: expected a one-dimensional int64 array, got {array}")
    if writes and not array.mutable:
        raise TypingError(f"{operation}: expected a writable array, got {array}")
    if not isinstance(index, types.Integer):
        raise TypingError(f"{operation}: expected an integer index, got {index}")


def _check_value(operation: str, value: Any) -> None:
    if not isinstance(value, types.Integer):
        raise TypingError(f"{operation}: expected an integer: convert it with int(), got {value}")


# -- what is typed how ---------------------------------------------------------------------------


def _type_load(array: Any, index: Any, order: Any) -> Any:
    _check_cell("load", array, index, writes=False)
    _check_order("load", order)
    return types.int64


def _type_store(array: Any, index: Any, value: Any, order: Any) -> Any:
    _check_cell("store", array, index)
    _check_value("store", value)
    _check_order("store", order)
    return types.none


def _type_compare_exchange(
    array: Any, index: Any, expected: Any, new: Any, success: Any, failure: Any
) -> Any:
    _check_cell("compare_exchange", array, index)
    _check_value("compare_exchange", expected)
    _check_value("compare_exchange", new)
    _check_order("compare_exchange", success)
    _check_order("failed compare_exchange", failure)
    return types.Tuple((types.int64, types.boolean))


def _type_fence(order: Any) -> Any:
    _check_order("fence", order)
    return types.none


def _type_rmw(name: str) -> Callable[..., Any]:
    def typer(array: Any, index: Any, value: Any, order: Any) -> Any:
        _check_cell(name, array, index)
        _check_value(name, value)
        _check_order(name, order)
        return types.int64

    return typer


# -- what is emitted -----------------------------------------------------------------------------


def _cell(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    """The address of element ``args[1]`` of array ``args[0]``; the index is not checked."""
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, args[0])
    index = context.cast(builder, args[1], signature.args[1], types.intp)
    return cgutils.get_item_pointer(context, builder, array_type, array, [index], wraparound=False)


def _word(context: Any, builder: Any, signature: Any, args: Any, position: int) -> Any:
    return context.cast(builder, args[position], signature.args[position], types.int64)


def _order(signature: Any, position: int = -1) -> str:
    return _LLVM[signature.args[position].order]


def _emit_load(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    cell = _cell(context, builder, signature, args)
    return builder.load_atomic(cell, _order(signature), _WORD_BYTES, typ=ir.IntType(64))


def _emit_store(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    value = _word(context, builder, signature, args, 2)
    cell = _cell(context, builder, signature, args)
    builder.store_atomic(value, cell, _order(signature), _WORD_BYTES)
    return context.get_dummy_value()


def _emit_rmw(operation: str) -> Callable[..., Any]:
    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = _word(context, builder, signature, args, 2)
        cell = _cell(context, builder, signature, args)
        return builder.atomic_rmw(operation, cell, value, _order(signature))

    return emit


def _emit_compare_exchange(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    expected = _word(context, builder, signature, args, 2)
    new = _word(context, builder, signature, args, 3)
    cell = _cell(context, builder, signature, args)
    success, failure = _order(signature, 4), _order(signature, 5)
    pair = builder.cmpxchg(cell, expected, new, success, failure)
    old, ok = builder.extract_value(pair, 0), builder.extract_value(pair, 1)
    ok = context.cast(builder, ok, types.boolean, types.boolean)
    return context.make_tuple(builder, signature.return_type, (old, ok))


def _emit_fence(context: Any, builder: Any, signature: Any, _args: Any) -> Any:
    builder.fence(_order(signature))
    return context.get_dummy_value()


# -- which function is which ---------------------------------------------------------------------


def register(functions: Iterable[Callable[..., Any]]) -> None:
    """Let kernels call `functions`, which are known by their names."""
    integer = types.Integer
    word = (types.Array, integer, integer)
    known = {
        "load": (_type_load, _emit_load, (types.Array, integer, OrderType)),
        "store": (_type_store, _emit_store, (*word, OrderType)),
        "compare_exchange": (
            _type_compare_exchange,
            _emit_compare_exchange,
            (*word, integer, OrderType, OrderType),
        ),
        "fence": (_type_fence, _emit_fence, (OrderType,)),
    }
    for name, operation in RMW.items():
        known[name] = (_type_rmw(name), _emit_rmw(operation), (*word, OrderType))
    for function in functions:
        typer, emit, arguments = known[function.__name__]
        extending.type_callable(function)(lambda _context, typer=typer: typer)
        extending.lower_builtin(function, *arguments)(emit)
