"""What learners and tools do to a notebook: each function does one thing to one that was solved.

A mangler takes the notebook as a dict (its own copy) and returns what is handed in: the dict, or
bytes where the file is no longer JSON. `answer` finds the learner's cell, whose id is ``ANSWER``.
`REPAIRED` says what the report must tell, `REPORTED` which problem it must name instead.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

Notebook = dict[str, Any]
Mangler = Callable[[Notebook], "Notebook | bytes"]

ANSWER = "by-hand"
BEFORE, AFTER = "header", "offsets"  # the author's code cells around it
STUB = 'raise NotImplementedError("database/01-storage #1: fields of `raw` by hand")'
REPAIRED: dict[str, tuple[Mangler, str]] = {}
REPORTED: dict[str, tuple[Mangler, str]] = {}


def repaired(said: str) -> Callable[[Mangler], Mangler]:
    """The notebook gets the verdict of the one that was not mangled; `said` is told."""

    def enter(mangler: Mangler) -> Mangler:
        REPAIRED[mangler.__name__] = (mangler, said)
        return mangler

    return enter


def reported(said: str) -> Callable[[Mangler], Mangler]:
    """Nothing is guessed: the answer does not run, and `said` is told."""

    def enter(mangler: Mangler) -> Mangler:
        REPORTED[mangler.__name__] = (mangler, said)
        return mangler

    return enter


def at(notebook: Notebook, name: str = ANSWER) -> int:
    return next(i for i, cell in enumerate(notebook["cells"]) if cell["id"] == name)


def answer(notebook: Notebook) -> dict[str, Any]:
    found: dict[str, Any] = notebook["cells"][at(notebook)]
    return found


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def like(cell: dict[str, Any], text: str, **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(cell), "source": text, **changes}


def own(text: str, name: str = "9f8e7d6c", kind: str = "code") -> dict[str, Any]:
    cell = {"id": name, "cell_type": kind, "metadata": {}, "source": text}
    return cell | ({"outputs": [], "execution_count": 7} if kind == "code" else {})


def skeleton(notebook: Notebook) -> str:
    """The answer's cell as it was given out."""
    lines = source(answer(notebook)).split("\n")
    return "\n".join([*lines[:2], STUB, lines[-1]])


# -- copied --------------------------------------------------------------------------------------


@repaired("there 2 times, all alike")
def copied_with_the_same_id(notebook: Notebook) -> Notebook:
    notebook["cells"].insert(at(notebook) + 1, copy.deepcopy(answer(notebook)))
    return notebook


@repaired("there 2 times, all alike")
def copied_as_jupyterlab_copies(notebook: Notebook) -> Notebook:
    """A new id; the metadata, grade_id included, is copied."""
    notebook["cells"].append(like(answer(notebook), source(answer(notebook)), id="a1b2c3d4"))
    return notebook


@repaired("the one that was changed, is used")
def copied_then_the_copy_was_written(notebook: Notebook) -> Notebook:
    written = answer(notebook)
    notebook["cells"].insert(at(notebook) + 1, like(written, source(written), id="a1b2c3d4"))
    written["source"] = skeleton(notebook)
    return notebook


@repaired("the one that was changed, is used")
def copied_then_the_original_was_written(notebook: Notebook) -> Notebook:
    stub = like(answer(notebook), skeleton(notebook), id="a1b2c3d4")
    notebook["cells"].insert(at(notebook) + 1, stub)
    return notebook


@repaired("there 3 times: cell")
def an_old_version_was_made_raw(notebook: Notebook) -> Notebook:
    """What is raw or Markdown does not run in the lab either."""
    for kind in ("raw", "markdown"):
        old = like(answer(notebook), "magic = None", id=f"old-{kind}", cell_type=kind)
        notebook["cells"].append(old)
    return notebook


@reported("2 different versions of this cell")
def copied_and_both_were_written(notebook: Notebook) -> Notebook:
    other = source(answer(notebook)).replace("<4sIBHHI", "=4sIBHHI")
    assert other != source(answer(notebook))
    notebook["cells"].insert(at(notebook) + 1, like(answer(notebook), other, id="a1b2c3d4"))
    return notebook


@repaired("changed: it runs as the author wrote it")
def an_authors_cell_was_copied_and_changed(notebook: Notebook) -> Notebook:
    mine = notebook["cells"][at(notebook, BEFORE)]
    notebook["cells"].append(like(mine, "raw = b''", id="a1b2c3d4"))
    mine["source"] = "raw = None"
    return notebook


# -- split and merged ----------------------------------------------------------------------------


@repaired("split into cells")
def split_keeping_the_metadata(notebook: Notebook) -> Notebook:
    lines = source(answer(notebook)).split("\n")
    tail = like(answer(notebook), lines[-1], id="a1b2c3d4")
    notebook["cells"].insert(at(notebook) + 1, tail)
    answer(notebook)["source"] = "\n".join(lines[:-1])
    return notebook


@repaired("with cell")
def split_losing_the_metadata(notebook: Notebook) -> Notebook:
    lines = source(answer(notebook)).split("\n")
    notebook["cells"].insert(at(notebook), own("\n".join(lines[:1])))
    answer(notebook)["source"] = "\n".join(lines[1:])
    return notebook


@repaired("with cell")
def a_helper_in_a_cell_of_its_own(notebook: Notebook) -> Notebook:
    written = source(answer(notebook))
    notebook["cells"].insert(0, own("LAYOUT = '<4sIBHHI'"))
    answer(notebook)["source"] = written.replace('"<4sIBHHI"', "LAYOUT")
    return notebook


