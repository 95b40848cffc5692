"""Reading what is nearly a notebook, and refusing what is none, in bounded time and memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grader.notebooks.salvage import MAX_CELLS, MAX_SOURCE_CHARS, NotANotebook, read_notebook

CODE = '{"cell_type": "code", "source": "x = 1"}'


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"not json", "it is not JSON"),
        (b"\x00", "it is not JSON"),
        (b'{"cells": 3}', "Expected `array | null`"),
        (b'{"cells": ["a", null, []]}', "no cells"),
        (b'{"metadata": {}}', "no list of cells"),
        (b"[1]", "Expected `object`"),
        (b'{"cells": [', "breaks off before its first cell"),
        (b"{", "no cell can be made out"),
        (b'{"cells": ' + b"[" * 100_000, "nested without end"),
        (b'{"cells": [], "metadata": ' + b'{"a":' * 100_000, "nested without end"),
        (b"<!DOCTYPE html><html>", "a web page. Download the file itself"),
        (b'{"cells": [' + b"{}," * 100_000 + b"{}]}", f"more than {MAX_CELLS}"),
        (b"# %% a\n" * 100_000, f"more than {MAX_CELLS}"),
        (
            json.dumps({"cells": [{"source": "x" * (MAX_SOURCE_CHARS + 1)}]}).encode(),
            "Keep data in files",
        ),
        (b"{" + b" " * (5 << 20), "damaged, and larger"),
    ],
)
def test_what_is_no_notebook_says_why_and_what_to_do(data: bytes, said: str) -> None:
    with pytest.raises(NotANotebook, match=r"^capstone\.ipynb is not a notebook: ") as caught:
        read_notebook(data)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300
    assert caught.value.fix


def test_fields_of_the_wrong_type_count_as_not_there() -> None:
    cells = [
        {"cell_type": 7, "id": ["x"], "metadata": 3, "source": {"a": 1}},
        {"cell_type": "code", "source": ["a\n", 5, None, "b"]},
        {"source": None, "metadata": {"nbgrader": {"grade_id": "g"}}},
        "no cell",
        {"cell_type": "markdown", "id": "t", "source": "x" * 80_000},
    ]
    found = read_notebook(json.dumps({"cells": cells}).encode()).cells
    assert [(c.kind, c.id, c.grade_id, c.source[:3]) for c in found] == [
        ("code", "", "", ""), ("code", "", "", "a\nb"), ("code", "", "g", ""),
        ("markdown", "t", "", "xxx"),
    ]  # fmt: skip
    assert [c.number for c in found] == [1, 2, 3, 4]
    assert len(found[3].source) < 80_000, "pictures pasted into text are not kept"


def test_lone_surrogates_can_be_sent_to_a_kernel_afterwards() -> None:
    data = b'{"cells": [{"source": "a \\ud800 b"}], "metadata": {}}'
    (cell,) = read_notebook(data).cells
    assert cell.source.encode() == b"a ? b"


def test_outputs_are_passed_over_without_being_built() -> None:
    lists = "[" + "[]," * 2_000_000 + "[]]"
    data = f'{{"cells": [{{"source": "1", "outputs": {lists}}}, {CODE}]}}'.encode()
    tracemalloc.start()
    try:
        found = read_notebook(data)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [cell.source for cell in found.cells] == ["1", "x = 1"]
    assert peak_bytes < 3 * len(data)


@pytest.mark.parametrize(
    "filler", ['"', '\\"', "\\", ",", ", ", "[", "{", '{"a":', "# %% ", "NaN "]
)
def test_no_text_makes_it_slow(filler: str) -> None:
    """Quadratic work on a million characters would take minutes, not the moment this takes."""
    text = '{"cells": [' + filler * (1_000_000 // len(filler))
    with pytest.raises(NotANotebook):
        read_notebook(text.encode())


def test_unfinished_merges_are_no_merges() -> None:
    text = f'{{"cells": [\n<<<<<<< HEAD\n{CODE}\n=======\n{CODE}]}}'
    with pytest.raises(NotANotebook):
        read_notebook(text.encode())


def test_a_merge_with_its_base() -> None:
    sides = [CODE.replace("1", digit) for digit in "123"]
    marks = ("<<<<<<< a", "||||||| b", "=======")
    block = "\n".join(f"{mark}\n{side}" for mark, side in zip(marks, sides, strict=True))
    text = f'{{"cells": [\n{block}\n>>>>>>> c\n]}}'
    assert [cell.source for cell in read_notebook(text.encode()).cells] == ["x = 1", "x = 3"]


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b'{"cells": [{}, NaN]}')
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        found = read_notebook(data)
    except NotANotebook:
        return
    assert [cell.number for cell in found.cells] == list(range(1, len(found.cells) + 1))


FOUR = [
    {
        "cell_type": "code",
        "id": f"c{number}",
        "metadata": {},
        "source": [f"a{number} = 1\n", '"quoted, [text]"'],
        "outputs": [],
    }
    for number in range(4)
]
WHOLE = json.dumps({"cells": FOUR, "metadata": {}}, indent=1)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(WHOLE)))
def test_cut_anywhere_the_whole_cells_before_are_read(at: int) -> None:
    """Also an oracle: as many cells as `json` finds whole before the cut."""
    ends = [WHOLE.index(f'"c{n}"') for n in range(4)]
    closed = [WHOLE.index("\n  }", end) + 4 for end in ends]
    whole = sum(at >= end for end in closed)
    try:
        found = read_notebook(WHOLE[:at].encode()).cells
    except NotANotebook:
        assert whole == 0
    else:
        assert [cell.id for cell in found] == [f"c{n}" for n in range(whole)]


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(WHOLE) - 1), st.sampled_from('"\\,]}{[\n\x00é'))
def test_one_character_changed_is_read_or_refused(at: int, other: str) -> None:
    try:
        found = read_notebook((WHOLE[:at] + other + WHOLE[at + 1 :]).encode()).cells
    except NotANotebook:
        return
    assert len(found) <= 5
