"""How JupyterLab is started: this folder, this Python, no pop-ups, no file of the user changed."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import pytest

import meridian.academy.lab as lab
from meridian.academy.lab import NoFreePort, PortInUse, find_port, lab_process


@pytest.fixture
def taken() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        yield server.getsockname()[1]


def flags(argv: tuple[str, ...]) -> dict[str, str]:
    assert argv[:3] == (sys.executable, "-m", "jupyterlab")
    return dict(flag.removeprefix("--").split("=", 1) for flag in argv[3:])


def test_the_start_page_opens_in_the_lab_folder(tmp_path: Path) -> None:
    (tmp_path / lab.START_PAGE).touch()
    process = lab_process(tmp_path, 8890, browser=False, token="secret", env={"HOME": "/h"})
    given = flags(process.argv)
    assert process.url == "http://127.0.0.1:8890/lab/tree/START%20HERE.ipynb?token=secret"
    assert given["ServerApp.root_dir"] == str(tmp_path)
    assert given["ServerApp.port"] == "8890"
    assert given["ServerApp.open_browser"] == "False"
    assert given["ServerApp.ip"] == "127.0.0.1"
    assert process.env["MERIDIAN_LAB"] == str(tmp_path)
    assert process.env["HOME"] == "/h"


def test_the_token_is_random_and_not_on_the_command_line(tmp_path: Path) -> None:
    one, two = lab_process(tmp_path, 8890), lab_process(tmp_path, 8890)
    token = one.env["JUPYTER_TOKEN"]
    assert token != two.env["JUPYTER_TOKEN"]
    assert len(token) >= 24
    assert one.url.endswith(f"?token={token}")
    assert not any(token in flag for flag in one.argv)


def test_without_a_start_page_the_lab_still_opens(tmp_path: Path) -> None:
    assert lab_process(tmp_path, 8890, token="t").url == "http://127.0.0.1:8890/lab?token=t"


def test_news_and_updates_are_off_and_layouts_stay_in_the_lab(tmp_path: Path) -> None:
    given = flags(lab_process(tmp_path, 8890).argv)
    settings = json.loads((Path(given["LabApp.app_settings_dir"]) / "overrides.json").read_text())
    notices = settings["@jupyterlab/apputils-extension:notification"]
    assert notices == {"checkForUpdates": False, "fetchNews": "false"}
    assert given["LabApp.check_for_updates_class"] == "jupyterlab.NeverCheckForUpdate"
    assert given["LabApp.workspaces_dir"].startswith(str(tmp_path / ".meridian"))


def test_every_flag_is_one_that_jupyterlab_knows(tmp_path: Path) -> None:
    from jupyter_client.manager import KernelManager
    from jupyter_server.serverapp import ServerApp
    from jupyter_server.services.contents.manager import ContentsManager
    from jupyterlab.labapp import LabApp
    from traitlets.config import Application

    known = {
        c.__name__: c for c in (LabApp, ServerApp, ContentsManager, KernelManager, Application)
    }
    for flag in flags(lab_process(tmp_path, 8890).argv):
        owner, name = flag.split(".")
        assert known[owner].class_traits(config=True).get(name) is not None, flag


def test_every_setting_is_one_that_jupyterlab_knows() -> None:
    from jupyterlab.commands import get_app_dir

    for plugin, settings in json.loads((lab.SETTINGS / "overrides.json").read_text()).items():
        package, name = plugin.split(":")
        schema = Path(get_app_dir()) / "schemas" / package / f"{name}.json"
        properties = json.loads(schema.read_text())["properties"]
        assert set(settings) <= set(properties)


def test_a_taken_port_is_said(taken: int) -> None:
    with pytest.raises(PortInUse, match=rf"Port {taken} cannot be used: .*Leave out --port"):
        find_port(taken)
    with pytest.raises(PortInUse):
        find_port(70_000)


def test_the_first_free_port_is_taken(taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab, "_FIRST_PORT", taken)
    monkeypatch.setattr(lab, "_PORTS", 20)
    assert taken < find_port() < taken + 20
    monkeypatch.setattr(lab, "_PORTS", 1)
    with pytest.raises(NoFreePort, match="Stop a program that holds one"):
        find_port()