@repaired("merged with header: taken apart")
def merged_with_the_authors_cell_above(notebook: Notebook) -> Notebook:
    above = notebook["cells"].pop(at(notebook, BEFORE))
    answer(notebook)["source"] = source(above) + "\n\n" + source(answer(notebook))
    return notebook


@repaired("merged with offsets: taken apart")
def merged_with_the_authors_cell_below(notebook: Notebook) -> Notebook:
    below = notebook["cells"].pop(at(notebook, AFTER))
    answer(notebook)["source"] = source(answer(notebook)) + "\n" + source(below)
    return notebook


@repaired("found by what it says")
def merged_into_the_authors_cell_above(notebook: Notebook) -> Notebook:
    mine = notebook["cells"].pop(at(notebook))
    above = notebook["cells"][at(notebook, BEFORE)]
    above["source"] = source(above) + "\n" + source(mine)
    return notebook


# -- retyped -------------------------------------------------------------------------------------


def _retyped(notebook: Notebook, name: str, kind: str) -> Notebook:
    cell = notebook["cells"][at(notebook, name)]
    cell["cell_type"] = kind
    del cell["outputs"], cell["execution_count"]
    return notebook


@repaired("made markdown: run as the code it is")
def the_answer_made_markdown(notebook: Notebook) -> Notebook:
    return _retyped(notebook, ANSWER, "markdown")


@repaired("made raw: run as the code it is")
def the_answer_made_raw(notebook: Notebook) -> Notebook:
    return _retyped(notebook, ANSWER, "raw")


@repaired("made markdown: it runs as the code it was")
def an_authors_cell_made_markdown(notebook: Notebook) -> Notebook:
    return _retyped(notebook, BEFORE, "markdown")


@reported("make it code again")
def the_answer_made_prose(notebook: Notebook) -> Notebook:
    answer(notebook)["source"] = "I would unpack the fields with one struct format."
    return _retyped(notebook, ANSWER, "markdown")


@repaired("")
def the_authors_text_made_code(notebook: Notebook) -> Notebook:
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell |= {"cell_type": "code", "outputs": [], "execution_count": None}
    return notebook


# -- deleted, emptied, reordered -----------------------------------------------------------------


@repaired("missing: restored")
def an_authors_cell_deleted(notebook: Notebook) -> Notebook:
    del notebook["cells"][at(notebook, BEFORE)]
    return notebook


@repaired("missing: restored")
def only_the_answer_left(notebook: Notebook) -> Notebook:
    notebook["cells"] = [answer(notebook)]
    return notebook


@reported("This cell is missing")
def the_answer_deleted(notebook: Notebook) -> Notebook:
    del notebook["cells"][at(notebook)]
    return notebook


@reported("Not written yet")
def the_answer_emptied(notebook: Notebook) -> Notebook:
    answer(notebook)["source"] = ""
    return notebook


@reported("Not written yet")
def the_answer_commented_out(notebook: Notebook) -> Notebook:
    lines = source(answer(notebook)).split("\n")
    answer(notebook)["source"] = "\n".join(f"# {line}" for line in lines)
    return notebook


@reported("Not written yet")
def the_answer_not_begun(notebook: Notebook) -> Notebook:
    answer(notebook)["source"] = skeleton(notebook)
    return notebook


@repaired("last lines were changed: they run as they were")
def the_authors_check_taken_out(notebook: Notebook) -> Notebook:
    lines = source(answer(notebook)).split("\n")
    answer(notebook)["source"] = "\n".join(lines[:-1])
    return notebook


@repaired("stood in another order")
def reversed_order(notebook: Notebook) -> Notebook:
    notebook["cells"].reverse()
    return notebook


@repaired("found by what it says")
def written_below_the_stub(notebook: Notebook) -> Notebook:
    """The cell to fill in left alone, the answer in a new one below it."""
    lines = source(answer(notebook)).split("\n")
    notebook["cells"].insert(at(notebook) + 1, own("\n".join(lines[:-1])))
    answer(notebook)["source"] = skeleton(notebook)
    return notebook


# -- names of cells ------------------------------------------------------------------------------


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


# -- added ---------------------------------------------------------------------------------------


@repaired("")
def empty_cells_added(notebook: Notebook) -> Notebook:
    cells = []
    for number, cell in enumerate(notebook["cells"]):
        cells += [own("", f"e{number}"), cell, own(" \n\t", f"f{number}", "markdown")]
    return notebook | {"cells": cells}


@repaired("cells of its own are not run")
def experiments_added(notebook: Notebook) -> Notebook:
    """Which would spoil what is judged, were they run."""
    notebook["cells"].insert(at(notebook), own("raw = bytes(4096)", "x1"))
    notebook["cells"].insert(at(notebook) + 1, own("import os\nos._exit(0)", "x2"))
    notebook["cells"].append(own("%%bash\nrm -rf /", "x3"))
    return notebook


@repaired("")
def directives_of_nbval_added(notebook: Notebook) -> Notebook:
    marks = ["NBVAL_SKIP", "NBVAL_IGNORE_OUTPUT", "NBVAL_CHECK_OUTPUT", "NBVAL_RAISES_EXCEPTION"]
    head = "".join(f"#   {mark}\n #{mark}\n" for mark in marks)
    answer(notebook)["source"] = head + source(answer(notebook))
    tags = ["nbval-skip", "nbval-ignore-output", "nbval-raises-exception", "raises-exception"]
    for cell in notebook["cells"]:
        cell["metadata"]["tags"] = tags
    return notebook


@repaired("a magic that only measures was left out")
def a_measuring_magic_added(notebook: Notebook) -> Notebook:
    answer(notebook)["source"] = "%%timeit -n 3\n" + source(answer(notebook))
    return notebook


# -- outputs -------------------------------------------------------------------------------------


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


# -- the file ------------------------------------------------------------------------------------


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
