"""The page about attacks names every attack there is, by family, and no other."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "grader" / "attacks.md"
FAMILIES = {
    "leaving": "leaving, hanging, dying",
    "forging": "forging answers, patching what answers",
    "looking": "looking for what should come out",
    "reaching": "reaching out of the box",
    "lingering": "leaving something behind",
    "using up": "using up the machine",
    "files": "files that are not what they seem",
    "values": "values that deceive a comparison",
    "text": "text that deceives its reader",
    "racing": "races",
}


def families() -> dict[str, list[str]]:
    table = tomllib.loads((HERE / "attacks" / "rows.toml").read_text())
    found = {"racing": sorted(table.pop("racing"))}
    for name, row in sorted(table.items()):
        found.setdefault(row["family"], []).append(name)
    return found


def built() -> list[str]:
    tree = ast.parse((HERE / "intake" / "uploads" / "test_built.py").read_text())
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "BUILT"
    )
    assert isinstance(table, ast.Dict)
    return sorted(str(key.value) for key in table.keys if isinstance(key, ast.Constant))


def rows() -> list[str]:
    """The table of the page; paste it there when this test fails."""
    found = families()
    assert set(found) == set(FAMILIES)
    lines = ["| Family | | Attacks |", "|---|---|---|"]
    for name, title in FAMILIES.items():
        listed = ", ".join(f"`{attack}`" for attack in found[name])
        lines.append(f"| {title} | {len(found[name])} | {listed} |")
    listed = ", ".join(f"`{attack}`" for attack in built())
    return [*lines, f"| uploads that only a test can build | {len(built())} | {listed} |"]


def test_the_page_has_the_table_of_the_corpus() -> None:
    lines = PAGE.read_text().splitlines()
    start = lines.index("| Family | | Attacks |")
    assert lines[start : start + len(rows())] == rows()
    total = sum(map(len, families().values())) + len(built())
    assert f"{total} attacks" in "\n".join(lines)


def test_every_attack_says_what_is_tried() -> None:
    for path in (HERE / "attacks").rglob("*.py"):
        said = ast.get_docstring(ast.parse(path.read_text()))
        assert said, path.name
        assert len(said.splitlines()[0]) > 10, path.name


def test_every_hole_is_named_on_the_page() -> None:
    table = tomllib.loads((HERE / "attacks" / "rows.toml").read_text())
    every = {**table.pop("racing"), **table}
    for name, row in every.items():
        if row.get("hole"):
            assert row["hole"] in " ".join(PAGE.read_text().split()), name
