"""How JupyterLab names a file of the lab: by its path below the folder that the server shows."""

from __future__ import annotations

import json
import os
from pathlib import Path

__all__ = ["server_path", "server_root"]


def server_root(default: Path) -> Path:
    """The folder JupyterLab serves, or `default` when no server that we know started this kernel.

    A kernel learns the server's process id from ``JPY_PARENT_PID``; the server keeps a file of
    that name in Jupyter's runtime folder.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    parent = os.environ.get("JPY_PARENT_PID", "")
    info = Path(jupyter_runtime_dir(), f"jpserver-{parent}.json")
    try:
        return Path(json.loads(info.read_text(encoding="utf-8"))["root_dir"])
    except (OSError, ValueError, KeyError, TypeError):
        return default


def server_path(path: Path, default_root: Path) -> str | None:
    """`path` as JupyterLab's commands want it; ``None`` when it lies outside what is served."""
    root = server_root(default_root).resolve()
    path = path.resolve()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None
