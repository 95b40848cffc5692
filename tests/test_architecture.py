"""Who may import whom (docs/architecture.md), read from the source of every module.

Imports inside functions count as much as those at the top: laziness is no licence. The one
exception is the academy's core, which may load a system when asked to show it.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("meridian", "grader")
LONGEST_FILE = 400
SYSTEMS = ("foundation", "database", "pipelines")

#: What each part of the house may import beside itself.
ALLOWED = {
    "root": set(),
    "orbital": {"root"},
    "foundation": {"root", "orbital"},
    "database": {"root", "orbital"},
    "pipelines": {"root", "orbital", "foundation"},
    "testing": {"root", "orbital"},
    "academy": {"root", "orbital", "testing", *SYSTEMS},
    "grader": {"root", "orbital", "testing", "academy", "foundation"},
}


class Import(NamedTuple):
    target: str
    line: int
    lazy: bool  # inside a function


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources() -> dict[str, Path]:
    return {
        module_name(path): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


SOURCES = sources()


def imports_of(name: str, source: str, *, package: bool, known: set[str]) -> list[Import]:
    """Every module of ours that `source` imports, in full, wherever the statement stands."""
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, lazy) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                home = name.split(".")
                home = home[: len(home) - node.level + package]
                base = ".".join([*home, *([node.module] if node.module else [])])
            for alias in node.names:
                deeper = f"{base}.{alias.name}"
                found.append(Import(deeper if deeper in known else base, node.lineno, lazy))
        lazy = lazy or isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for child in ast.iter_child_nodes(node):
            visit(child, lazy)

    visit(ast.parse(source), False)
    return [item for item in found if item.target.split(".")[0] in PACKAGES]


def part_of(name: str) -> str:
    first, _, rest = name.partition(".")
    if first == "grader":
        return "grader"
    second = rest.split(".")[0]
    return second if second in ALLOWED else "root"


def order_of_modules() -> dict[str, list[str]]:
    """Sub-packages of each track in the order they are taught; the collector (00) comes last."""
    tracks = tomllib.loads((ROOT / "curriculum.toml").read_text())["tracks"]
    return {
        track["slug"]: [
            slug.split("-", 1)[1].replace("-", "_")
            for slug in sorted(
                (module["slug"] for module in track["modules"]),
                key=lambda slug: (slug.startswith("00-"), slug),
            )
        ]
        for track in tracks
    }


ORDER = order_of_modules()
ORDER["pipelines"].append("collector")  # planned; not in the index yet


def objection(importer: str, item: Import) -> str | None:
    """Why `importer` may not import this, or ``None``."""
    here, there = part_of(importer), part_of(item.target)
    if there == "grader" and here != "grader":
        door = importer == "meridian.academy.cli" or importer.startswith(
            "meridian.academy.commands"
        )
        return None if door else "only the command line imports the grader"
    if here == there:
        return _backwards(here, importer, item.target)
    if importer.startswith("grader.acceptance.") and "_probe" in importer and there in SYSTEMS:
        return None  # runs in the submission's worker, on the library that the submission is given
    if there not in ALLOWED[here]:
        return f"{here} may import {', '.join(sorted(ALLOWED[here])) or 'nothing of ours'}"
    if here == "academy" and there in (*SYSTEMS, "testing"):
        shows = importer.startswith(("meridian.academy.widgets", "meridian.academy.plots"))
        return None if shows or item.lazy else "only plots and widgets load a system at import"
    if here == "grader" and there == "foundation":
        bench = item.target.startswith("meridian.foundation.profiling")
        return None if bench else "the grader may not import a system that it judges"
    if here == "grader" and there == "academy":
        inner = item.target.startswith(("meridian.academy.cli", "meridian.academy.commands"))
        return "the command line calls the grader, not the other way round" if inner else None
    return None


def _backwards(track: str, importer: str, target: str) -> str | None:
    order = ORDER.get(track, [])
    mine, other = (
        name.split(".")[2] if name.count(".") >= 2 else "" for name in (importer, target)
    )
    if mine not in order or other not in order or order.index(other) <= order.index(mine):
        return None
    if importer.startswith("meridian.foundation.tasks.broker") and other == "channels":
        return None
    return f"{mine} is taught before {other}"


def test_every_import_follows_the_arrows() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{item.line} imports {item.target}: {reason}"
        for name, path in SOURCES.items()
        for item in imports_of(
            name, path.read_text(), package=path.name == "__init__.py", known=set(SOURCES)
        )
        if (reason := objection(name, item))
    ]
    assert not wrong, "\n".join(wrong)


def test_no_source_file_is_too_long_to_read() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in SOURCES.values()}
    long = [
        f"{path.relative_to(ROOT)} has {length} lines, more than {LONGEST_FILE}"
        for path, length in lengths.items()
        if length > LONGEST_FILE
    ]
    assert not long, "\n".join(long)


def test_the_parts_are_all_there() -> None:
    assert {part_of(name) for name in SOURCES} >= {"root", "orbital", "database", "grader"}
    unknown = {
        name.split(".")[1]
        for name in SOURCES
        if name.startswith("meridian.") and part_of(name) == "root"
    } - {"checks", "clock", "errors", "fs", "lazy"}
    assert not unknown, f"Say in ALLOWED what {unknown} may import"


@pytest.mark.parametrize(
    ("importer", "target", "lazy", "allowed"),
    [
        ("meridian.fs", "meridian.errors", False, True),
        ("meridian.fs", "meridian.orbital.tle", True, False),
        ("meridian.orbital.tle", "meridian.fs", False, True),
        ("meridian.orbital.tle", "meridian.database.storage", True, False),
        ("meridian.database.storage.page", "meridian.orbital.tle", False, True),
        ("meridian.database.storage.page", "meridian.foundation.channels", False, False),
        ("meridian.database.storage.page", "meridian.testing.faulty", True, False),
        ("meridian.database.wal.log", "meridian.database.storage.page", False, True),
        ("meridian.database.storage.page", "meridian.database.wal.log", True, False),
        ("meridian.pipelines.streams.x", "meridian.foundation.channels", False, True),
        ("meridian.pipelines.streams.x", "meridian.database.lsm", False, False),
        ("meridian.pipelines.collector.x", "meridian.pipelines.observability", False, True),
        ("meridian.pipelines.flow.x", "meridian.pipelines.collector", False, False),
        ("meridian.foundation.tasks.broker", "meridian.foundation.channels", False, True),
        ("meridian.foundation.tasks.scope", "meridian.foundation.channels", False, False),
        ("meridian.testing.storage.model", "meridian.database.storage", True, False),
        ("meridian.academy.progress", "meridian.database.storage", False, False),
        ("meridian.academy.doctor", "meridian.database.storage", True, True),
        ("meridian.academy.widgets.map", "meridian.database.storage", False, True),
        ("meridian.academy.widgets.map", "grader.job", True, False),
        ("meridian.academy.commands.judging", "grader.job", True, True),
        ("grader.job", "meridian.academy.curriculum", False, True),
        ("grader.job", "meridian.academy.cli", True, False),
        ("grader.races.race", "meridian.foundation.profiling.bench", False, True),
        ("grader.job", "meridian.foundation.tasks", False, False),
        ("grader.acceptance.database.test_storage", "meridian.database.storage", True, False),
    ],
)
def test_the_arrows_say_yes_and_no(importer: str, target: str, lazy: bool, allowed: bool) -> None:
    assert (objection(importer, Import(target, 1, lazy)) is None) == allowed


def test_imports_are_found_in_every_form() -> None:
    source = """
import os, meridian.fs
from meridian import clock
from meridian.database.storage import page, PAGE_SIZE
from . import rid
from .. import storage as s
from ...orbital.tle import TleRecord
if TYPE_CHECKING:
    import grader.job
class A:
    import meridian.errors
    def f(self):
        from meridian.testing import VirtualClock
"""
    known = {"meridian.clock", "meridian.database.storage", "meridian.database.storage.page"}
    known |= {"meridian.database.storage.rid"}
    found = imports_of("meridian.database.storage.pool", source, package=False, known=known)
    assert [(item.target, item.lazy) for item in found] == [
        ("meridian.fs", False),
        ("meridian.clock", False),
        ("meridian.database.storage.page", False),
        ("meridian.database.storage", False),
        ("meridian.database.storage.rid", False),
        ("meridian.database.storage", False),
        ("meridian.orbital.tle", False),
        ("grader.job", False),
        ("meridian.errors", False),
        ("meridian.testing", True),
    ]
    inside = imports_of("meridian.database", "from . import storage", package=True, known=known)
    assert [item.target for item in inside] == ["meridian.database.storage"]
