"""Submissions that a repository cannot hold, built here: each is refused, or loses by running."""

from __future__ import annotations

import base64
import os
import py_compile
import stat
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from grader.box import detect
from grader.intake.collect import SubmissionRefused, collect

LIAR = "from .honest import *\ndef add(a, b): return 0\n"


class Built(NamedTuple):
    """What is done to an honest submission, and what it deserves."""

    build: Callable[[Path], None]
    outcomes: str
    words: str


def write(folder: Path, name: str, content: str | bytes) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def package(source: str | bytes) -> Callable[[Path], None]:
    return lambda folder: write(folder, "toy/__init__.py", source)


def beside(source: str, **files: str) -> Callable[[Path], None]:
    """`source` as the package, and files beside it, ``__`` in a name for the dot."""

    def build(folder: Path) -> None:
        write(folder, "toy/__init__.py", source)
        for name, text in files.items():
            write(folder, name.replace("__", "."), text)

    return build


def device(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes devices")
    os.mknod(folder / "toy" / "zero.py", stat.S_IFCHR | 0o666, os.makedev(1, 5))


def stale(folder: Path) -> None:
    """A compiled file that says what the source no longer does, where Python looks for it."""
    write(folder, "toy/liar.py", "def add(a, b): return 0\n")
    compiled = py_compile.compile(
        str(folder / "toy" / "liar.py"),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    assert compiled is not None
    write(folder, "toy/liar.py", "from .honest import add\n")
    write(folder, "toy/__init__.py", "from .honest import *\nfrom .liar import add\n")


_HIDDEN = base64.b64encode(zlib.compress(b"def add(a, b): return a + b")).decode()
REFUSED, RIGHT, WRONG = "refused refused refused", "passed passed passed", "failed passed passed"
BUILT = {
    "symbolic_link": Built(
        lambda f: (f / "toy" / "passwd.py").symlink_to("/etc/passwd"), REFUSED, "a symbolic link"
    ),
    "linked_folder": Built(
        lambda f: (f / "toy" / "lib").symlink_to("/usr/lib"), REFUSED, "a symbolic link"
    ),
    "hard_link": Built(
        lambda f: os.link(f / "toy" / "honest.py", f / "toy" / "more.py"), REFUSED, "a hard link"
    ),
    "pipe": Built(lambda f: os.mkfifo(f / "toy" / "pipe.py"), REFUSED, "neither a file"),
    "device": Built(device, REFUSED, "neither a file"),
    "compiled": Built(lambda f: write(f, "toy/m.pyc", b"\0" * 16), REFUSED, "compiled code"),
    "shared_library": Built(lambda f: write(f, "toy/m.so", b"\x7fELF"), REFUSED, "compiled code"),
    "path_file": Built(lambda f: write(f, "toy/x.pth", "import os"), REFUSED, "compiled code"),
    "stale_cache": Built(stale, RIGHT, ""),
    "nul": Built(package(b"x = 1\n\0"), REFUSED, "null bytes"),
    "huge_source": Built(package("x = 1\n" * 60_000), REFUSED, "bytes of source"),
    "sparse_file": Built(
        lambda f: os.truncate(f / "toy" / "honest.py", 2**40), REFUSED, "larger than"
    ),
    "parentheses": Built(
        package("(" * 10_000 + ")" * 10_000), REFUSED, "too many nested parentheses"
    ),
    "minus_signs": Built(package("-" * 100_000 + "1"), REFUSED, "cannot be parsed"),
    "utf_7": Built(package(b"# coding: utf-7\n+AGkAbQBwAG8AcgB0AA os"), REFUSED, "utf-7"),
    "utf_16": Built(package("x = 1".encode("utf-16")), REFUSED, "not UTF-8"),
    "compressed_source": Built(
        package(f"import base64, zlib\nexec(zlib.decompress(base64.b64decode('{_HIDDEN}')))\n"),
        REFUSED,
        "exec (an import in disguise)",
    ),
    "bidirectional_source": Built(
        package("from .honest import *\ndef add(a, b):\n    '''\u202e'''; return 0 \u2066\n"),
        REFUSED,
        "not Python",
    ),
    "look_alike": Built(package("from .honest import *\nimport \u0455ys\n"), REFUSED, "not ASCII"),
    "beside_the_package": Built(
        beside(
            LIAR,
            conftest__py="import pytest\n",
            pytest__ini="[pytest]\naddopts = --collect-only\n",
            pyproject__toml="[tool.pytest.ini_options]\naddopts = '--collect-only'\n",
            sitecustomize__py="import os; os._exit(0)\n",
            usercustomize__py="import os; os._exit(0)\n",
            evil__pth="import os; os._exit(0)\n",
            grader__py="raise SystemExit(0)\n",
            msgspec__py="raise SystemExit(0)\n",
            struct__py="raise SystemExit(0)\n",
        ),
        WRONG,
        "got 0",
    ),
    "inside_the_package": Built(
        beside(
            LIAR,
            **{
                f"toy/{name}__py": "import os; os._exit(0)\n"
                for name in ("conftest", "sitecustomize", "struct", "msgspec", "json", "grader")
            },
        ),
        WRONG,
        "got 0",
    ),
    "markup_in_a_name": Built(
        lambda f: write(f, "toy/<img src=x onerror=alert(1)>.py", "syntax error\n"),
        REFUSED,
        "<img src=x",
    ),
    "escape_in_a_name": Built(
        lambda f: write(f, "toy/\x1b]0;title\x07.py", ""), REFUSED, "cannot be shown"
    ),
    "many_files": Built(
        lambda f: [write(f, f"toy/m{i}.py", "") for i in range(300)] and None,
        REFUSED,
        "files and folders",
    ),
    "many_folders": Built(
        lambda f: [(f / "toy" / f"m{i}").mkdir() for i in range(300)] and None,
        REFUSED,
        "files and folders",
    ),
    "notebook_that_is_a_folder": Built(
        lambda f: (f / "capstone.ipynb").mkdir(), REFUSED, "a folder, not a file"
    ),
}


@pytest.mark.parametrize("name", sorted(BUILT))
def test_built(toy: Any, name: str) -> None:
    built = BUILT[name]
    if built.outcomes != REFUSED and detect().tier not in ("bwrap", "landlock"):
        pytest.skip("no box with walls here")
    folder = toy.submission()
    built.build(folder)
    report = toy.judge(submission=folder, mode="check")
    messages = "\n".join(entry.message for entry in report.criteria)
    assert " ".join(toy.outcomes(report).values()) == built.outcomes, messages
    assert built.words in messages
    assert report.verify(toy.key)
    page = (toy.out / "feedback.html").read_text()
    assert "<img src=x" not in page
    assert all(c.isprintable() or c == "\n" for c in page)


@pytest.mark.parametrize("swapped", ["file", "folder"])
def test_what_changes_while_it_is_taken_in_leads_nowhere(tmp_path: Path, swapped: str) -> None:
    """The owner of a folder swaps a file, or a folder on its way, for a link while we read."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "m.py").write_text("the secret")
    package = tmp_path / "in" / "toy"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "deep" / "m.py").write_text("mine")
    target = package / "deep" / ("m.py" if swapped == "file" else "")
    link_to = secret / ("m.py" if swapped == "file" else "")
    done = threading.Event()

    def swap() -> None:
        aside, link = tmp_path / "aside", tmp_path / "link"
        while not done.is_set():
            target.rename(aside)
            link.symlink_to(link_to)
            link.rename(target)
            target.unlink()
            aside.rename(target)

    thread = threading.Thread(target=swap)
    thread.start()
    reasons, taken = set(), 0
    try:
        for i in range(300):
            out = tmp_path / f"out{i}"
            try:
                collect(tmp_path / "in", out, "toy")
                taken += 1
            except SubmissionRefused as refused:
                reasons.add(refused.reason)
            for path in out.rglob("*.py"):
                assert "secret" not in path.read_text()
    finally:
        done.set()
        thread.join()
    assert taken + len(reasons) > 0
