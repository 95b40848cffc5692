"""What the tests of the reader-writer lock share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal

import pytest

__all__ = ["Preference", "Threads", "both", "here", "until"]

Preference = Literal["writer", "fair"]


both = pytest.mark.parametrize("prefer", ["writer", "fair"])


class Threads:
    """Threads that are joined, and whose errors are kept."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.threads: list[threading.Thread] = []

    def start(self, *bodies: Callable[[], object]) -> None:
        for body in bodies:
            self.threads.append(threading.Thread(target=self._guarded, args=(body,)))
            self.threads[-1].start()

    def _guarded(self, body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:
            self.errors.append(error)

    def join(self) -> list[BaseException]:
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "hangs"
        return self.errors


def until(condition: Callable[[], object]) -> None:
    """Wait for another thread's step: every loop gives it a turn."""
    while not condition():
        threading.Event().wait(0.0005)


def here(body: Callable[[], object]) -> list[BaseException]:
    """What it raises in a thread of its own."""
    threads = Threads()
    threads.start(body)
    return threads.join()
