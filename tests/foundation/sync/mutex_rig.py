"""What the tests of the mutex share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from meridian.foundation.sync.mutex import (
    Mutex,
)

__all__ = ["in_thread", "poison"]


def in_thread(*bodies: Callable[[], object]) -> list[BaseException]:
    """Run each in a thread of its own, all at once; what they raised."""
    errors: list[BaseException] = []

    def guarded(body: Callable[[], object]) -> None:
        try:
            body()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "hangs"
    return errors


def poison(mutex: Mutex[Any]) -> None:
    with pytest.raises(KeyError), mutex.lock():
        raise KeyError("half done")
