"""Writing an assignment as a capstone of ours: a small lab of its own, ready to build and prove.

curriculum.toml                          the index, with the table of criteria
solutions/<key>/capstone.ipynb           the notebook, answers between markers
solutions/<key>/<package>/__init__.py    what the suite judges, answers between markers
grader/acceptance/<track>/test_<name>.py one test for each test there was
IMPORT.md                                what became what, and what could not be carried over
"""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path
from typing import Any

from grader.authoring.cutting import BuildError, check_api, cut_notebook, cut_source
from grader.markers.model import Assignment, BadAssignment, Cell, is_marked
from grader.markers.module import imports_of, module_source, speaking
from grader.markers.points import Table, tabulate
from grader.markers.suite import suite_source
from grader.markers.told import told
from grader.notebooks.cellcode import is_python
from grader.report import write_file

__all__ = ["slug_of", "write_layout"]

_KEY = re.compile(
    r"(?P<track>[a-z0-9]+(-[a-z0-9]+)*)/(?P<slug>\d\d-(?P<name>[a-z0-9]+(-[a-z0-9]+)*))"
)
_NOT_IN_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def slug_of(path: Path) -> str:
    """A module's slug for a notebook: ``Problem Set 1.ipynb`` is ``01-problem-set-1``."""
    words = re.findall(r"[a-z0-9]+", path.stem.lower()) or ["assignment"]
    return f"01-{'-'.join(words)}"


def write_layout(found: Assignment, path: Path, out: Path, key: str, package: str) -> list[Path]:
    """Write `found`, read from `path`, into the new or empty folder `out`; the files written.

    Raises `BadAssignment` when there is nothing to judge, `ValueError` for a bad key or package,
    `FileExistsError` when `out` holds anything, `OSError`.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise ValueError(f"Expected a capstone key like 'python/01-lists', got {key!r}")
    if not package.isidentifier() or keyword.iskeyword(package):
        raise ValueError(f"Expected a package name like 'lists', got {package!r}")
    if not found.questions:
        raise BadAssignment(path, "", 0, "it holds no test cell: there is nothing to judge")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not an empty folder. Name a new one with --out")
    table = tabulate(path, found.questions)
    for cell, _ in found.code:
        cell.question = min(cell.question, len(found.questions))
    module = module_source(found, package)
    suite = suite_source(found, table, module)
    notebook = _notebook(found)
    solution = Path("solutions", key)
    _try_to_cut(found, module, notebook, key)
    files = {
        solution / package / "__init__.py": module,
        solution / "capstone.ipynb": notebook,
        Path(
            "grader", "acceptance", match["track"], f"test_{match['name'].replace('-', '_')}.py"
        ): suite,
        Path("curriculum.toml"): _index(found, table, match, package, module),
    }
    files[Path("IMPORT.md")] = told(found, path, table, key, sorted(files))
    for name, text in files.items():
        write_file(out / name, text.encode())
    return [out / name for name in files]


def _notebook(found: Assignment) -> str:
    answers = {cell.name for cell, answer in found.code if answer}
    taken: set[str] = set()
    cells = []
    for cell in found.cells:
        name = _NOT_IN_AN_ID.sub("-", cell.name)[:60] or f"cell-{cell.number}"
        while name in taken:
            name += "-"
        taken.add(name)
        source = _answer(cell) if cell.name in answers else cell.source
        made: dict[str, Any] = {
            "cell_type": cell.kind if cell.kind in ("code", "markdown", "raw") else "raw",
            "id": name,
            "metadata": _metadata(cell, cell.name in answers),
            "source": source.splitlines(keepends=True),
        }
        if cell.attachments:
            made["attachments"] = cell.attachments
        if cell.kind == "code":
            made |= {"execution_count": None, "outputs": cell.outputs}
        cells.append(made)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _answer(cell: Cell) -> str:
    said = f"#{cell.question}: {cell.name}, as the text above asks"
    if is_marked(cell.source):
        return speaking(cell.source, said)
    return f"### BEGIN SOLUTION {said}\n{cell.source}\n### END SOLUTION"


def _metadata(cell: Cell, answer: bool) -> dict[str, object]:
    """What it was, without the other grader's; outputs that are not plain text are not compared."""
    kept = {k: v for k, v in cell.metadata.items() if k not in ("nbgrader", "otter")}
    plain = cell.outputs and all(
        output.get("output_type") == "stream" or set(output.get("data", ())) == {"text/plain"}
        for output in cell.outputs
    )
    if cell.kind == "code" and not answer and not plain:
        tags = kept.get("tags")
        kept["tags"] = [*(tags if isinstance(tags, list) else []), "nbval-ignore-output"]
    return kept


def _index(found: Assignment, table: Table, key: re.Match[str], package: str, module: str) -> str:
    """A course index of one track and one module."""
    roots = {text.split()[1].partition(".")[0] for text in imports_of(module).values()}
    criteria = "\n".join(
        f"  {{ id = {_toml(c.id)}, title = {_toml(c.title)}, points = {c.points} }},"
        for c in table.criteria
    )
    return f"""# Imported from {found.kind}; move the module into your own course's index.
[[tracks]]
slug = {_toml(key["track"])}
title = {_toml(key["track"].capitalize())}
system = {_toml(found.title)}
summary = {_toml(found.title)}

[[tracks.modules]]
slug = {_toml(key["slug"])}
title = {_toml(found.title)}
summary = {_toml(found.title)}
available = true
lessons = [{{ topic = "start", title = {_toml(found.title)} }}]
[tracks.modules.capstone]
title = {_toml(found.title)}
package = {_toml(package)}
allowed_imports = [{", ".join(map(_toml, sorted(roots)))}]
criteria = [
{criteria}
]
"""


def _toml(text: str) -> str:
    return json.dumps(text).replace("\x7f", "\\u007f")


def _try_to_cut(found: Assignment, module: str, notebook: str, key: str) -> None:
    """Tell the author now what `grader build` would say later."""
    for name, cut in (
        (
            "the package",
            lambda: check_api(
                module, cut_source(module, key, Path("__init__.py")), Path("__init__.py")
            ),
        ),
        ("the notebook", lambda: cut_notebook(notebook.encode(), key, Path("capstone.ipynb"))),
    ):
        try:
            cut()
        except BuildError as error:
            found.lose(name, f"cannot be cut yet: {error}", "Mend it, then run `grader build`.")
    if not is_python(module) and "\n" in module.strip():
        found.lose("the package", "it is not Python", "Mend it before anything else.")
