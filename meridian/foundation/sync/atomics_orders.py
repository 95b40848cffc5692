"""Memory orders, and which operation may have which. The model is that of C++20 and LLVM."""

from __future__ import annotations

import enum

from meridian.errors import MeridianError

__all__ = ["IllegalOrder", "Order", "objection"]


class OrderMeta(enum.EnumMeta):
    """A type of its own, by which the compiler tells `Order` from other enums."""


class Order(enum.Enum, metaclass=OrderMeta):
    """What an atomic operation promises about the memory around it, weakest first.

    RELAXED orders nothing but the cell itself. A load that ACQUIREs sees all that came before the
    RELEASE store whose value it reads. ACQ_REL is both, for an operation that reads and writes.
    All SEQ_CST operations of all threads stand in one order besides.
    """

    RELAXED = "relaxed"
    ACQUIRE = "acquire"
    RELEASE = "release"
    ACQ_REL = "acq_rel"
    SEQ_CST = "seq_cst"


_ILLEGAL: dict[str, tuple[tuple[Order, ...], str]] = {
    "load": (
        (Order.RELEASE, Order.ACQ_REL),
        "a load publishes nothing: use ACQUIRE, RELAXED or SEQ_CST",
    ),
    "store": (
        (Order.ACQUIRE, Order.ACQ_REL),
        "a store sees nothing: use RELEASE, RELAXED or SEQ_CST",
    ),
    "failed compare_exchange": (
        (Order.RELEASE, Order.ACQ_REL),
        "it is a load only: use ACQUIRE, RELAXED or SEQ_CST for failure",
    ),
    "fence": ((Order.RELAXED,), "it would do nothing: use ACQUIRE, RELEASE, ACQ_REL or SEQ_CST"),
}
_NOTHING: tuple[tuple[Order, ...], str] = ((), "")


def objection(operation: str, order: Order) -> str | None:
    """Why `operation` may not have this order and which ones it may, or ``None``."""
    orders, fix = _ILLEGAL.get(operation, _NOTHING)
    return f"A {operation} cannot be {order.name}: {fix}" if order in orders else None


class IllegalOrder(MeridianError, ValueError):
    """An atomic operation was given a memory order that it cannot have."""

    def __init__(self, operation: str, order: Order) -> None:
        self.operation = operation
        self.order = order
        super().__init__(objection(operation, order) or f"A {operation} may be {order.name}")
