"""A small driver for JupyterLab: what a learner does, as methods, without one ``sleep``.

`Server` starts the lab on a free port with settings of its own; `Lab` is the page object. Both
are context managers and leave nothing running.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from playwright.sync_api import Locator, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_S = 120.0
CELLS_S = 240.0
expect.set_options(timeout=60_000)  # a busy machine with cold caches


class LabStartError(RuntimeError):
    """The server ended, or was not reachable, before its time was up."""

    def __init__(self, command: Sequence[str], log: str) -> None:
        self.command = list(command)
        self.log = log
        super().__init__(f"No lab after {START_S:g} s from {' '.join(command)}\n{log[-4000:]}")


class Server:
    """JupyterLab on `root`, with its own home so that no setting of the machine leaks in."""

    def __init__(self, root: Path, home: Path, command: Sequence[str]) -> None:
        self.root = root
        self.home = home
        self.command = list(command)
        self.url = ""
        self.token = ""

    def __enter__(self) -> Server:
        self.home.mkdir(parents=True, exist_ok=True)
        runtime = self.home / "runtime"
        (self.home / "config").mkdir(exist_ok=True)
        (self.home / "config" / "jupyter_server_config.json").write_text(
            json.dumps({"LabApp": {"expose_app_in_browser": True}})  # for `Lab._command`
        )
        environment = os.environ | {
            "HOME": str(self.home),
            "IPYTHONDIR": str(self.home / "ipython"),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(self.home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.home / "workspaces"),
        }
        environment.pop("MERIDIAN_LAB", None)
        self._log = (self.home / "server.log").open("w+")
        self._process = subprocess.Popen(
            self.command,
            cwd=self.root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            self._wait_until_listening(runtime)
        except BaseException:
            self.close()
            raise
        return self

    def _wait_until_listening(self, runtime: Path) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            for path in runtime.glob("jpserver-*.json"):
                try:
                    info = json.loads(path.read_text())
                except ValueError:  # being written
                    continue
                self.url, self.token = info["url"], info["token"]
                return
            try:
                self._process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
        raise LabStartError(self.command, self.log())

    def log(self) -> str:
        return (self.home / "server.log").read_text()

    def close(self) -> None:
        """End the server and every kernel below it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def lab_command() -> list[str]:
    """`meridian lab` without a browser, on a port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [sys.executable, "-m", "meridian.academy", "lab", "--no-browser", f"--port={port}"]


class Lab:
    """One browser page on a running lab."""

    def __init__(self, page: Page, server: Server) -> None:
        self.page = page
        self.server = server
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, notebook: str) -> None:
        """Open a notebook by its path below the server's root and wait for its kernel."""
        self.page.goto(
            f"{self.server.url}lab/tree/{quote(notebook)}?token={self.server.token}&reset"
        )
        self.wait_ready(notebook)

    def edit(self, file: str) -> None:
        """Open a text file from the file browser, beside what is open, and go to its editor."""
        *folders, name = file.split("/")
        self.page.locator(".jp-BreadCrumbs-home").click()
        for part in (*folders, name):
            self.page.locator(".jp-DirListing-itemText", has_text=part).first.dblclick()
        self.page.locator(".jp-FileEditor .cm-content").click()

    def wait_ready(self, notebook: str) -> None:
        """Until the notebook of this path is in front and its kernel is idle."""
        name = notebook.rpartition("/")[2]
        tab = self.page.locator(".lm-DockPanel-tabBar .lm-mod-current", has_text=name)
        expect(tab).to_be_visible(timeout=START_S * 1000)
        expect(self.notebook).to_be_visible()
        self.wait_idle()

    def switch_to(self, notebook: str) -> None:
        """Bring the tab of an open notebook to the front."""
        name = notebook.rpartition("/")[2]
        self.page.locator(".lm-DockPanel-tabBar .lm-TabBar-tab", has_text=name).click()
        self.wait_ready(notebook)

    @property
    def notebook(self) -> Locator:
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait_idle(self, seconds: float = CELLS_S) -> None:
        """Until the kernel of the notebook in front is there, connected and idle."""
        self.page.wait_for_function(
            """() => {
                const context = window.jupyterapp?.shell?.currentWidget?.sessionContext;
                const kernel = context?.isReady ? context.session?.kernel : null;
                return kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
            }""",
            timeout=seconds * 1000,
        )

    def run_all(self, seconds: float = CELLS_S) -> None:
        """Run > Run All Cells, and wait until the last one is done or one has failed."""
        self._command("notebook:run-all-cells", seconds)

    def run_cell(self, source: str, seconds: float = CELLS_S) -> None:
        """Run the one cell whose source holds `source`."""
        self.cell(source).locator(".jp-InputPrompt").click()
        self._command("notebook:run-cell", seconds)

    def _command(self, name: str, seconds: float) -> None:
        """Have the lab perform what stands behind a menu entry, until it says that it is done.

        What the screen shows cannot tell: an idle kernel may not have begun, and a cell out of
        sight is not drawn.
        """
        self.wait_idle(seconds)  # without a kernel the lab would be done at once
        self.page.evaluate(
            """([name, ms]) => Promise.race([
                window.jupyterapp.commands.execute(name),
                new Promise((_, no) => setTimeout(() => no(`${name}: ${ms} ms are over`), ms)),
            ]).then(() => null)""",
            [name, seconds * 1000],
        )
        self.wait_idle(seconds)

    def cell(self, source: str) -> Locator:
        """The code cell whose source holds `source`."""
        return self.notebook.locator(".jp-CodeCell").filter(
            has=self.page.locator(".jp-InputArea", has_text=source)
        )

    def menu(self, *labels: str) -> None:
        """Walk the main menu: ``menu("Run", "Run All Cells")``."""
        first, *rest = labels
        self.page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{first}$")).click()
        for label in rest:
            item = self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{label}"))
            item.first.click()

    def theme(self, name: str) -> None:
        """Have the system ask for ``"dark"`` or ``"light"``, which the lab's theme follows."""
        self.page.emulate_media(color_scheme="dark" if name == "dark" else "light")
        expect(self.page.locator("body")).to_have_attribute(
            "data-jp-theme-light", "false" if name == "dark" else "true"
        )

    def save(self) -> None:
        """File > Save Notebook, and wait until the server has it."""
        self.menu("File", "Save Notebook")
        expect(
            self.page.locator(".lm-DockPanel-tabBar .lm-mod-current.jp-mod-dirty")
        ).to_have_count(0)

    def screenshot(self, path: Path, of: Locator | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        (of or self.page).screenshot(path=path)
        return path


@contextmanager
def browser_on(server: Server, *, width: int = 1280, height: int = 900) -> Iterator[Lab]:
    """A headless Chromium page on `server`; closed on exit, whatever happened."""
    assert CHROMIUM, "find Chromium before you ask for a page"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.set_default_timeout(60_000)
            yield Lab(page, server)
        finally:
            browser.close()
