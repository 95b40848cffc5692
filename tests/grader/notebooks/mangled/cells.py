"""What learners do to cells: copy, split, merge, retype, delete, reorder and add them."""

from __future__ import annotations

import copy

from tests.grader.notebooks.mangled.corpus import (
    AFTER,
    ANSWER,
    BEFORE,
    Notebook,
    answer,
    at,
    like,
    own,
    repaired,
    reported,
    skeleton,
    source,
)


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
