"""Reading a notebook that editors, tools and accidents have been at.

A notebook is JSON, and what is handed in is often nearly so: saved with a byte order mark, with
the two sides of a git merge, cut off by a full disk, with a comma too many, in the format of
2013, or as the script that jupytext makes of it. Where only one reading is possible it is read,
and `Salvaged.notes` says what was put right. Nothing but the cells is kept: outputs, however
large, are passed over without being built.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from meridian.errors import MeridianError

__all__ = ["MAX_CELLS", "MAX_SOURCE_CHARS", "Cell", "NotANotebook", "Salvaged", "read_notebook"]

MAX_CELLS = 2_000
MAX_SOURCE_CHARS = 1_000_000
_MAX_TEXT_CHARS = 50_000  # of a text cell: pictures may be pasted into it
_MAX_FACTS_BYTES = 1 << 16  # of a cell's metadata; more is not looked at
_MAX_MENDED_CHARS = 4 << 20  # of a broken file; mending builds all of it
_NULL = msgspec.Raw(b"null")
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
          (codecs.BOM_UTF16_BE, "utf-16-be"))  # fmt: skip
# A string is taken whole, closed or not, so that no text makes this slow.
_TIDIED = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|,(?=\s*+[\]}])|-?\b(?:NaN|Infinity)\b', re.DOTALL)
_CELLS = re.compile(r'"cells"\s*+:\s*+\[')
_PERCENT = re.compile(r"^# %%[ \t]*(?P<options>.*)$", re.MULTILINE)
_OPTION_ID = re.compile(r'\bid="([^"]*)"')
_OPTION_NBGRADER = re.compile(r"\bnbgrader=(\{[^{}]*\})")


class NotANotebook(MeridianError, ValueError):
    """A file in which no cells can be found. `fix` says what to do about it."""

    def __init__(self, reason: str, fix: str = "Save it again in JupyterLab.") -> None:
        self.reason = reason
        self.fix = fix
        super().__init__(f"capstone.ipynb is not a notebook: {reason}. {fix}")


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """What matters of one cell: `number` counts from 1 in the order of the file."""

    kind: str = "code"
    id: str = ""
    grade_id: str = ""
    source: str = ""
    number: int = 0


class Salvaged(msgspec.Struct, frozen=True):
    """The cells of a file, and what had to be put right to read them."""

    cells: tuple[Cell, ...]
    notes: tuple[str, ...] = ()


class _Entry(msgspec.Struct):
    cell_type: msgspec.Raw = _NULL
    id: msgspec.Raw = _NULL
    metadata: msgspec.Raw = _NULL
    source: msgspec.Raw = _NULL
    input: msgspec.Raw = _NULL  # the name of `source` up to version 3


class _Sheet(msgspec.Struct):
    cells: list[msgspec.Raw] = []


class _File(msgspec.Struct):
    cells: list[msgspec.Raw] | None = None
    worksheets: list[_Sheet] | None = None  # version 3


def read_notebook(data: bytes) -> Salvaged:
    """The cells of the notebook in `data`. Raises `NotANotebook`."""
    try:
        return Salvaged(_numbered(_entries(data)))
    except (msgspec.ValidationError, RecursionError) as error:
        raise NotANotebook(_in_words(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    text, notes = _decoded(data)
    sides = _sides(text)
    if sides is None:
        cells, more = _mended(text)
        return Salvaged(_numbered(cells), (*notes, *more))
    notes.append("it holds both sides of a git merge: cells that differ were taken from both")
    ours, more = _mended(sides[0])
    theirs, _ = _mended(sides[1])
    known = {(cell.kind, cell.id, cell.source) for cell in ours}
    added = [cell for cell in theirs if (cell.kind, cell.id, cell.source) not in known]
    return Salvaged(_numbered([*ours, *added]), (*notes, *more))


def _entries(data: bytes) -> list[Cell]:
    file = msgspec.json.decode(data, type=_File)
    raws = file.cells
    if raws is None:
        if file.worksheets is None:
            raise NotANotebook("it has no list of cells")
        raws = [raw for sheet in file.worksheets for raw in sheet.cells]
    if len(raws) > MAX_CELLS:
        raise NotANotebook(f"{len(raws)} cells, more than {MAX_CELLS}", "Remove what is not yours.")
    cells = [_cell(raw) for raw in raws]
    if raws and not any(cells):
        raise NotANotebook("what it lists are no cells")
    return [cell for cell in cells if cell is not None]


def _cell(raw: msgspec.Raw) -> Cell | None:
    """One cell; ``None`` for what is none. A field of the wrong type counts as not there."""
    try:
        entry = msgspec.json.decode(raw, type=_Entry)
    except msgspec.DecodeError:
        return None
    source = _source(entry.source) or _source(entry.input)
    named = _grade_id(_plain(entry.metadata))
    return _made(_plain(entry.cell_type), _plain(entry.id), named, source)


def _grade_id(metadata: Any) -> Any:
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return nbgrader.get("grade_id") if isinstance(nbgrader, dict) else None


def _made(kind: Any, name: Any, grade_id: Any, source: str) -> Cell:
    kind = kind if kind in ("markdown", "raw", "heading") else "code"
    source = source if kind == "code" else source[:_MAX_TEXT_CHARS]
    return Cell(
        kind=kind,
        id=name if isinstance(name, str) else "",
        grade_id=grade_id if isinstance(grade_id, str) else "",
        # A lone surrogate cannot be sent to a kernel; a carriage return is an editor's.
        source=source.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n"),
    )


def _plain(raw: msgspec.Raw) -> Any:
    if len(memoryview(raw)) > _MAX_FACTS_BYTES:
        return None
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None


def _source(raw: msgspec.Raw) -> str:
    try:
        return _joined(msgspec.json.decode(raw, type=str | list[str]))
    except (msgspec.DecodeError, RecursionError):
        return _joined(_plain(raw))


def _joined(source: Any) -> str:
    if isinstance(source, list):
        return "".join(line for line in source if isinstance(line, str))
    return source if isinstance(source, str) else ""


def _numbered(cells: list[Cell]) -> tuple[Cell, ...]:
    if sum(len(cell.source) for cell in cells) > MAX_SOURCE_CHARS:
        reason = f"its cells hold more than {MAX_SOURCE_CHARS} characters"
        raise NotANotebook(reason, "Keep data in files, not in cells.")
    replace = msgspec.structs.replace
    return tuple(replace(cell, number=number) for number, cell in enumerate(cells, 1))


# -- files that are not quite JSON ---------------------------------------------------------------


def _decoded(data: bytes) -> tuple[str, list[str]]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            text = data[len(mark) :].decode(encoding, "replace")
            return text, ["its byte order mark was left out"]
    try:
        return data.decode(), []
    except UnicodeDecodeError:
        return data.decode(errors="replace"), ["bytes that are not UTF-8 were replaced"]


def _sides(text: str) -> tuple[str, str] | None:
    """Both versions of a file with git's conflict markers; ``None`` without whole conflicts."""
    if "\n<<<<<<< " not in text:
        return None
    sides: tuple[list[str], list[str]] = ([], [])
    into = (True, True)
    for line in text.splitlines(keepends=True):
        if line.startswith("<<<<<<< ") and into == (True, True):
            into = (True, False)
        elif line.startswith("||||||| ") and into == (True, False):
            into = (False, False)  # what both began with
        elif line.rstrip() == "=======" and not into[1]:
            into = (False, True)
        elif line.startswith(">>>>>>> ") and into == (False, True):
            into = (True, True)
        else:
            for side, wanted in zip(sides, into, strict=True):
                if wanted:
                    side.append(line)
    return ("".join(sides[0]), "".join(sides[1])) if into == (True, True) else None


