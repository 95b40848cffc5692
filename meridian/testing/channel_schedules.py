"""Random schedules of sends, receives, cancellations and ends, and smaller ones of each."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from meridian.testing.channel_adapter import ChannelAdapter

__all__ = ["Action", "draw", "smaller"]


class Action(NamedTuple):
    """One line of a schedule: `what` is done, by or to the task of that number."""

    what: str
    which: int = 0

    def __str__(self) -> str:
        plain = self.what in ("close", "close receiver", "try recv")
        return self.what if plain else f"{self.what} {self.which}"


def draw(random: Random, adapter: type[ChannelAdapter]) -> list[Action]:
    """A schedule; some are greedy to send, others to receive, and some end early."""
    sending, receiving, cancelling, stepping = (random.choice((1, 2, 4)) for _ in range(4))
    kinds = {
        "send": sending,
        "recv": receiving,
        "cancel send": cancelling / 2,
        "cancel recv": cancelling / 2,
        "step": 2 * stepping,
        "try send": sending / 2 if adapter.can("try_send") else 0,
        "try recv": receiving / 2 if adapter.can("try_recv") else 0,
        "close": 0.1,
        "close receiver": 0.1 if adapter.can("close_receiver") else 0,
    }
    chosen = random.choices(list(kinds), list(kinds.values()), k=random.randint(3, 24))
    return [Action(what, _which(random, what, adapter)) for what in chosen]


def _which(random: Random, what: str, adapter: type[ChannelAdapter]) -> int:
    match what:
        case "step":
            return random.choice((1, 1, 1, 2, 3))
        case "send" | "try send" | "cancel send":
            return random.randrange(adapter.producers)
        case "recv" | "cancel recv":
            return random.randrange(adapter.consumers)
    return 0


def smaller(actions: list[Action]) -> Iterator[list[Action]]:
    """The schedule with parts left out, large parts first."""
    size = len(actions) // 2
    while size:
        for start in range(0, len(actions), size):
            yield actions[:start] + actions[start + size :]
        size //= 2
