"""The drawing of the error tree in `meridian.errors` is the tree there is."""

from __future__ import annotations

import json
import subprocess
import sys

import meridian.errors

FIRST = "    MeridianError"

# In an interpreter of its own: importing everything would load kernels and plots into this one.
COLLECT = """
import importlib, json, pkgutil
import grader, meridian
from meridian.errors import MeridianError

for package in (meridian, grader):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        last = module.name.rsplit(".")[-1]
        if last != "__main__" and not last.startswith("test_"):
            importlib.import_module(module.name)

def tree(cls):
    ours = [c for c in cls.__subclasses__() if c.__module__.split(".")[0] in ("meridian", "grader")]
    return {c.__name__: tree(c) for c in sorted(ours, key=lambda c: c.__name__)}

print(json.dumps(tree(MeridianError)))
"""

Tree = dict[str, "Tree"]


def drawn(tree: Tree, indent: str = "") -> list[str]:
    lines = []
    for i, (name, below) in enumerate(tree.items()):
        last = i == len(tree) - 1
        lines.append(f"{indent}{'└── ' if last else '├── '}{name}")
        lines += drawn(below, indent + ("    " if last else "│   "))
    return lines


def test_the_drawing_is_the_tree() -> None:
    command = [sys.executable, "-c", COLLECT]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    expected = ["MeridianError", *drawn(json.loads(run.stdout))]
    lines = (meridian.errors.__doc__ or "").splitlines()
    stands = [line.removeprefix("    ") for line in lines if line == FIRST or "── " in line]
    picture = "\n".join(f"    {line}" for line in expected)
    assert stands == expected, f"The docstring of meridian/errors.py should draw:\n\n{picture}\n"


def test_a_tree_is_drawn_with_its_branches() -> None:
    assert drawn({"A": {"B": {}, "C": {"D": {}}}, "E": {}}) == [
        "├── A",
        "│   ├── B",
        "│   └── C",
        "│       └── D",
        "└── E",
    ]
