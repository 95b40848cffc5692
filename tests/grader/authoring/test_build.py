"""Exercises are cut out of solutions: what goes, what stays, and that nobody's work is lost."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.authoring import build as builder
from grader.authoring.cutting import BuildError, check_api, cut_notebook, cut_source, public_api
from meridian.academy.curriculum import UnknownKey, load
from tests.academy.courses import index_with_only

ROOT = Path(__file__).parents[3]
KEY = "database/01-storage"
HERE = Path("page.py")


# -- cutting -------------------------------------------------------------------------------------


def test_a_region_leaves_a_stub_that_speaks() -> None:
    source = (
        "def compact():\n"
        '    """Keep slots."""\n'
        '    ### BEGIN SOLUTION #5: compact() - keep "every" slot id\n'
        "    return 1\n"
        "    ### END SOLUTION\n"
        "\n\n"
        "### BEGIN SOLUTION\n"
        "def _helper():\n"
        "    return 2\n"
        "### END SOLUTION\n"
    )
    assert cut_source(source, KEY, HERE) == (
        "def compact():\n"
        '    """Keep slots."""\n'
        "    raise NotImplementedError("
        '"database/01-storage #5: compact() - keep \\"every\\" slot id")\n'
    )


def test_a_long_stub_is_wrapped() -> None:
    text = "#1: " + "x" * 80
    cut = cut_source(f"### BEGIN SOLUTION {text}\npass\n### END SOLUTION\n", KEY, HERE)
    with pytest.raises(NotImplementedError, match=text):
        exec(cut, {})
    assert max(map(len, cut.splitlines())) < 120


@pytest.mark.parametrize(
    ("source", "line", "reason"),
    [
        ("a = 1\n### BEGIN SOLUTION\n### BEGIN SOLUTION\n", 3, "inside the region of line 2"),
        ("a = 1\n### BEGIN SOLUTION\nb = 2\n", 2, "without ### END SOLUTION"),
        ("a = 1\nb = 2\n### END SOLUTION\n", 3, "without ### BEGIN SOLUTION"),
        ("def f():\n    ### BEGIN SOLUTION\n    pass\n    ### END SOLUTION\n", 0, "not Python"),
    ],
)
def test_a_broken_master_is_an_error_with_file_and_line(
    source: str, line: int, reason: str
) -> None:
    with pytest.raises(BuildError, match=reason) as caught:
        cut_source(source, KEY, HERE)
    assert (caught.value.path, caught.value.line) == (HERE, line)
    assert str(caught.value).startswith(f"page.py:{line}: " if line else "page.py: ")


@given(st.lists(st.sampled_from(["x = 1", "### BEGIN SOLUTION", "### END SOLUTION", ""])))
def test_cutting_never_leaves_a_marker_or_a_solution(lines: list[str]) -> None:
    try:
        cut = cut_source("\n".join(lines), KEY, HERE)
    except BuildError:
        return
    assert "SOLUTION" not in cut
    outside = inside = 0
    for line in lines:
        inside = line.endswith("BEGIN SOLUTION") or (inside and "END" not in line)
        outside += line == "x = 1" and not inside
    assert cut.count("x = 1") == outside
    assert cut_source(cut, KEY, HERE) == cut


def notebook(*cells: dict[str, Any]) -> bytes:
    return json.dumps(
        {"cells": list(cells), "metadata": {"widgets": {}}, "nbformat": 4, "nbformat_minor": 5}
    ).encode()


def code(cell_id: str, source: str, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "id": cell_id,
        "metadata": {"tags": ["nbval-ignore-output"], "execution": {"at": 1}},
        "source": source.splitlines(keepends=True),
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["secret"]}],
        "execution_count": 4,
        **more,
    }


def test_notebooks_are_cut_cell_by_cell() -> None:
    text = {"cell_type": "markdown", "id": "m", "metadata": {}, "source": ["# T"]}
    mine = code("a", "### BEGIN SOLUTION #1: look - at it\nsecret = 1\n### END SOLUTION")
    cut = json.loads(cut_notebook(notebook(text, mine, code("b", "print(1)")), KEY, HERE))
    assert "secret" not in json.dumps(cut)
    assert cut["cells"][0] == text
    solution, driver = cut["cells"][1:]
    assert "".join(solution["source"]).startswith("raise NotImplementedError(")
    assert solution["metadata"]["nbgrader"]["solution"] is True
    assert solution["metadata"]["nbgrader"]["grade_id"] == "a"
    assert solution["metadata"]["tags"] == ["nbval-ignore-output"]
    assert driver["metadata"]["nbgrader"]["locked"] is True
    assert "".join(driver["source"]) == "print(1)"
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in (solution, driver))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{}", "not a notebook"),
        (b"\xff", "not a notebook"),
        (notebook(code("a", "1"), code("a", "2")), "an id of its own"),
        (notebook(code("", "1")), "an id of its own"),
        (notebook(code("a", "### BEGIN SOLUTION\n1")), "cell a:1: ### BEGIN SOLUTION without"),
        (notebook(code("a", "1\n### END SOLUTION")), "cell a:2: ### END SOLUTION without"),
        (
            notebook(code("a", "### BEGIN SOLUTION\n1\n### BEGIN SOLUTION")),
            "cell a:3: ### BEGIN SOLUTION inside the region of line 1",
        ),
        (notebook(code("a", "1\n### BEGIN HIDDEN TESTS")), "cell a:2: .* the acceptance suite"),
        (
            notebook({**code("a", "x\n### BEGIN SOLUTION"), "cell_type": "markdown"}),
            "cell a:2: .* only code is cut",
        ),
        (b'{"cells": [3], "metadata": {}}', "not a notebook"),
        (b'{"cells": []}', "not a notebook"),
        (b'{"cells": [{"cell_type": "code"}], "metadata": {}}', "not a notebook"),
        (b"[" * 100_000, "not a notebook"),
    ],
)
def test_a_broken_notebook_is_an_error(content: bytes, reason: str) -> None:
    with pytest.raises(BuildError, match=reason):
        cut_notebook(content, KEY, HERE)


def test_the_metadata_is_nbgraders_schema_3() -> None:
    """Keys, types and pattern as its JSON schema has them; checksums that its 0.9.6 computed."""
    mine = code("by-hand", "### BEGIN SOLUTION #1: it\nx = 1\n### END SOLUTION")
    cut = json.loads(cut_notebook(notebook(mine, code("a_1", "print(1)")), KEY, HERE))
    for cell in cut["cells"]:
        facts = cell["metadata"]["nbgrader"]
        assert {key: type(value) for key, value in facts.items()} == {
            "schema_version": int, "grade": bool, "grade_id": str, "locked": bool,
            "solution": bool, "task": bool, "cell_type": str, "checksum": str,
        }  # fmt: skip
        assert facts["schema_version"] == 3
        assert re.fullmatch(r"[a-zA-Z0-9_\-]+", facts["grade_id"])
        assert facts["cell_type"] in ("raw", "code", "markdown")
        assert facts["solution"] != facts["locked"]
    assert [cell["metadata"]["nbgrader"]["checksum"] for cell in cut["cells"]] == [
        "9e6787fa87bd884285ae7869e3594a2e",
        "d316a05825fbd8f5bcd4a3d1bfc617a3",
    ]


def test_the_api_of_both_must_be_equal() -> None:
    whole = (
        "X = 1\nclass A(B):\n    n: int = 0\n    @property\n    def f(self, a: int) -> int: ...\n"
    )
    assert public_api(whole) == {
        "X": "name",
        "A": "class(B)",
        "A.n": "int",
        "A.f": "(self, a: int) -> int @property",
    }
    check_api(whole + "def _private(): ...\n", whole, HERE)
    for changed in (
        whole.replace("a: int", "a: int = 1"),
        whole.replace("    @property\n", ""),
        whole.replace("(B)", ""),
        whole + "def extra(): ...\n",
        whole.replace("X = 1\n", ""),
    ):
        with pytest.raises(BuildError, match="in the solution and"):
            check_api(whole, changed, HERE)


# -- building ------------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A lab with the course index and one small solution."""
    (tmp_path / "curriculum.toml").write_text(index_with_only(KEY))
    package = tmp_path / "solutions" / KEY / "tle_page_manager"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        "def f():\n    ### BEGIN SOLUTION #1: f() - one\n    return 1\n    ### END SOLUTION\n"
    )
    (package.parent / "data.txt").write_text("as it is\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.py").write_text("not source")
    return tmp_path


