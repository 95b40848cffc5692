"""A runtime that has started, for the tests of what it does and how it ends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from meridian.foundation.tasks import (
    Runtime,
    RuntimeConfig,
    runtime,
)


@pytest.fixture
def rt(anyio_backend: str) -> Iterator[Runtime]:
    with Runtime(RuntimeConfig(backend=anyio_backend, blocking_threads=2)) as started:
        yield started
    assert not started._thread.is_alive()
    assert started._outstanding == set()


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_GRACE_S", 0.1)
