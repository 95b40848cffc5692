"""`lab`: JupyterLab on the course map."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from meridian.academy.commands.shared import console


def lab(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port to listen on; default: the first free one from 8888."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser, or only say the URL.")
    ] = True,
) -> None:
    """Open JupyterLab on the course map. Works offline.

    \b
    Example:    meridian lab
    Remote:     meridian lab --no-browser --port 8890

    The server listens on this machine only. Your own Jupyter settings are used but not changed.
    What comes next: run START HERE.ipynb; it names the first lesson. Ctrl+C twice stops the lab.
    """
    from meridian.academy.curriculum import lab_root
    from meridian.academy.lab import find_port, lab_process

    root = lab_root()
    process = lab_process(root, find_port(port), browser=browser)
    out = console()
    out.print(f"The lab in {root} opens at", markup=False, soft_wrap=True)
    out.print(f"  {process.url}", markup=False, soft_wrap=True)
    out.print("Ctrl+C twice stops it.")
    sys.stdout.flush()
    os.chdir(root)
    os.execve(process.argv[0], process.argv, process.env)  # signals then reach the server itself
