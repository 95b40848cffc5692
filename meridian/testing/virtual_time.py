"""Virtual time for pytest: a test that sleeps for an hour takes none, on asyncio and on trio.

One line in a ``conftest.py``, or in the module of tests itself::

    from meridian.testing.virtual_time import anyio_backend as anyio_backend
    from meridian.testing.virtual_time import virtual_time as virtual_time

and every test that is marked ``anyio`` runs on both backends; those that ask for `virtual_time`
(as an argument, or by ``pytest.mark.usefixtures``) on clocks that jump. Without pytest, such as in
a notebook, there is `run_virtual`.

Threads do not move virtual time: while a task waits for its worker thread, timers strike at once.
"""

from __future__ import annotations

from typing import Any

import pytest

from meridian.testing.virtual_loop import BACKENDS, run_virtual, virtual_options

__all__ = ["anyio_backend", "run_virtual", "virtual_time"]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> str | tuple[str, dict[str, Any]]:
    """Both backends by name; with options for a test that asks for `virtual_time`."""
    name = str(request.param)
    return (name, virtual_options(name)) if "virtual_time" in request.fixturenames else name


@pytest.fixture
def virtual_time(anyio_backend: object) -> None:
    """This test's loop jumps to the next timer whenever every task waits."""
    if isinstance(anyio_backend, str):
        raise pytest.UsageError(
            "virtual_time needs its own anyio_backend: "
            "from meridian.testing.virtual_time import anyio_backend, virtual_time"
        )
