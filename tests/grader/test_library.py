"""What of `meridian` goes into a box: the modules of the entry, what they import, nothing else."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from grader.library import Library, NoSuchModule, library_of, packages_of
from grader.software import course_digest
from meridian.academy.curriculum import Capstone

CANCEL = "meridian.foundation.tasks.cancel"


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_module_brings_its_packages_and_what_it_imports() -> None:
    library = library_of((CANCEL,))
    assert {
        "meridian/__init__.py",
        "meridian/foundation/tasks/__init__.py",
        "meridian/foundation/tasks/cancel.py",
        "meridian/foundation/tasks/parking.py",  # imported by it
        "meridian/errors.py",  # imported by what it imports
    } <= set(library.files)
    assert "meridian/foundation/tasks/tracker.py" not in library.files  # the package knows of it
    assert {"anyio", "trio"} <= library.requires  # trio inside a function


def test_no_module_brings_nothing() -> None:
    assert library_of(()) == Library({}, frozenset())


@pytest.mark.parametrize(
    "wrong",
    [
        "meridian.foundation.tasks",  # a package: it would bring all or nothing
        "meridian.foundation.tasks.cansel",
        "meridian",
        "grader.job",
        "os",
        "meridian...errors",
        "",
    ],
)
def test_what_is_no_module_of_ours_is_refused(wrong: str) -> None:
    with pytest.raises(NoSuchModule, match="List modules, not packages") as caught:
        library_of((CANCEL, wrong))
    assert caught.value.module == wrong


def test_the_copy_works_without_the_rest(tmp_path: Path) -> None:
    folder = library_of((CANCEL,)).folder()
    assert folder.is_relative_to(tmp_path)
    code = f"""
import sys
sys.path.insert(0, {str(folder)!r})
import meridian
assert meridian.__file__.startswith({str(folder)!r})
from meridian.foundation.tasks import CancellationToken
token = CancellationToken()
assert token.cancel("over") and token.reason == "over"
try:
    from meridian.foundation.tasks import TaskTracker
except ModuleNotFoundError as error:
    print(error.name)
"""
    packages = [path for path in sys.path if path.endswith("site-packages")]
    run = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path += {packages!r}\n{code}"],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=tmp_path,
    )
    assert (run.stdout, run.stderr) == ("meridian.foundation.tasks.tracker\n", "")


def test_the_copy_is_made_once_for_each_content_and_anybody_may_read_it(tmp_path: Path) -> None:
    library = library_of((CANCEL,))
    folder = library.folder()
    made = folder.stat().st_ino
    assert library.folder() == folder
    assert folder.stat().st_ino == made
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")}
    assert modes == {0o755, 0o644}
    changed = tmp_path / "changed.py"
    changed.write_text("ANOTHER = True\n")
    other = Library({**library.files, "meridian/errors.py": changed}, library.requires)
    assert other.folder() != folder


def test_a_verdict_depends_on_the_library() -> None:
    plain = Capstone(title="T", package="p")
    with_it = Capstone(title="T", package="p", library=(CANCEL,))
    assert course_digest(plain, None) != course_digest(with_it, None)


def test_the_packages_of_a_module_outermost_first() -> None:
    assert packages_of("a.b.c") == ["a", "a.b"]
    assert packages_of("a") == []
