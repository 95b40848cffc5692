"""The demo of criterion 8, run in the worker: what it prints, and when.

Hostile code could tamper with what is noted.
"""

from __future__ import annotations

import builtins
import contextlib
import io
from typing import Any
from unittest.mock import patch

import anyio


async def demo(kit: Any, package: Any) -> tuple[list[Any], list[tuple[float, str]]]:
    """The report of `run_demo`, and what it gives to `print`, with the seconds since its start.

    Not to stdout: that is the worker's, and changes hands whenever the loop rests.
    """
    start_s = anyio.current_time()
    lines: list[tuple[float, str]] = []

    def note(*values: object, **_options: object) -> None:
        lines.append((anyio.current_time() - start_s, " ".join(map(str, values))))

    with patch.object(builtins, "print", note):
        report = await package.run_demo()
    return kit.fields(report), lines


def command(package: Any, backend: str) -> int:
    """The exit status of the command."""
    with contextlib.redirect_stdout(io.StringIO()):
        status: int = package.main(["--backend", backend])
    return status
