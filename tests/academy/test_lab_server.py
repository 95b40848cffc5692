"""The lab started for real, asked over HTTP: who may in, what it shows, what it writes where."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

START_S = 60.0


class Server(NamedTuple):
    """A running lab: its address without a path, its token, its folder and its user's home."""

    url: str
    token: str
    root: Path
    home: Path

    def ask(self, path: str, *, token: str | None = None, body: object = None) -> Any:
        """GET `path`, or PUT `body` there, with the right token unless another is given."""
        request = urllib.request.Request(
            self.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token if token is None else token}"},
            method="GET" if body is None else "PUT",
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            answer = response.read()
        return json.loads(answer) if answer else None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    (root / "curriculum.toml").touch()
    (root / "START HERE.ipynb").write_text(
        json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    )
    rogue = home / ".local/share/jupyter/kernels/python3/kernel.json"
    rogue.parent.mkdir(parents=True)
    rogue.write_text('{"argv": ["false"], "display_name": "Not ours", "language": "python"}')
    env = {k: v for k, v in os.environ.items() if not k.startswith(("JUPYTER", "MERIDIAN"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "meridian.academy", "lab", "--no-browser"],
        cwd=root,
        env={**env, "HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = "".join(process.stdout.readline() for _ in range(3))
        found = re.search(
            r"(http://127\.0\.0\.1:\d+)/lab/tree/START%20HERE\.ipynb\?token=(\S+)", said
        )
        assert found, said
        running = Server(found[1], found[2], root, home)
        deadline = time.monotonic() + START_S
        while True:
            try:
                running.ask("/api/status")
                break
            except urllib.error.URLError:
                assert time.monotonic() < deadline, "the lab does not answer"
                assert process.poll() is None, process.stdout.read()
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.1)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def test_the_lab_opens_the_folder_of_the_course(server: Server) -> None:
    assert "START HERE.ipynb" in [item["name"] for item in server.ask("/api/contents")["content"]]


def test_nobody_comes_in_without_the_token(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.ask("/api/contents", token="guess")
    assert refused.value.code == 403
    refused.value.close()


def test_the_kernel_is_of_this_python_and_not_one_that_the_user_has_installed(
    server: Server,
) -> None:
    specs = server.ask("/api/kernelspecs")
    assert specs["default"] == "python3"
    assert specs["kernelspecs"]["python3"]["spec"]["display_name"] == "Python 3 (ipykernel)"


def test_no_news_and_no_updates(server: Server) -> None:
    notices = server.ask("/lab/api/settings/@jupyterlab/apputils-extension:notification")
    defaults = {key: rule["default"] for key, rule in notices["schema"]["properties"].items()}
    assert defaults["fetchNews"] == "false"
    assert defaults["checkForUpdates"] is False


def test_a_saved_notebook_keeps_the_picture_and_not_the_dead_widget(server: Server) -> None:
    data = {
        "application/vnd.jupyter.widget-view+json": {"model_id": "gone"},
        "text/html": "<svg></svg>",
    }
    cell = {
        "cell_type": "code",
        "id": "a",
        "source": "",
        "execution_count": 1,
        "metadata": {},
        "outputs": [{"output_type": "display_data", "data": data, "metadata": {}}],
    }
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    server.ask("/api/contents/mine.ipynb", body={"type": "notebook", "content": notebook})
    saved = json.loads((server.root / "mine.ipynb").read_text())
    assert list(saved["cells"][0]["outputs"][0]["data"]) == ["text/html"]


def test_settings_and_layouts_of_the_user_are_not_written(server: Server) -> None:
    server.ask("/lab/api/workspaces/default", body={"data": {}, "metadata": {"id": "default"}})
    assert not (server.home / ".jupyter").exists()
    assert list((server.root / ".meridian" / "jupyterlab" / "workspaces").iterdir())


def test_the_first_screen_has_no_pop_up_and_asks_nothing_of_the_internet(server: Server) -> None:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    from playwright.sync_api import expect, sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"]
    arguments += ["--disable-background-networking", "--disable-component-update"]
    asked: set[str] = set()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page()
        page.on("request", lambda request: asked.add(request.url))
        page.goto(f"{server.url}/lab/tree/START%20HERE.ipynb?token={server.token}")
        notebook = page.get_by_role("tab", name="START HERE.ipynb")
        expect(notebook).to_be_visible(timeout=60_000)
        expect(page.locator("#jupyterlab-splash")).to_have_count(0, timeout=60_000)
        expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
        expect(page.locator(".jp-Dialog")).to_have_count(0)
        expect(page.locator(".Toastify__toast")).to_have_count(0)
        browser.close()
    here = (server.url, server.url.replace("http", "ws", 1), "data:", "blob:")
    assert {url for url in asked if not url.startswith(here)} == set()
