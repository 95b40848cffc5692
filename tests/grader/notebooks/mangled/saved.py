"""What tools do to the file: names and outputs lost, broken off, merged, saved in another form."""

from __future__ import annotations

import copy
import json
from typing import Any

from tests.grader.notebooks.mangled.corpus import (
    ANSWER,
    BEFORE,
    Notebook,
    answer,
    own,
    repaired,
    reported,
    skeleton,
    source,
)


@repaired("")
def ids_dropped(notebook: Notebook) -> Notebook:
    """Saved as nbformat 4.4: nbgrader's names are left."""
    for cell in notebook["cells"]:
        del cell["id"]
    return notebook | {"nbformat_minor": 4}


@repaired("")
def ids_drawn_anew(notebook: Notebook) -> Notebook:
    for number, cell in enumerate(notebook["cells"]):
        cell["id"] = f"{number * 2654435761 % 2**32:08x}"
    return notebook


@repaired("")
def metadata_lost(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        cell["metadata"] = {}
    return notebook


@repaired("found by what it says")
def ids_and_metadata_lost(notebook: Notebook) -> Notebook:
    return ids_drawn_anew(metadata_lost(notebook))  # type: ignore[arg-type, return-value]


@repaired("found by what it says")
def names_lost_and_authors_cells_edited(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and cell["id"] not in (ANSWER, BEFORE):
            cell["source"] = source(cell) + "\nprint('seen')"
    return ids_drawn_anew(metadata_lost(notebook))  # type: ignore[arg-type, return-value]


@repaired("")
def metadata_of_wrong_types(notebook: Notebook) -> Notebook:
    wrong: list[Any] = [None, 3, "x", [], {"nbgrader": None}, {"nbgrader": []},
                        {"nbgrader": {"grade_id": 7}}, {"tags": 5}]  # fmt: skip
    for number, cell in enumerate(notebook["cells"]):
        cell["metadata"] = wrong[number % len(wrong)]
        cell["execution_count"] = "many"
    return notebook | {"metadata": [], "nbformat": "4", "nbformat_minor": None}


@repaired("")
def outputs_stripped(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return notebook


@repaired("")
def outputs_lost_from_the_file(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    return notebook


@repaired("")
def huge_outputs(notebook: Notebook) -> Notebook:
    text = {"output_type": "stream", "name": "stdout", "text": ["x" * 99 + "\n"] * 40_000}
    picture = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "A" * 2**22}}
    for cell in notebook["cells"][4:6]:
        cell["outputs"] = [text, picture]
    return notebook


@repaired("")
def outputs_that_are_not_json(notebook: Notebook) -> Notebook:
    """Python writes NaN and Infinity, and Plotly has them in its figures."""
    data = {"application/vnd.plotly.v1+json": {"x": [float("nan"), float("inf"), -float("inf")]}}
    answer(notebook)["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": data}]
    return notebook


def text_of(notebook: Notebook) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


@repaired("byte order mark")
def with_a_byte_order_mark(notebook: Notebook) -> bytes:
    return b"\xef\xbb\xbf" + text_of(notebook).encode()


@repaired("byte order mark")
def as_utf_16(notebook: Notebook) -> bytes:
    return b"\xff\xfe" + text_of(notebook).encode("utf-16-le")


@repaired("")
def with_windows_line_ends(notebook: Notebook) -> bytes:
    for cell in notebook["cells"]:
        cell["source"] = source(cell).replace("\n", "\r\n")
    return text_of(notebook).replace("\n", "\r\n").encode()


@repaired("commas too many")
def with_trailing_commas(notebook: Notebook) -> bytes:
    text = text_of(notebook).replace("\n  }\n", "\n  },\n").replace("\n   ]\n", "\n   ],\n")
    return text.encode()


@repaired("broken after")
def broken_off_below_the_answer(notebook: Notebook) -> bytes:
    text = text_of(notebook)
    return text[: text.index('"id": "checksum"')].encode()


@reported("This cell is missing")
def broken_off_in_the_answer(notebook: Notebook) -> bytes:
    text = text_of(notebook)
    return text[: text.index("struct.unpack")].encode()


@repaired("behind its cells was left out")
def saved_over_a_longer_file(notebook: Notebook) -> bytes:
    text = text_of(notebook)
    return (text + text[-500:]).encode()


@repaired("bytes that are not UTF-8")
def bytes_that_are_no_text(notebook: Notebook) -> bytes:
    notebook["cells"].append(own("caf@", "note", "markdown"))
    return text_of(notebook).encode().replace(b"caf@", b"caf\xe9")


def merge_of(ours: str, theirs: str) -> bytes:
    """As git writes it: the lines that differ, one block."""
    a, b = ours.splitlines(keepends=True), theirs.splitlines(keepends=True)
    head = next(i for i, pair in enumerate(zip(a, b, strict=False)) if pair[0] != pair[1])
    tail = next(
        i for i, pair in enumerate(zip(a[::-1], b[::-1], strict=False)) if pair[0] != pair[1]
    )
    block = ["<<<<<<< HEAD\n", *a[head : len(a) - tail], "=======\n", *b[head : len(b) - tail]]
    return "".join([*a[:head], *block, ">>>>>>> origin/main\n", *a[len(a) - tail :]]).encode()


@repaired("both sides of a git merge")
def a_merge_of_execution_counts(notebook: Notebook) -> bytes:
    other = copy.deepcopy(notebook)
    answer(other)["execution_count"] = 99
    return merge_of(text_of(notebook), text_of(other))


@repaired("the one that was changed, is used")
def a_merge_with_the_cell_not_begun(notebook: Notebook) -> bytes:
    other = copy.deepcopy(notebook)
    answer(other)["source"] = skeleton(notebook)
    return merge_of(text_of(other), text_of(notebook))


@reported("2 different versions of this cell")
def a_merge_of_two_answers(notebook: Notebook) -> bytes:
    other = copy.deepcopy(notebook)
    answer(other)["source"] = source(answer(notebook)).replace("<4s", "=4s")
    return merge_of(text_of(other), text_of(notebook))


@repaired("")
def as_version_3(notebook: Notebook) -> Notebook:
    """As IPython 2 saved: worksheets, `input`, headings, no ids."""
    cells = []
    for cell in notebook["cells"]:
        old = {"cell_type": cell["cell_type"], "metadata": cell["metadata"]}
        if cell["cell_type"] == "code":
            old |= {"input": source(cell), "outputs": [], "language": "python", "collapsed": False}
        else:
            old |= {"source": source(cell)}
        cells.append(old)
    return {"metadata": {"name": ""}, "nbformat": 3, "nbformat_minor": 0,
            "worksheets": [{"cells": cells, "metadata": {}}]}  # fmt: skip


@repaired("read as jupytext writes them")
def as_a_script(notebook: Notebook) -> bytes:
    """The percent format, nbgrader's metadata kept."""
    parts = ["# ---\n# jupyter:\n#   jupytext:\n#     formats: ipynb,py:percent\n# ---\n"]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            facts = json.dumps(cell["metadata"].get("nbgrader", {}))
            parts.append(f"# %% nbgrader={facts}\n{source(cell)}\n")
        else:
            text = "\n".join(f"# {line}" for line in source(cell).split("\n"))
            parts.append(f"# %% [markdown]\n{text}\n")
    return "\n".join(parts).encode()


@repaired("")
def with_jupytext_in_its_header(notebook: Notebook) -> Notebook:
    notebook["metadata"]["jupytext"] = {"formats": "ipynb,py:percent", "main_language": "python"}
    return notebook
