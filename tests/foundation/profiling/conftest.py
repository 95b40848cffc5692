"""Virtual time for the benchmark engine: no test here depends on how fast the machine is."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest


class VirtualTime:
    """A timer that moves only when simulated work is done."""

    def __init__(self) -> None:
        self.now = 100.0
        self.reads = 0

    def __call__(self) -> float:
        self.reads += 1
        return self.now

    def work(self, cost_s: float | Callable[[], float]) -> Callable[[], None]:
        """A function that takes `cost_s` seconds of this time per call."""

        def call() -> None:
            self.now += cost_s() if callable(cost_s) else cost_s

        return call


@pytest.fixture
def time_() -> VirtualTime:
    return VirtualTime()


@pytest.fixture(autouse=True)
def _collector_state_is_kept() -> Iterator[None]:
    """Whatever a test does, the garbage collector must be left as it was found."""
    before = gc.isenabled()
    yield
    after = gc.isenabled()
    gc.enable() if before else gc.disable()
    assert after == before
