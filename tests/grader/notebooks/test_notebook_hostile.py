"""Hostile cells: forged messages, spoiled kernels, cells that never end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.grader.notebooks.cells import cell, found, notebook, value

HOSTILE = {
    "markup": """
from IPython.display import HTML, SVG, Javascript, display
display(HTML("<script>alert(1)</script>"), Javascript("alert(1)"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"))
raise ValueError("<script>alert(1)</script>\x1b]0;title\x07")
""",
    "widgets": """
kernel = get_ipython().kernel
state = {"application/vnd.jupyter.widget-state+json": {"state": {"a": {}}, "version_major": 2}}
for kind in ("comm_open", "comm_msg", "comm_close"):
    content = {"comm_id": "1", "target_name": "jupyter.widget", "data": state}
    kernel.session.send(kernel.iopub_socket, kind, content)
""",
    "displays": """
from IPython.display import clear_output, display
handle = display("one", display_id=True)
handle.update({"a": [[[]]]})
clear_output(wait=True)
display({"image/png": "A" * 300_000, 7: 8}, raw=True)
""",
    "forged": """
import json
kernel = get_ipython().kernel
socket, session = kernel.iopub_socket, kernel.session
parent = kernel.get_parent()
for content in ({}, [], "x", None, {"name": 3, "text": []}, {"data": {"text/plain": {"a": 1}}}):
    for kind in ("stream", "display_data", "execute_result", "error", "status", "clear_output",
                 "update_display_data", "no_such_thing"):
        session.send(socket, kind, content, parent=parent)
session.send(socket, "stream", {"name": "stdout", "text": "\ud800"}, parent={"msg_id": "another"})
for frames in ([b""], [b"x"] * 9, [b"<IDS|MSG>"], [b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"{}"]):
    socket.send_multipart(frames)
deep = b"[" * 50_000
signed = session.sign([b"{}", b"{}", b"{}", deep])
socket.send_multipart([b"<IDS|MSG>", signed, b"{}", b"{}", b"{}", deep])
odd = b'{"msg_type": "stream", "msg_id": "\xff"}'
socket.send_multipart([b"<IDS|MSG>", session.sign([odd] * 4), *[odd] * 4])
""",
    "idle_early": """
import time
kernel = get_ipython().kernel
parent = kernel.get_parent()
kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
time.sleep(0.2)
""",
    "asks": "input('your key, please: ')",
    "shell": "%system ls /\n!id",
    "raises_exit": "raise SystemExit(0)",
    "interrupts": "raise KeyboardInterrupt",
    "odd_exception": """
class Odd(Exception):
    def __str__(self): raise ValueError
raise Odd
""",
}

ERRORS = {"markup", "asks", "raises_exit", "interrupts", "odd_exception"}


def test_hostile_cells_never_trouble_the_judge(run: Any, toy: Any) -> None:
    master, submitted = [], []
    for name, source in HOSTILE.items():
        theirs = cell(name, "pass", theirs=True)
        master += [theirs, cell(f"after_{name}", "1 + 1", value("2"))]
        submitted.append({**theirs, "source": source})
    report = run(master, notebook(*submitted))
    outcomes = found(report)
    # A shell is not in every box; what came of forged messages is the learner's own affair.
    unsure = {"shell", "forged"}
    assert {name: outcomes[name] for name in HOSTILE if name not in unsure} == {
        name: "error" if name in ERRORS else "passed" for name in HOSTILE if name not in unsure
    }
    assert {outcomes[f"after_{name}"] for name in HOSTILE} == {"passed"}
    page = (toy.out / "feedback.html").read_text()
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "source",
    ["exit()", "import builtins\nbuiltins.compile = builtins.exec = builtins.print = None"],
)
def test_a_kernel_that_was_spoiled_ends_with_outcomes(run: Any, source: str) -> None:
    master = [cell("theirs", "pass", theirs=True), cell("after", "1 + 1", value("2"))]
    outcomes = found(run(master, notebook(cell("theirs", source, theirs=True)), cell_s=3.0))
    assert set(outcomes) == {"theirs", "after"}
    assert outcomes["after"] in ("passed", "failed", "error", "timeout", "crashed")


UNPLUGGED = """
import glob, os
for name in glob.glob("k-*"):
    os.unlink(name)
get_ipython().kernel.iopub_socket.close()
get_ipython().kernel.shell_stream.close()
"""
DEAF = """
import signal, time
for number in (2, 15):
    signal.signal(number, signal.SIG_IGN)
time.sleep(1000)
"""
DAEMON = "import os, time\nif os.fork() == 0:\n    time.sleep(1000)\nos._exit(0)"
DEEP = "import sys\nsys.setrecursionlimit(10**9)\ndef f(): f()\nf()"
FATAL: dict[str, tuple[str, set[str]]] = {
    "one_huge_message": ("print('x' * 30_000_000)", {"output"}),
    "sockets_taken_away": (UNPLUGGED, {"output", "timeout", "crashed"}),
    "stopped": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", {"timeout"}),
    "deaf": (DEAF, {"timeout"}),
    "memory": ("a = bytearray(1 << 40)", {"error"}),
    "deep": (DEEP, {"crashed", "error", "memory", "timeout"}),
    "a_daemon": (DAEMON, {"crashed"}),
}


@pytest.mark.parametrize("name", FATAL)
def test_a_fatal_cell_has_its_outcome_and_the_others_theirs(run: Any, name: str) -> None:
    source, outcomes = FATAL[name]
    master = [cell("theirs", "pass", theirs=True), cell("after", "1 + 1", value("2"))]
    report = run(master, notebook(cell("theirs", source, theirs=True)), cell_s=3.0)
    assert found(report)["theirs"] in outcomes
    assert found(report)["after"] == "passed"
