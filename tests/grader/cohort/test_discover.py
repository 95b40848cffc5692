"""Every layout people hand work in is read, and what is none of them is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.cohort.discover import ATTEMPTS, capped, discover, learner_problem

KEY, PACKAGE = "toys/01-toy", "toy"


def seen(folder: Path) -> tuple[list[tuple[str, int, str]], dict[str, str]]:
    found, odd = discover(folder, KEY, PACKAGE)
    return (
        [(f.learner, f.attempt, f.path.relative_to(folder).as_posix()) for f in found],
        {o.path.relative_to(folder).as_posix(): o.reason for o in odd},
    )


def make(folder: Path, *names: str) -> None:
    """Folders, and files for names with an ending."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix:
            path.write_bytes(b"content")
        else:
            path.mkdir()


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["ann/toy"], [("ann", 1, "ann")]),
        (["ann/capstone.ipynb"], [("ann", 1, "ann")]),
        (["ann.zip"], [("ann", 1, "ann.zip")]),
        (["Zoë O. Müller.tar.gz"], [("Zoë O. Müller", 1, "Zoë O. Müller.tar.gz")]),
        (["ann.tgz", "bob.TAR"], [("ann", 1, "ann.tgz"), ("bob", 1, "bob.TAR")]),
        (["ann/toys/01-toy/toy", "ann/toys/02-other/x"], [("ann", 1, "ann/toys/01-toy")]),
        (["ann/exercises/toys/01-toy/toy"], [("ann", 1, "ann/exercises/toys/01-toy")]),
        (["submitted/ann/lab1/toy"], [("ann", 1, "submitted/ann/lab1")]),
        (
            ["submitted/ann/01-toy/toy", "submitted/ann/old/toy", "submitted/ann/timestamp.txt"],
            [("ann", 1, "submitted/ann/01-toy")],
        ),
        (
            ["ann/attempt-1/toy", "ann/attempt-12/toy", "ann/attempt-2.zip"],
            [
                ("ann", 1, "ann/attempt-1"),
                ("ann", 2, "ann/attempt-2.zip"),
                ("ann", 12, "ann/attempt-12"),
            ],
        ),
        (["ann/toys/01-toy/attempt-3/toy"], [("ann", 3, "ann/toys/01-toy/attempt-3")]),
        (["submitted/ann/lab1/attempt-3/toy"], [("ann", 3, "submitted/ann/lab1/attempt-3")]),
        (["ann", "bob/notes.txt"], [("ann", 1, "ann"), ("bob", 1, "bob")]),
        ([], []),
    ],
)
def test_layouts(tmp_path: Path, names: list[str], expected: object) -> None:
    make(tmp_path, *names)
    found, odd = seen(tmp_path)
    assert found == expected
    assert odd == {}


@pytest.mark.parametrize(
    ("names", "where", "words"),
    [
        (["grades.csv"], "grades.csv", "neither a folder nor an archive"),
        ([".git/config.x"], ".git", "hidden"),
        (["__MACOSX/toy"], "__MACOSX", "hidden"),
        (["local/toy"], "local", "kept for work on one's own machine"),
        (["-ann/toy"], "-ann", "opens with a letter"),
        (["ann /toy"], "ann ", "letters, digits"),
        (["a\x1b[31m/toy"], "a\x1b[31m", "letters, digits"),
        (["e\u0301va/toy"], "e\u0301va", "NFC"),
        (["x" * 120 + "/toy"], "x" * 120, "longer than 100"),
        (["ann/one/toy", "ann/two/toy"], "ann", "several hold toy: one, two"),
        (["ann/toy", "ann.zip"], "ann.zip", "ann is attempt 1 of ann already"),
        (["ann/attempt-1.txt", "ann/attempt-1/toy"], "ann/attempt-1.txt", None),
        (["submitted/ann/toy", "release/x"], "release", "beside the folder 'submitted'"),
    ],
)
def test_what_is_none_is_named(
    tmp_path: Path, names: list[str], where: str, words: str | None
) -> None:
    make(tmp_path, *names)
    _, odd = seen(tmp_path)
    if words is None:  # a file beside the attempts says nothing
        assert odd == {}
    else:
        assert list(odd) == [where]
        assert words in odd[where]


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """A learner cannot hand in what somebody else wrote by pointing at it."""
    make(tmp_path, "ann/toy", "bob/attempt-2/toy", "cid")
    (tmp_path / "eve").symlink_to("ann")
    (tmp_path / "bob" / "attempt-1").symlink_to("../ann")
    (tmp_path / "cid" / "lab1").symlink_to("../ann")
    (tmp_path / "dan").mkdir()
    (tmp_path / "dan" / "toys").symlink_to(tmp_path)
    (tmp_path / "01-toy").mkdir()
    found, odd = seen(tmp_path)
    assert ("ann", 1, "ann") in found
    assert {path for _, _, path in found} == {"ann", "bob/attempt-2", "cid", "dan", "01-toy"}
    assert set(odd) == {"eve", "bob/attempt-1"}


def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything: run the tests as an ordinary user")
    make(tmp_path, "ann/toy", "bob/toy")
    (tmp_path / "bob").chmod(0)
    try:
        found, odd = seen(tmp_path)
    finally:
        (tmp_path / "bob").chmod(0o755)
    assert [f[0] for f in found] == ["ann"]
    assert "may not be read" in odd["bob"]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder_at_all(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "submissions"
    if kind == "file":
        path.write_text("")
    with pytest.raises(NotADirectoryError, match="submissions"):
        discover(path, KEY, PACKAGE)


@given(st.text(min_size=1, max_size=120))
def test_a_name_that_is_let_through_is_one_plain_file_name(name: str) -> None:
    if not learner_problem(name):
        assert Path("x", name).parts == ("x", name)
        assert name.isprintable()
        assert name not in (".", "..", "local")
        assert not name.startswith((".", "-", " "))


def test_a_learner_who_numbers_forty_attempts(tmp_path: Path) -> None:
    """Each draws hidden inputs of its own, and the best one counts."""
    make(tmp_path, *(f"ada/attempt-{n}/toy" for n in range(1, 41)), "bob/toy")
    found, odd = capped(discover(tmp_path, KEY, PACKAGE)[0], ATTEMPTS)
    assert [(f.learner, f.attempt) for f in found] == [
        *(("ada", n) for n in range(36, 41)),
        ("bob", 1),
    ]
    assert len(odd) == 35
    assert odd[0].path == tmp_path / "ada" / "attempt-1"
    assert "40 attempts, and the last 5 of a learner are judged: --attempts allows" in odd[0].reason
