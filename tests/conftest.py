"""Compile every kernel once, before the workers start, so that they share one warm cache."""

from __future__ import annotations

import pytest

import meridian


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        meridian.warmup()
