"""Imports that a capstone allows, and ways around them that are refused by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.audit import audit
from grader.intake import SubmissionRefused

ALLOWED = ("os", "struct", "collections", "dataclasses", "importlib.resources")


def check(tmp_path: Path, source: str) -> None:
    (tmp_path / "a.py").write_text(source)
    audit(tmp_path, ["a.py", "notes.txt"], "toy", ALLOWED)


@pytest.mark.parametrize(
    "source",
    [
        "import os, struct\nimport os.path\nfrom collections import abc, deque\n",
        "from . import page\nfrom .page import Page\nfrom toy.page import Page\nimport toy.page\n",
        "import importlib.resources\nfrom importlib.resources import files\n",
        "def evaluate(): return 'eval'\nclass A:\n    def compile(self): return self\n",
        "import os\nf = getattr(os, 'O_DIRECT', 0)\nfrom collections.abc import Iterable\n",
        "class A:\n    def f(self): self.modules = vars(self); return self.__dict__\n",
        "'import numpy'\n# __import__('numpy')\n",
        "pattern = '\\d'\nif pattern is 'a': pass\n",
        "",
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, source: str) -> None:
    check(tmp_path, source.replace("abc, ", ""))


@pytest.mark.parametrize(
    ("source", "where", "what"),
    [
        ("import numpy\n", "a.py:1", "import of numpy"),
        ("import os\nimport numpy.linalg as la\n", "a.py:2", "import of numpy.linalg"),
        ("def f():\n    from pickle import loads\n", "a.py:2", "import of pickle"),
        ("import importlib\n", "a.py:1", "import of importlib"),
        ("from importlib import import_module\n", "a.py:1", "import of importlib"),
        ("__import__('numpy')\n", "a.py:1", "__import__"),
        ("x = __builtins__\n", "a.py:1", "__builtins__"),
        ("exec('import numpy')\n", "a.py:1", "exec"),
        ("f = eval\n", "a.py:1", "eval"),
        ("import os\nos.sys.modules['x']\n", "a.py:2", "sys (the interpreter"),
        ("import os as o\no.path.os.sys\n", "a.py:2", "sys (the interpreter"),
        ("import collections\ncollections._sys\n", "a.py:2", "_sys (the interpreter"),
        ("import dataclasses\ndataclasses.inspect\n", "a.py:2", "inspect (the interpreter"),
        ("import os\ngetattr(os, 'sys')\n", "a.py:2", "getattr() of a module"),
        ("import os\ngetattr(os, 's' + 'ys')\n", "a.py:2", "getattr() of a module"),
        ("import os\nvars(os)\n", "a.py:2", "vars() of a module"),
        ("import os\nos.__dict__\n", "a.py:2", "__dict__ (the interpreter"),
        ("def f(x): return x._getframe(1)\n", "a.py:1", "_getframe"),
        ("def f(x): return x.sys.modules\n", "a.py:1", "modules"),
        ("import os\nos.__builtins__\n", "a.py:2", "__builtins__"),
        ("().__class__.__base__.__subclasses__()\n", "a.py:1", "__subclasses__"),
        ("from os import sys\n", "a.py:1", "import of sys through os"),
        ("try:\n    import numba\nexcept ImportError:\n    pass\n", "a.py:2", "import of numba"),
        ("x = (\n", "a.py:1", "not Python"),
        ("x = 1\n\x00", "a.py", "not"),
        ("-" * 100_000 + "1\n", "a.py", "parsed"),
    ],
)
def test_what_is_not_is_refused_by_line(tmp_path: Path, source: str, where: str, what: str) -> None:
    with pytest.raises(SubmissionRefused) as refused:
        check(tmp_path, source)
    assert refused.value.where.startswith(where)
    assert what in refused.value.reason or what == "parsed"
    assert refused.value.fix


def test_many_offences_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(SubmissionRefused) as refused:
        check(tmp_path, "import numpy\n" * 30)
    assert "and 25 more" in str(refused.value)
    assert "This capstone allows collections, dataclasses" in str(refused.value)
