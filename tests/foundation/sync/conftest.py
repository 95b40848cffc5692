"""Fixtures of the tests of locks."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.foundation.sync.rwlock_rig import Threads


@pytest.fixture
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def threads() -> Iterator[Threads]:
    threads = Threads()
    yield threads
    threads.join()