def test_build_check_and_build_again(lab: Path) -> None:
    exercise = lab / "exercises" / KEY
    assert not builder.build(KEY, lab, check=True).up_to_date
    assert not exercise.exists()
    files = (".build.json", "data.txt", "tle_page_manager/__init__.py")
    assert builder.build(KEY, lab).written == files
    stamps = {path: path.stat().st_mtime_ns for path in exercise.rglob("*")}
    assert builder.build(KEY, lab).up_to_date
    assert builder.build(KEY, lab, check=True).up_to_date
    assert {path: path.stat().st_mtime_ns for path in exercise.rglob("*")} == stamps
    assert "return 1" not in (exercise / files[2]).read_text()


def test_a_learners_work_is_not_overwritten(lab: Path) -> None:
    builder.build(KEY, lab)
    mine = lab / "exercises" / KEY / "tle_page_manager" / "__init__.py"
    pristine = mine.read_text()
    mine.write_text("def f():\n    return 'mine'\n")
    solution = lab / "solutions" / KEY
    (solution / "data.txt").write_text("newer\n")
    with pytest.raises(builder.EditedExercise, match=r"tle_page_manager/__init__\.py"):
        builder.build(KEY, lab)
    assert "mine" in mine.read_text()
    data = lab / "exercises" / KEY / "data.txt"
    assert data.read_text() == "as it is\n", "refused before the first file was touched"
    builder.build(KEY, lab, force=True)
    assert (mine.read_text(), data.read_text()) == (pristine, "newer\n")


