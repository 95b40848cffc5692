"""Imports that a capstone allows, and ways around them that are refused by file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.intake.audit import audit
from grader.intake.intake import SubmissionRefused

ALLOWED = ("os", "struct", "collections", "dataclasses", "importlib.resources")


def check(tmp_path: Path, source: str) -> None:
    check_bytes(tmp_path, source.encode())


def check_bytes(tmp_path: Path, source: bytes, name: str = "toy/a.py") -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(source)
    audit(tmp_path, [name, "toy/notes.txt"], "toy", ALLOWED)


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
        "'''Uses no exec, no __import__.'''\ndef compile(x): return x\ny = compile('x')\n",
        "import \uff4fs\n",  # Python reads a wide o as an o
        "from os import stat\nfrom struct import calcsize as compile_size\n",
        "from toy.page import *\nfrom .page import *\n",
        "pattern = '\\d'\nif pattern is 'a': pass\n",
        "",
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, source: str) -> None:
    check(tmp_path, source.replace("abc, ", ""))


@pytest.mark.parametrize(
    ("source", "where", "what"),
    [
        ("import numpy\n", "toy/a.py:1", "import of numpy"),
        ("import os\nimport numpy.linalg as la\n", "toy/a.py:2", "import of numpy.linalg"),
        ("def f():\n    from pickle import loads\n", "toy/a.py:2", "import of pickle"),
        ("import importlib\n", "toy/a.py:1", "import of importlib"),
        ("from importlib import import_module\n", "toy/a.py:1", "import of importlib"),
        ("__import__('numpy')\n", "toy/a.py:1", "__import__"),
        ("x = __builtins__\n", "toy/a.py:1", "__builtins__"),
        ("exec('import numpy')\n", "toy/a.py:1", "exec"),
        ("f = eval\n", "toy/a.py:1", "eval"),
        ("import os\nos.sys.modules['x']\n", "toy/a.py:2", "sys (the interpreter"),
        ("import os as o\no.path.os.sys\n", "toy/a.py:2", "sys (the interpreter"),
        ("import collections\ncollections._sys\n", "toy/a.py:2", "_sys (the interpreter"),
        ("import dataclasses\ndataclasses.inspect\n", "toy/a.py:2", "inspect (the interpreter"),
        ("import os\ngetattr(os, 'sys')\n", "toy/a.py:2", "getattr() of a module"),
        ("import os\ngetattr(os, 's' + 'ys')\n", "toy/a.py:2", "getattr() of a module"),
        ("import os\nvars(os)\n", "toy/a.py:2", "vars() of a module"),
        ("import os\nos.__dict__\n", "toy/a.py:2", "__dict__ (the interpreter"),
        ("def f(x): return x._getframe(1)\n", "toy/a.py:1", "_getframe"),
        ("def f(x): return x.sys.modules\n", "toy/a.py:1", "modules"),
        ("import os\nos.__builtins__\n", "toy/a.py:2", "__builtins__"),
        ("().__class__.__base__.__subclasses__()\n", "toy/a.py:1", "__subclasses__"),
        ("from os import sys\n", "toy/a.py:1", "import of sys through os"),
        (
            "try:\n    import numba\nexcept ImportError:\n    pass\n",
            "toy/a.py:2",
            "import of numba",
        ),
        (
            "import os as o\nimport importlib.resources\nimportlib.import_module('x')\n",
            "toy/a.py:3",
            "import_m",
        ),
        ("def f(x): return x.spec_from_file_location\n", "toy/a.py:1", "spec_from_file_location"),
        ("getattr(x, '__import__')('numpy')\n", "toy/a.py:1", '"__import__"'),
        ("f.__globals__\n", "toy/a.py:1", "__globals__"),
        ("from operator import attrgetter\n", "toy/a.py:1", "import of operator"),
        ("g = attrgetter('f.__globals__')\n", "toy/a.py:1", '"__globals__"'),
        ("globals()['__builtins__']\n", "toy/a.py:1", '"__builtins__"'),
        ("compile('import numpy', '', 'exec')\n", "toy/a.py:1", "compile"),
        ("__spec__.loader\n", "toy/a.py:1", "__spec__"),
        ("from .. import os\n", "toy/a.py:1", "outside of toy"),
        ("from ..other import x\n", "toy/a.py:1", "import from ..other"),
        ("from os import *\n", "toy/a.py:1", "import of everything from os"),
        ("from collections import _sys\n", "toy/a.py:1", "_sys through collections"),
        ("from dataclasses import inspect\n", "toy/a.py:1", "inspect through dataclasses"),
        ("import \u043es\n", "toy/a.py:1", "\\u043es, which is not ASCII"),
        ("import os2, osx, os_\n", "toy/a.py:1", "import of os2"),
        ("import collections_abc\n", "toy/a.py:1", "import of collections_abc"),
        ("import importlib.resources_\n", "toy/a.py:1", "import of importlib.resources_"),
        ("x = (\n", "toy/a.py:1", "not Python: '(' was never closed, in: x = ("),
        ("x = 1\nif x\n    y\n", "toy/a.py:2", "expected ':', in: if x"),
        ("def f():\n\tx\n        y\n", "toy/a.py:3", "in: y"),
        ("x = '\x1b[2J\n", "toy/a.py:1", "in: x = '\\x1b[2J"),
        ("x = '" + "y" * 200 + "\n", "toy/a.py:1", "yyy..."),
        ("x = 1\n\x00", "toy/a.py", "not"),
        ("-" * 100_000 + "1\n", "toy/a.py", "parsed"),
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


@pytest.mark.parametrize(
    ("source", "where", "what"),
    [
        (b"# -*- coding: utf-7 -*-\nx = '+AGkAbQ-'\n", "toy/a.py:1", "encoded as utf-7"),
        (b"# coding: latin-1\nx = '\xe9'\n", "toy/a.py:1", "encoded as iso-8859-1"),
        (b"#!x\n# vim: fileencoding=rot13 :\n", "toy/a.py", "encoded as rot13"),
        (b"x = 1\ny = '\xe9'\n", "toy/a.py:2", "not UTF-8 text"),
        (b"\xff\xfex\x00", "toy/a.py:1", "not UTF-8 text"),
        (b"\xef\xbb\xbf# coding: latin-1\n", "toy/a.py", "encoding problem"),
        (b"x = 1\n" * 50_000, "toy/a.py", "more than 262144 bytes of source"),
        (b"a" + b"(" * 10_000 + b")" * 10_000, "toy/a.py:1", "too many nested parentheses"),
        (b"import numpy", "toy/A.PY:1", "import of numpy"),
        (b"import numpy", "toy/a.pyw:1", "import of numpy"),
    ],
)
def test_what_another_reader_would_read_otherwise_is_refused(
    tmp_path: Path, source: bytes, where: str, what: str
) -> None:
    with pytest.raises(SubmissionRefused) as refused:
        check_bytes(tmp_path, source, where.partition(":")[0])
    assert refused.value.where.startswith(where)
    assert what in refused.value.reason
    assert str(refused.value).isprintable()


def test_a_mark_of_utf_8_is_fine(tmp_path: Path) -> None:
    check_bytes(tmp_path, b"\xef\xbb\xbf# coding: utf-8\nx = '\xc3\xa9'\n")


def test_all_sources_together_have_a_limit(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    names = [f"toy/m{i}.py" for i in range(6)]
    for name in names:
        (tmp_path / name).write_text("#" * 200_000)
    with pytest.raises(SubmissionRefused, match="more than 1048576 bytes of source"):
        audit(tmp_path, names, "toy", ALLOWED)


def test_a_known_gap_is_known(tmp_path: Path) -> None:
    """No wall: a name made at run time is not seen, and the box is there for that."""
    check(
        tmp_path, "x = [c for c in type(int).mro(object)]\ny = getattr(x, '__im' + 'port__', 0)\n"
    )
