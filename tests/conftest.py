"""Compile every kernel once, before the workers start, so that they share one warm cache; let
the workers take the longest files first."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import settings

import meridian

ROOT = Path(__file__).parents[1]

# A shared machine may stall any example; what matters is the result.
settings.register_profile("meridian", deadline=None)
settings.load_profile("meridian")

LONG_FILES = (
    "tests/grader/test_attacks.py",
    "tests/grader/acceptance/test_storage.py",
    "tests/grader/acceptance/test_btree.py",
    "tests/grader/acceptance/test_tasks_mutants.py",
    "tests/grader/acceptance/test_lsm_mutants.py",
    "tests/grader/acceptance/test_lsm.py",
    "tests/grader/acceptance/test_sync.py",
    "tests/grader/acceptance/test_sync_mutants.py",
    "tests/grader/acceptance/test_tasks.py",
    "tests/grader/acceptance/test_channels.py",
    "tests/grader/cohort/test_kill.py",
    "tests/lab/test_screen.py",
    "tests/foundation/channels/test_spsc.py",
    "tests/grader/test_walkthrough.py",
    "tests/lab/test_journey.py",
    "tests/benchmarks/test_graders.py",
    "tests/grader/cohort/test_run.py",
    "tests/grader/notebooks/test_notebook_hostile.py",
    "tests/grader/cohort/test_storage.py",
    "tests/grader/cohort/test_cluster.py",
    "tests/academy/test_lab_server.py",
    "tests/grader/notebooks/test_notebook_restarts.py",
    "notebooks/database/01-storage/lesson-02-buffer-pool.ipynb",
    "tests/grader/authoring/test_prove.py",
    "tests/grader/test_attacks_racing.py",
    "tests/grader/box/test_limits.py",
    "tests/grader/cohort/test_races.py",
    "solutions/database/01-storage/capstone.ipynb",
    "notebooks/database/01-storage/lesson-01-page-layout.ipynb",
    "tests/grader/cohort/test_scale_page.py",
)
"""Files of tests that take more than ten seconds, longest first."""


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput") and not config.option.collectonly:
        _warm_up()
    config.option.loadscopereorder = False  # xdist hands out files in the order made below


def _warm_up() -> None:
    """Compile all kernels in two processes: cold, it takes half a minute of one."""
    modules = [module for track in meridian._KERNELS.values() for module in track]
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name).warmup()"
    other = subprocess.Popen([sys.executable, "-c", code, *modules[::2]])
    for name in modules[1::2]:
        import_module(name).warmup()
    if other.wait():
        raise RuntimeError(f"Compiling {', '.join(modules[::2])} failed: see above")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On a worker: the longest files first, then those with the most tests.

    A run ends when its last file does. By the number of tests alone, which is what xdist goes by,
    a file of one long test would start last and run while the other workers have nothing to do.
    """
    if not hasattr(config, "workerinput"):
        return
    ranks = {ROOT / name: rank for rank, name in enumerate(LONG_FILES)}
    count = Counter(item.path for item in items)
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), -count[item.path]))
