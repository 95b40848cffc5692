"""JupyterLab as the course needs it: this folder, this Python, the course map, no pop-ups.

Everything is said by flags and variables of the one process, and what the server writes goes to
``.meridian/``: the user's own Jupyter files are read, never changed.
"""

from __future__ import annotations

import os
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import msgspec

from meridian.errors import MeridianError

__all__ = ["START_PAGE", "LabProcess", "NoFreePort", "PortInUse", "find_port", "lab_process"]

START_PAGE = "START HERE.ipynb"
SETTINGS = Path(__file__).parent / "settings"
_FIRST_PORT, _PORTS = 8888, 50


class PortInUse(MeridianError, OSError):
    """The port that was asked for belongs to another program."""

    def __init__(self, port: int, reason: str) -> None:
        self.port = port
        super().__init__(
            f"Port {port} cannot be used: {reason}. Leave out --port to take the first free one"
        )


class NoFreePort(MeridianError, OSError):
    """None of the ports that are tried is free."""

    def __init__(self, first: int, last: int) -> None:
        self.first = first
        self.last = last
        super().__init__(
            f"No port from {first} to {last} is free. Stop a program that holds one, "
            "or name another with --port"
        )


class LabProcess(msgspec.Struct, frozen=True):
    """How to start the server. `url` carries the token that lets a browser in."""

    argv: tuple[str, ...]
    env: dict[str, str]
    url: str


def find_port(wanted: int | None = None) -> int:
    """`wanted`, or the first free port from 8888. Raises `PortInUse` or `NoFreePort`."""
    if wanted is not None:
        _bind(wanted)
        return wanted
    for port in range(_FIRST_PORT, _FIRST_PORT + _PORTS):
        try:
            _bind(port)
        except PortInUse:
            continue
        return port
    raise NoFreePort(_FIRST_PORT, _FIRST_PORT + _PORTS - 1)


def _bind(port: int) -> None:
    """Try the port as the server will: on the loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except (OSError, OverflowError) as error:
            raise PortInUse(port, getattr(error, "strerror", None) or str(error)) from error


def lab_process(
    root: Path,
    port: int,
    *,
    browser: bool = True,
    token: str | None = None,
    env: Mapping[str, str] | None = None,
) -> LabProcess:
    """Flags and variables that start the lab at `root` on `port`.

    `token` defaults to a fresh random one. It travels in a variable, because every user of the
    machine can read a command line.
    """
    token = token or secrets.token_urlsafe(24)
    own = root / ".meridian" / "jupyterlab"
    page = f"/lab/tree/{quote(START_PAGE)}" if (root / START_PAGE).is_file() else "/lab"
    flags = {
        "ServerApp.root_dir": str(root),
        "ServerApp.preferred_dir": str(root),
        "ServerApp.ip": "127.0.0.1",
        "ServerApp.port": str(port),
        "ServerApp.port_retries": "0",  # the URL is already printed
        "ServerApp.open_browser": str(browser),
        "ServerApp.default_url": page,
        "Application.log_level": "ERROR",
        "LabApp.default_url": page,
        "LabApp.app_settings_dir": str(SETTINGS),
        "KernelManager.transport_encryption": "auto",
        "ContentsManager.pre_save_hook": "meridian.academy.widgets.saved.pre_save_hook",
        "LabApp.workspaces_dir": str(own / "workspaces"),
        "LabApp.extension_manager": "readonly",  # and no request to a package index either
        "LabApp.news_url": "None",
        "LabApp.check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
    }
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        flags["ServerApp.allow_root"] = "True"  # a container or a bare machine has no other user
    variables = {
        **(os.environ if env is None else env),
        "JUPYTER_TOKEN": token,
        "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's
        "MERIDIAN_LAB": str(root),
    }
    argv = (sys.executable, "-m", "jupyterlab", *(f"--{k}={v}" for k, v in flags.items()))
    return LabProcess(argv, variables, f"http://127.0.0.1:{port}{page}?token={token}")
