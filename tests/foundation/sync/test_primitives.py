"""The bundle: four makers, frozen, and the real one works."""

from __future__ import annotations

import threading
import time
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from meridian.foundation import sync
from meridian.foundation.sync.primitives import THREADING, Primitives, PrimitivesLike


def test_the_bundle_holds_the_four_makers_and_nothing_else() -> None:
    assert [field.name for field in fields(Primitives)] == [
        "Lock",
        "Condition",
        "Thread",
        "monotonic_ns",
    ]
    assert sync.Primitives is Primitives
    assert sync.THREADING is THREADING


def test_the_real_bundle_is_the_standard_library() -> None:
    assert THREADING.Lock is threading.Lock
    assert THREADING.Condition is threading.Condition
    assert THREADING.Thread is threading.Thread
    assert THREADING.monotonic_ns is time.monotonic_ns


def test_a_bundle_is_frozen_and_one_part_is_swapped_by_replace() -> None:
    with pytest.raises(FrozenInstanceError):
        THREADING.Lock = threading.Lock  # type: ignore[misc]
    stopped = replace(THREADING, monotonic_ns=lambda: 7)
    assert stopped.monotonic_ns() == 7
    assert stopped.Lock is THREADING.Lock


def hand_over(primitives: PrimitivesLike) -> list[int]:
    """A value goes from one thread to another through what the bundle makes."""
    lock = primitives.Lock()
    ready = primitives.Condition(lock)
    box: list[int] = []

    def give() -> None:
        with lock:
            box.append(41)
            ready.notify()

    giver = primitives.Thread(target=give, name="giver")
    with lock:
        giver.start()
        while not box:
            assert ready.wait(30)
        box[0] += 1
    giver.join(30)
    assert not giver.is_alive()
    return box


def test_a_value_goes_from_thread_to_thread() -> None:
    assert hand_over(THREADING) == [42]
