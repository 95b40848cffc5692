"""Importing costs nothing: heavy libraries are loaded by the code that needs them, when it runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"numba", "numpy", "matplotlib", "pandas", "ipywidgets", "IPython", "jupyterlab"}
LIGHT = [
    "meridian",
    "meridian.errors",
    "meridian.clock",
    "meridian.fs",
    "meridian.orbital",
    "meridian.testing",
    "meridian.foundation",
    "meridian.foundation.channels",
    "meridian.foundation.profiling",
    "meridian.foundation.sync",
    "meridian.foundation.tasks",
    "meridian.database",
    "meridian.database.btree",
    "meridian.database.lsm",
    "meridian.database.storage",
    "meridian.academy",
    "meridian.academy.cli",
    "meridian.academy.curriculum",
    "meridian.academy.progress",
    "meridian.academy.quiz",
    "meridian.academy.widgets",
    "grader",
    "grader.cli",
]


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after `statement`."""
    code = f"{statement}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("module", LIGHT)
def test_importing_loads_nothing_heavy(module: str) -> None:
    assert loaded_by(f"import {module}") & HEAVY == set()


def test_the_check_sees_what_is_loaded() -> None:
    assert loaded_by("import meridian.orbital.tle") & HEAVY == {"numpy"}


def test_arrays_do_not_load_the_compiler() -> None:
    modules = ("tle", "catalog", "propagation", "elements")
    loaded = loaded_by("\n".join(f"import meridian.orbital.{name}" for name in modules))
    assert loaded & HEAVY == {"numpy"}
    assert "sgp4" not in loaded_by("import meridian.orbital.tle, meridian.orbital.catalog")


def test_warming_up_an_unknown_track_names_the_known_ones() -> None:
    import meridian

    with pytest.raises(ValueError, match="No kernels in 'databse'; tracks with kernels: database"):
        meridian.warmup("databse")
    with pytest.raises(ValueError, match="tracks with kernels: database, foundation, orbital"):
        meridian.warmup("pipelines")