def test_what_left_the_solution_leaves_the_exercise_unless_edited(lab: Path) -> None:
    builder.build(KEY, lab)
    (lab / "solutions" / KEY / "data.txt").unlink()
    data = lab / "exercises" / KEY / "data.txt"
    data.write_text("my notes\n")
    with pytest.raises(builder.EditedExercise, match=r"data\.txt"):
        builder.build(KEY, lab)
    data.write_text("as it is\n")
    assert builder.build(KEY, lab).removed == ("data.txt",)
    assert not data.exists()


def test_a_broken_master_touches_nothing(lab: Path) -> None:
    builder.build(KEY, lab)
    package = lab / "solutions" / KEY / "tle_page_manager"
    (package / "a.py").write_text("X = 1\n")
    (package / "b.py").write_text("### BEGIN SOLUTION\nY = 1\n### END SOLUTION\n")
    with pytest.raises(BuildError, match=r"b\.py: Y is 'name' in the solution"):
        builder.build(KEY, lab)
    assert not (lab / "exercises" / KEY / "tle_page_manager" / "a.py").exists()


def test_what_would_show_learners_too_much_is_refused(lab: Path) -> None:
    builder.build(KEY, lab)
    notes = lab / "solutions" / KEY / "notes.md"
    notes.write_text("Plan.\n### BEGIN SOLUTION\n")
    with pytest.raises(BuildError, match=r"notes\.md:2: ### BEGIN SOLUTION here: only code is cut"):
        builder.build(KEY, lab)
    notes.write_bytes(b"caf\xe9")
    with pytest.raises(BuildError, match=r"notes\.md: not UTF-8 at byte 3"):
        builder.build(KEY, lab)
    notes.unlink()
    (lab / "solutions" / KEY / "picture.png").write_bytes(b"\x89PNG\xff")
    assert builder.build(KEY, lab).written == (".build.json", "picture.png")


