"""What asking without waiting answers: a value, not yet, or never again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar, final

__all__ = ["CLOSED", "PENDING", "Closed", "Pending", "Ready", "Selectable"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@final
class Ready(Generic[T_co]):
    """There is a value, and the asker has it now."""

    __slots__ = ("value",)
    __match_args__ = ("value",)

    def __init__(self, value: T_co) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ready) and bool(self.value == other.value)

    def __hash__(self) -> int:
        return hash((Ready, self.value))

    def __repr__(self) -> str:
        return f"Ready({self.value!r})"


@final
class Pending:
    """Nothing yet. Whoever answers so has promised to wake the asker. The one is `PENDING`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "PENDING"


@final
class Closed:
    """Nothing, and there will never be anything. The one is `CLOSED`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "CLOSED"


PENDING: Final = Pending()
CLOSED: Final = Closed()


class Selectable(Protocol[T_co]):
    """What `select` can wait for: asked first, taken from only when chosen.

    A waiter that was called and then takes nothing passes its call on when it is removed, so
    that a value never lies beside somebody who waits for it.
    """

    def try_take(self) -> Ready[T_co] | Pending | Closed:
        """Take what is there, at once."""
        ...

    def add_waiter(self, wake: Callable[[], object]) -> Callable[[], object]:
        """Call `wake`, in this thread's loop, when asking again helps; at once if it does now.

        The result takes the waiter off. `wake` may be called more than once, and in vain. Taking
        off twice is harmless.
        """
        ...
