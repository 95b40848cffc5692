"""Compile every kernel once, before the workers start, so that they share one warm cache."""

from __future__ import annotations

import pytest
from hypothesis import settings

import meridian

# A shared machine may stall any example; what matters is the result.
settings.register_profile("meridian", deadline=None)
settings.load_profile("meridian")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        meridian.warmup()
