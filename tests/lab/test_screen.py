"""What JupyterLab really shows: before a run, after a reload, by keyboard, with hostile text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from journey import Lab, Server, browser_on, lab_command
from nbformat import v4
from playwright.sync_api import Dialog, expect
from small_lab import KEY, build

from meridian.academy.widgets.base import RUN_HINT
from meridian.academy.widgets.saved import run_and_save

NOTEBOOK = f"notebooks/{KEY}/lesson-01-pages.ipynb"
HOSTILE = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 2</script>"
DRAWING = """
import ipywidgets
from meridian.academy.widgets import base
text = f"<text y='15' fill='{base.INK}'>Hello</text>"
svg = base.svg_document(90, 20, text, title="x")
base.PicturedBox([ipywidgets.HTML(svg)], draw=lambda: svg, alt="Hello, drawn")
"""
CELLS = [
    f'from meridian.academy import capstone, quiz, verdict_card\nquiz("{KEY}/1")',
    'verdict_card("hostile.json")',
    f'capstone("{KEY}")',
    DRAWING.strip(),
]
REPORT = {
    "capstone": KEY,
    "score": 0,
    "max_score": 100,
    "bonus": 0,
    "passed": False,
    "box": HOSTILE,
    "seed": "1",
    "submission_sha256": "0",
    "criteria": [
        {
            "id": "1",
            "title": HOSTILE,
            "points": 60,
            "score": 0,
            "outcome": "failed",
            "message": HOSTILE,
            "counterexample": f"</pre>{HOSTILE}",
        }
    ],
    "environment": {"mode": "submit"},
}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, chromium: str) -> Path:
    """The small lab with one lesson, saved as authors save it, and a report that means harm."""
    root = build(tmp_path_factory.mktemp("screen") / "lab")
    path = root / NOTEBOOK
    path.with_name("hostile.json").write_text(json.dumps(REPORT))
    (root / "exercises" / KEY / "pages.py").write_text("")
    reports = root / ".meridian" / "reports" / KEY / "submit-001"
    reports.mkdir(parents=True)
    (reports / "report.json").write_text(json.dumps(REPORT))
    (reports / "feedback.html").write_text(
        f"<p>Feedback {HOSTILE}</p><script>parent.hacked=3</script>"
    )
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in CELLS]), path)
    assert run_and_save(path) == 3
    return root


@pytest.fixture(scope="module")
def server(small: Path) -> Iterator[Server]:
    with Server(small, small.parent / "home", lab_command()) as running:
        yield running


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Lab]:
    with browser_on(server) as page:
        yield page


@pytest.fixture
def lab(page: Lab) -> Lab:
    """The notebook, opened anew: a browser takes long to start, a page does not."""
    page.open(NOTEBOOK)
    return page


def test_before_a_run_every_widget_is_a_picture(lab: Lab) -> None:
    expect(lab.notebook.get_by_text(RUN_HINT)).to_have_count(3)
    picture = lab.notebook.get_by_alt_text("Hello, drawn")
    expect(picture).to_be_visible()
    assert picture.evaluate("one => one.naturalWidth") == 90
    expect(lab.notebook.get_by_text("Bytes of a header?")).to_be_visible()
    expect(lab.notebook.get_by_text("model not found")).to_have_count(0)


def test_after_a_save_and_a_reload_no_widget_is_dead(lab: Lab, small: Path) -> None:
    lab.run_all()
    expect(lab.notebook.get_by_role("button", name="Answer")).to_be_visible()
    lab.save()
    saved = nbformat.read(small / NOTEBOOK, as_version=4)
    bundles = [set(o.data) for cell in saved.cells for o in cell.outputs]
    assert bundles == [{"text/html", "text/plain"}] * 4
    lab.page.reload()
    lab.wait_ready(NOTEBOOK)
    expect(lab.notebook.get_by_text(RUN_HINT)).to_have_count(3)
    expect(lab.notebook.get_by_text("model not found")).to_have_count(0)


def test_a_quiz_needs_no_mouse_and_jupyterlab_takes_none_of_its_keys(lab: Lab) -> None:
    lab.run_all()
    cells = lab.notebook.locator(".jp-Cell").count()
    panel = lab.notebook.locator(".mer-panel", has_text="Quiz:")
    press = lab.page.keyboard.press
    panel.get_by_role("radio").first.focus()
    press("ArrowDown")
    press("ArrowUp")
    press("Enter")
    expect(panel.get_by_role("status")).to_contain_text("✓ Right.")
    expect(panel.get_by_role("button", name="Next question")).to_be_focused()
    press("Enter")
    expect(panel.get_by_role("checkbox").first).to_be_focused()
    press("Enter")
    expect(panel.get_by_role("alert")).to_have_text("Choose every option that is right.")
    for key in ("Tab", "Space", "Tab", "Space", "Enter"):
        press(key)
    expect(panel.get_by_role("status")).to_contain_text("✓ Right.")
    press("Enter")
    expect(panel.get_by_role("textbox")).to_be_focused()
    lab.page.keyboard.type("dd 17")  # in command mode, dd deletes the cell
    press("Enter")
    expect(panel.get_by_role("status")).to_contain_text("✗ Not right.")
    assert lab.notebook.locator(".jp-Cell").count() == cells


def test_unsaved_code_is_not_judged_unasked(lab: Lab) -> None:
    lab.run_all()
    lab.edit(f"exercises/{KEY}/pages.py")
    lab.page.keyboard.type("# not saved")
    lab.switch_to(NOTEBOOK)
    panel = lab.notebook.locator(".mer-panel", has_text="Capstone:")
    panel.get_by_role("button", name="Open it anyway").click()
    panel.get_by_role("button", name="Check").click()
    question = panel.get_by_role("alertdialog")
    expect(question).to_contain_text("Unsaved changes in pages.py")
    question.get_by_role("button", name="Cancel").click()
    expect(question).to_have_count(0)
    expect(panel.get_by_role("progressbar")).to_have_count(0)


def test_hostile_words_are_shown_and_not_obeyed(lab: Lab) -> None:
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    lab.page.on("dialog", note)
    lab.run_all()
    panel = lab.notebook.locator(".mer-panel", has_text="Capstone:")
    panel.locator("summary").click()
    page = panel.frame_locator("iframe")
    expect(page.get_by_text("Feedback")).to_be_visible()
    expect(lab.notebook.get_by_text("window.hacked = 2").first).to_be_visible()
    assert lab.page.evaluate("window.hacked") is None
    lab.page.remove_listener("dialog", note)
    assert dialogs == []


def test_text_stands_out_in_both_themes(lab: Lab) -> None:
    lab.run_all()
    for theme in ("dark", "light"):
        lab.theme(theme)
        for panel in lab.notebook.locator(".mer-panel").all():
            ratios = panel.evaluate(CONTRASTS)
            assert len(ratios) > 5
            assert not {text: ratio for text, ratio in ratios.items() if ratio < 4.0}, theme


# Contrast (WCAG 2) of every visible piece of text with what is painted behind it.
CONTRASTS = """
root => {
  const parse = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = {};
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled")) continue;
    const a = light(parse(getComputedStyle(element).color)), b = light(behind(element));
    found[text] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  }
  return found;
}
"""