def test_strange_places(lab: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownKey):
        builder.build("database/01-storag", lab)
    with pytest.raises(BuildError, match="no such solution"):
        builder.build("database/02-btree", lab)
    builder.build(KEY, lab)
    (lab / "exercises" / KEY / ".build.json").write_text("[1]")
    with pytest.raises(BuildError, match="not a manifest"):
        builder.build(KEY, lab)


def test_write_exercise_is_what_build_writes(lab: Path, tmp_path: Path) -> None:
    builder.build(KEY, lab)
    module, target = load(lab).module(KEY), tmp_path / "fresh"
    builder.write_exercise(lab, module, target)
    built = lab / module.exercise
    names = {path.relative_to(built) for path in built.rglob("*")}
    assert {path.relative_to(target) for path in target.rglob("*")} == names
    for name in names:
        if (built / name).is_file():
            assert (built / name).read_bytes() == (target / name).read_bytes()
    with pytest.raises(FileExistsError):
        builder.write_exercise(lab, module, target)


def test_main_says_what_it_did(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MERIDIAN_LAB", str(lab))
    assert builder.main(check=True) == 1
    assert f"{KEY}: data.txt out of date" in capsys.readouterr().out
    assert builder.main(KEY) == 0
    assert f"{KEY}: data.txt written" in capsys.readouterr().out
    assert builder.main(check=True) == 0
    assert capsys.readouterr().out == f"{KEY}: up to date\n"


# -- the exercise in the tree --------------------------------------------------------------------


def changed_files(folder: Path) -> list[str]:
    """Files of an exercise that are no longer as they were generated: a learner's work."""
    known = json.loads((folder / builder.MANIFEST).read_text())
    return [name for name, digest in known.items() if digest_of(folder / name) != digest]


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "gone"


def lag(root: Path) -> list[str]:
    """Files of the exercise that were built from an older solution. A learner's work is no lag."""
    folder = root / "exercises" / KEY
    manifest = json.loads((folder / builder.MANIFEST).read_text())
    files = builder.generate(KEY, root / load(root).module(KEY).solution)
    now = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    return sorted(name for name in {*manifest, *now} if manifest.get(name) != now.get(name))


def test_the_exercise_in_the_tree_is_up_to_date() -> None:
    """The tests run in the folder people work in, too: what they wrote is not compared."""
    if not (ROOT / "exercises" / KEY / builder.MANIFEST).exists():
        pytest.skip(f"the exercise is gone; meridian reset {KEY} brings it back")
    assert lag(ROOT) == [], "run `grader build`"
    changed = changed_files(ROOT / "exercises" / KEY)
    if changed:
        pytest.skip(f"written in since the exercise was built: {', '.join(changed)}")


def test_a_learners_work_is_no_lag_and_an_older_build_is(lab: Path) -> None:
    builder.build(KEY, lab)
    exercise, solution = lab / "exercises" / KEY, lab / "solutions" / KEY
    (exercise / "data.txt").write_text("my notes\n")
    (exercise / "mine.py").write_text("X = 1\n")
    assert (lag(lab), changed_files(exercise)) == ([], ["data.txt"])
    (exercise / "data.txt").unlink()
    assert (lag(lab), changed_files(exercise)) == ([], ["data.txt"])
    (solution / "new.txt").write_text("new\n")
    (solution / "tle_page_manager" / "__init__.py").write_text("X = 1\n")
    assert lag(lab) == ["new.txt", "tle_page_manager/__init__.py"]


def test_every_public_test_fails_on_the_skeleton_and_says_what_to_write(tmp_path: Path) -> None:
    builder.write_exercise(ROOT, load(ROOT).module(KEY), tmp_path / "fresh")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null",
         "--rootdir", str(tmp_path), str(tmp_path / "fresh" / "test_criteria.py")],
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert " passed" not in done.stdout
    said = [line for line in done.stdout.splitlines() if line.startswith("E  ")]
    assert said
    for line in said:
        assert f"NotImplementedError: {KEY} #" in line, line
