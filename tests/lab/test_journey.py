"""The learner's journey on one screen: map, lesson, quiz, capstone, verdict."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from journey import Lab
from playwright.sync_api import expect
from quiz_driver import answer, answer_quiz

from meridian.academy.curriculum import load
from meridian.academy.progress import ProgressStore
from meridian.academy.quiz import load_quiz

START = "START HERE.ipynb"
KEY = "database/01-storage"
JUDGED_MS = 240_000


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


def fill_in(exercise: Path, solution: Path) -> None:
    """Write the model answer's code into the cells of the capstone notebook, and nothing else."""
    notebook = json.loads((exercise / "capstone.ipynb").read_text())
    model = json.loads((solution / "capstone.ipynb").read_text())
    answers = {cell["id"]: cell["source"] for cell in model["cells"]}
    for cell in notebook["cells"]:
        cell["source"] = answers[cell["id"]]
    (exercise / "capstone.ipynb").write_text(json.dumps(notebook, indent=1))


def test_from_the_map_to_the_verdict(lab: Lab, copied_lab: Path, pictures: Path) -> None:
    course = load(copied_lab)
    module = course.module(KEY)
    store = ProgressStore(curriculum=course)

    # The map names the first lesson and opens it.
    lab.open(START)
    lab.run_all()
    expect(lab.notebook.get_by_text("0 of 57 lessons and 0 of 18 capstones passed")).to_be_visible()
    expect(lab.notebook.get_by_text("This machine: ")).to_be_visible()
    lab.screenshot(pictures / "map.png")
    lab.notebook.get_by_role("link", name="Open the notebook").click()

    # The lesson runs from top to bottom, and ends with its quiz.
    lesson = module.lessons[0]
    lab.wait_ready(lesson.notebook.as_posix())
    lab.run_all()
    errors = lab.notebook.locator('[data-mime-type="application/vnd.jupyter.error"]')
    expect(errors).to_have_count(0)
    quiz = load_quiz(course.root / lesson.quiz)
    panel = lab.notebook.locator(".mer-panel", has_text="Quiz:")
    answer_quiz(panel, quiz, wrong=(0, 1))
    expect(panel.get_by_role("status")).to_contain_text("3 of 5 right: not passed yet.")
    panel.get_by_role("button", name="Retry the wrong ones").click()
    answer(panel, quiz.questions[0], right=True)
    panel.get_by_role("button", name="Next question").click()
    answer(panel, quiz.questions[1], right=True)
    panel.get_by_role("button", name="See the result").click()
    expect(panel.get_by_role("status")).to_contain_text("5 of 5 right: passed.")
    expect(panel.get_by_role("button", name="Open Lesson 2 of 3")).to_be_visible()
    lab.screenshot(pictures / "quiz.png")
    assert store.lesson_state(lesson.key) == "passed"

    # The capstone is locked by two more quizzes: advice, not a jail.
    lab.switch_to(START)
    lab.run_all()
    expect(lab.notebook.get_by_text("1 of 57 lessons")).to_be_visible()
    fill_in(copied_lab / module.exercise, copied_lab / module.solution)
    lab.notebook.get_by_role("link", name=f"Capstone: {module.capstone.title}").click()
    lab.wait_ready((module.exercise / "capstone.ipynb").as_posix())
    lab.run_cell(f'capstone("{KEY}")')
    panel = lab.notebook.locator(".mer-panel", has_text="Capstone:")
    expect(panel.get_by_text("Locked for now.")).to_be_visible()
    panel.get_by_role("button", name="Open it anyway").click()

    # The empty exercise is judged and says what is missing.
    panel.get_by_role("button", name="Check").click()
    expect(panel.get_by_text("criteria written")).to_be_visible(timeout=JUDGED_MS)
    expect(panel.get_by_text("– not written yet").first).to_be_visible()
    expect(panel.get_by_text("✗")).to_have_count(0)
    lab.screenshot(pictures / "empty.png")

    # The model answer passes every check, and the submission brings the races.
    package = module.capstone.package
    exercise = copied_lab / module.exercise / package
    shutil.rmtree(exercise)
    shutil.copytree(copied_lab / module.solution / package, exercise)
    panel.get_by_role("button", name="Check").click()
    expect(panel.get_by_role("progressbar")).to_be_visible()
    expect(panel.get_by_text("criteria written")).to_have_count(0, timeout=JUDGED_MS)
    expect(panel.get_by_text("criteria passed")).to_be_visible(timeout=JUDGED_MS)
    lab.screenshot(pictures / "checked.png")
    panel.get_by_role("button", name="Submit").click()
    expect(panel.get_by_text("Passed: ")).to_be_visible(timeout=JUDGED_MS)
    plots = panel.locator("img[src^='data:image/svg+xml']")
    expect(plots.first).to_be_visible()
    assert plots.evaluate_all("all => all.every(one => one.naturalWidth > 0)")
    lab.screenshot(pictures / "verdict-light.png")
    lab.theme("dark")
    lab.screenshot(pictures / "verdict-dark.png")
    assert store.capstone_state(KEY) == "passed"

    # And the map knows.
    lab.switch_to(START)
    lab.run_all()
    expect(lab.notebook.get_by_text("1 of 57 lessons and 1 of 18 capstones passed")).to_be_visible()
    lab.screenshot(pictures / "map-dark.png")
    assert lab.errors == []