def _mended(text: str) -> tuple[list[Cell], list[str]]:
    """The cells of a file that is not JSON, and what was done to get them."""
    start = text.lstrip()
    if not start:
        raise NotANotebook("it is empty")
    if start[0] == "<":
        raise NotANotebook("it is a web page", "Download the file itself.")
    if start[0] != "{":
        return _script(text)
    if len(text) > _MAX_MENDED_CHARS:
        raise NotANotebook(f"damaged, and larger than {_MAX_MENDED_CHARS} characters")
    tidy = _TIDIED.sub(_tidied, text)
    notes = ["commas too many were left out"] if tidy.count(",") < text.count(",") else []
    try:
        return _entries(tidy.encode(errors="replace")), notes
    except (msgspec.ValidationError, RecursionError) as error:
        raise NotANotebook(_in_words(error)) from None
    except msgspec.DecodeError:
        return _one_by_one(tidy)


def _tidied(match: re.Match[str]) -> str:
    found = match[0]
    return found if found[0] == '"' else "" if found == "," else "null"


def _one_by_one(text: str) -> tuple[list[Cell], list[str]]:
    """The cells up to where a file breaks off."""
    begin = _CELLS.search(text)
    if begin is None:
        raise NotANotebook("it is not JSON, and no cell can be made out")
    decoder, at = json.JSONDecoder(strict=False), begin.end()
    cells: list[Cell] = []
    while True:
        at = _skip_blank(text, at)
        if text[at : at + 1] == "]":
            return cells, ["what stands behind its cells was left out"]
        try:
            found, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            break
        if not isinstance(found, dict) or len(cells) == MAX_CELLS:
            break
        source = _joined(found.get("source")) or _joined(found.get("input"))
        named = _grade_id(found.get("metadata"))
        cells.append(_made(found.get("cell_type"), found.get("id"), named, source))
    if not cells:
        raise NotANotebook("it breaks off before its first cell ends")
    return cells, [f"the file is broken after {len(cells)} cells; these were read"]


def _skip_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n,":
        at += 1
    return at


# -- scripts -------------------------------------------------------------------------------------


def _script(text: str) -> tuple[list[Cell], list[str]]:
    """The cells of a script in the percent format of jupytext, Spyder and VS Code."""
    text = text.replace("\r\n", "\n")
    heads = list(_PERCENT.finditer(text))
    if not heads:
        raise NotANotebook("it is not JSON")
    if len(heads) > MAX_CELLS:
        raise NotANotebook(f"{len(heads)} cells, more than {MAX_CELLS}")
    ends = [head.start() for head in heads[1:]] + [len(text)]
    cells = [_script_cell(head, text[head.end() : end].strip("\n"))
             for head, end in zip(heads, ends, strict=True)]  # fmt: skip
    return cells, ["it is a script: its cells were read as jupytext writes them"]


def _script_cell(head: re.Match[str], body: str) -> Cell:
    options = head["options"]
    kind = next((k for k in ("markdown", "raw") if f"[{k}]" in options), "code")
    if kind != "code":
        body = "\n".join(_uncommented(body))
    named = None
    if found := _OPTION_NBGRADER.search(options):
        facts = _plain(msgspec.Raw(found[1].encode()))
        named = facts.get("grade_id") if isinstance(facts, dict) else None
    name = _OPTION_ID.search(options)
    return _made(kind, name[1] if name else None, named, body)


def _uncommented(body: str) -> Iterator[str]:
    for line in body.split("\n"):
        yield line.removeprefix("#").removeprefix(" ")


def _in_words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "it is nested without end"
    return str(error).rstrip(".")
