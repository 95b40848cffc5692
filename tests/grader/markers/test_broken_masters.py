"""An assignment that cannot be read is refused by cell and line, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from grader.markers import BadAssignment, read_assignment, write_layout
from tests.grader.markers.masters import KEY, PACKAGE, code, nbgrader_master, text, write

RAW = "raw"


@pytest.mark.parametrize(
    ("cells", "kind", "said"),
    [
        ([code("### BEGIN SOLUTION\n1", "a", solution=True)], "nbgrader",
         "cell a, line 1: ### BEGIN SOLUTION without ### END"),
        ([code("1\n### BEGIN SOLUTION\n### BEGIN SOLUTION", "a")], "nbgrader",
         "cell a, line 3: ### BEGIN SOLUTION inside the region of line 2"),
        ([code("1\n### END SOLUTION", "a", solution=True)], "nbgrader",
         "cell a, line 2: ### END SOLUTION without"),
        ([code("1\n### BEGIN HIDDEN TESTS\n### END HIDDEN TESTS", "a", solution=True)], "nbgrader",
         "cell a, line 2: hidden tests outside a test cell"),
        ([code("1", "a", grade=True, points=-1)], "nbgrader", "points must be 0 or more, not -1"),
        ([code("1", "a", grade=True, points="2")], "nbgrader", "points must be 0 or more, not '2'"),
        ([code("1", "a", schema_version=9)], "nbgrader", "schema 9; 1 to 3 are known"),
        ([code("1", "a", colour="red")], "nbgrader", "unknown nbgrader key 'colour'"),
        ([code("1", "a", grade=True), code("1", "b", grade=True, grade_id="a")], "nbgrader",
         "grade_id 'a' is there twice"),
        ([code("1", "a", solution=True)], "nbgrader", "no test cell: there is nothing to judge"),
        ([code("1")], "auto", "no marker of nbgrader or otter; say which with --from"),
        ([code("1", "a", grade=True), text("# BEGIN TESTS", RAW)], "auto", "markers of both"),
        ([text("# BEGIN QUESTION\nname: q", RAW)], "otter", "BEGIN QUESTION without its end"),
        ([text("# BEGIN QUESTION\npoints: 2", RAW)], "otter", "a question needs a name"),
        ([text("# BEGIN QUESTION\n- q", RAW)], "otter", "not a YAML table"),
        ([text("# BEGIN QUESTION\nname: [", RAW)], "otter", "not a YAML table"),
        ([text("# BEGIN TESTS", RAW)], "otter", "BEGIN TESTS outside a question"),
        ([text("# END QUESTION", RAW)], "otter", "END QUESTION without BEGIN"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# BEGIN QUESTION\nname: r", RAW)], "otter",
         "BEGIN QUESTION inside question q"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# END TESTS", RAW)], "otter",
         "END TESTS without BEGIN TESTS"),
        ([text("# BEGIN QUESTION\nname: q", RAW), text("# BEGIN TESTS", RAW),
          text("# BEGIN TESTS", RAW)], "otter", "BEGIN TESTS inside TESTS"),
        ([code("1\n# BEGIN SOLUTION\n2")], "otter", "line 2: # BEGIN SOLUTION without # END"),
        ([code("# END SOLUTION")], "otter", "line 1: # END SOLUTION without"),
        ([code("# BEGIN SOLUTION\n# BEGIN SOLUTION")], "otter", "line 2: # BEGIN SOLUTION inside"),
    ],
)  # fmt: skip
def test_a_broken_master_names_cell_and_line(
    cells: list[dict[str, Any]], kind: str, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path, *cells)
    with pytest.raises(BadAssignment) as caught:
        write_layout(read_assignment(path, kind), path, tmp_path / "lab", KEY, PACKAGE)
    assert said in str(caught.value)
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"cells": 3}', b'{"cells": [{}]}', b"\xff",
                                     b'{"cells": [{"source": "1", "cell_type": "code"}, 5]}',
                                     b"[" * 100_000])  # fmt: skip
def test_what_is_no_notebook(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ipynb"
    path.write_bytes(content)
    with pytest.raises(BadAssignment, match="not a notebook of format 4"):
        read_assignment(path)


def test_other_languages_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadAssignment, match="its language is R"):
        read_assignment(write(tmp_path, code("1"), language_info={"name": "R"}))


def test_odd_requests(tmp_path: Path) -> None:
    path = nbgrader_master(tmp_path)
    with pytest.raises(ValueError, match="Expected 'nbgrader', 'otter' or 'auto', got 'ok'"):
        read_assignment(path, "ok")
    for key, package, said in (
        ("sums", PACKAGE, "a capstone key like"),
        ("imported/1-sums", PACKAGE, "a capstone key like"),
        (KEY, "two words", "a package name like"),
        (KEY, "class", "a package name like"),
    ):
        with pytest.raises(ValueError, match=said):
            write_layout(read_assignment(path), path, tmp_path / "lab", key, package)
    with pytest.raises(FileExistsError, match="not an empty folder"):
        write_layout(read_assignment(path), path, tmp_path, KEY, PACKAGE)
