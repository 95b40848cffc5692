"""What a broker refuses, each by the name of the reason."""

from __future__ import annotations

from meridian.errors import MeridianError

__all__ = ["BrokerElsewhere", "BrokerUsed", "HandlerNameTaken", "UnknownHandler"]


class BrokerUsed(MeridianError, RuntimeError):
    """A broker serves once: it is serving, or it has served."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"Cannot {what}: this broker serves already, or has ended; make a new one")


class BrokerElsewhere(MeridianError, RuntimeError):
    """Handlers of a broker that serves were to be changed outside the thread of its loop."""

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(f"Cannot {what} in this thread: do so in the loop that the broker is in")


class HandlerNameTaken(MeridianError, ValueError):
    """Two handlers were to have one name, by which they are counted, logged and stopped."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"A handler named {name!r} is there: unsubscribe it, or choose another")


class UnknownHandler(MeridianError, KeyError):
    """A handler was to be stopped that is not there."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self.known = known
        there = f"there are {', '.join(map(repr, known))}" if known else "there is none"
        super().__init__(f"No handler {name!r}: {there}")
