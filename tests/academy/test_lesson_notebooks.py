"""Every lesson of an available module is there, saved as `notebooks/README.md` says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from meridian.academy.curriculum import lab_root, load

ROOT = lab_root(Path(__file__).parent)
MARK = "nbval-ignore-output"


def lessons() -> list[Any]:
    found = []
    for track in load(ROOT).tracks:
        for module in track.modules:
            if not module.available:
                continue
            folder = ROOT / "notebooks" / track.slug / module.slug
            for number, lesson in enumerate(module.lessons, 1):
                key = f"{track.slug}/{module.slug}/{number}"
                path = folder / f"lesson-0{number}-{lesson.topic}.ipynb"
                found.append(pytest.param(key, path, id=key))
    return found


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


pytestmark = pytest.mark.parametrize(("key", "path"), lessons())


def test_the_lesson_has_its_parts_in_order(key, path):
    headings = [
        text(cell["source"]) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"
    ]
    whole = "\n".join(headings)
    assert headings[0].startswith("# ")
    assert "**The question.**" in headings[0]
    order = ["problem", "code", "production", "Traps", "Quiz", "What next"]
    places = [re.search(rf"^##? .*{word}", whole, re.MULTILINE) for word in order]
    assert all(places), f"no heading with {order[places.index(None)]!r}"
    assert [p.start() for p in places if p] == sorted(p.start() for p in places if p)
    assert "**See it" in whole


def test_the_lesson_ends_in_its_own_quiz(key, path):
    code = [c for c in read(path)["cells"] if c["cell_type"] == "code"]
    assert f'quiz("{key}")' in text(code[-1]["source"])


def test_the_lesson_is_saved_whole_and_clean(key, path):
    notebook = read(path)
    cells = notebook["cells"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert "widgets" not in notebook["metadata"]
    ids = [cell["id"] for cell in cells]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z][a-z0-9-]+", cell_id) for cell_id in ids)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert path.stat().st_size < 1_200_000
    for cell in code:
        for output in cell["outputs"]:
            assert output["output_type"] != "error", cell["id"]
            assert output.get("name") != "stderr", cell["id"]
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})


def test_no_output_shows_where_it_was_made(key, path):
    for cell in read(path)["cells"]:
        for output in cell.get("outputs", ()):
            shown = text(output.get("text", "")) + text(
                output.get("data", {}).get("text/plain", "")
            )
            found = re.search(r"(?<![\w.])/(?:home|tmp|work|root|Users|var)\b", shown)
            assert found is None, f"{cell['id']}: {shown}"


def test_pictures_and_widgets_are_not_compared_and_facts_are(key, path):
    compared = 0
    for cell in read(path)["cells"]:
        if cell["cell_type"] != "code":
            continue
        ignored = MARK in cell["metadata"].get("tags", ())
        rich = any(set(o.get("data", {})) - {"text/plain"} for o in cell["outputs"])
        assert ignored or not rich, f"{cell['id']} has a picture, which nbval would compare"
        compared += not ignored and any(o["output_type"] == "stream" for o in cell["outputs"])
    assert compared >= 3, "a lesson states facts that a test can hold it to"
