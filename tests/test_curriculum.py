"""The course index is well formed, and says the same as the folders, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from meridian.academy.curriculum import (
    Curriculum,
    CurriculumError,
    LabNotFound,
    UnknownKey,
    lab_root,
    load,
)

ROOT = Path(__file__).resolve().parents[1]
AVAILABLE = [module for module in load(ROOT).modules() if module.available]
BEGUN = [module for module in load(ROOT).modules() if module.capstone.package]
"""Those whose capstone has its entry; the lessons may still be missing."""


@pytest.fixture(scope="module")
def course() -> Curriculum:
    return load(ROOT)


def folders(kind: str) -> set[str]:
    """Keys of the modules that have a file under `kind`, whatever the index says."""
    return {
        "/".join(path.relative_to(ROOT / kind).parts[:2])
        for path in (ROOT / kind).glob("*/*/**/*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }


def test_the_whole_course_is_in_the_index(course: Curriculum) -> None:
    assert [track.slug for track in course.tracks] == ["foundation", "database", "pipelines"]
    assert len(course.modules()) == 18
    assert len(course.lessons()) == 57
    assert len({module.capstone.title for module in course.modules()}) == 18
    assert "database/01-storage" in [module.key for module in AVAILABLE]


@pytest.mark.parametrize("kind", ["notebooks", "exercises", "solutions"])
def test_folders_and_index_name_the_same_modules(kind: str) -> None:
    found = folders(kind)
    assert {module.key for module in AVAILABLE} <= found <= {module.key for module in BEGUN}


def test_acceptance_suites_and_index_name_the_same_modules() -> None:
    suites = {p.relative_to(ROOT) for p in (ROOT / "grader" / "acceptance").glob("*/test_*.py")}
    assert {module.acceptance for module in AVAILABLE} <= suites
    assert suites <= {module.acceptance for module in BEGUN}


@pytest.mark.parametrize("module", AVAILABLE, ids=lambda module: module.key)
def test_an_available_module_has_every_file(module) -> None:
    needed = [path for lesson in module.lessons for path in (lesson.notebook, lesson.quiz)]
    for home in (module.exercise, module.solution):
        package = home / module.capstone.package
        needed += [home / "capstone.ipynb", package, package / "__init__.py"]
    missing = [str(path) for path in needed if not (ROOT / path).exists()]
    assert missing == []


@pytest.mark.parametrize("module", AVAILABLE, ids=lambda module: module.key)
def test_no_notebook_or_quiz_is_left_over(module) -> None:
    named = {lesson.notebook for lesson in module.lessons}
    named |= {lesson.quiz for lesson in module.lessons}
    found = {
        path.relative_to(ROOT)
        for path in (ROOT / module.notebooks).iterdir()
        if path.suffix in (".ipynb", ".toml")
    }
    assert found == named


@pytest.mark.parametrize("module", AVAILABLE, ids=lambda module: module.key)
def test_points_add_up_and_something_is_required(module) -> None:
    capstone = module.capstone
    assert sum(criterion.points for criterion in capstone.criteria) == 100
    required = sum(criterion.points for criterion in capstone.criteria if criterion.required)
    assert 0 < required <= capstone.pass_mark
    assert sum(criterion.points for criterion in capstone.bonus) >= capstone.bonus_cap


def test_keys_paths_and_names_derive_from_the_index(course: Curriculum) -> None:
    lesson = course.lesson("database/01-storage/2")
    assert (lesson.number, lesson.topic, lesson.module_key) == (
        2,
        "buffer-pool",
        "database/01-storage",
    )
    folder = Path("notebooks/database/01-storage")
    assert lesson.notebook == folder / "lesson-02-buffer-pool.ipynb"
    assert lesson.quiz == folder / "lesson-02-quiz.toml"
    module = course.module("pipelines/03-event-time")
    assert module.acceptance == Path("grader/acceptance/pipelines/test_event_time.py")
    assert course.capstone("database/01-storage").package == "tle_page_manager"
    assert [m.key for m in course.modules()] == sorted(
        (m.key for m in course.modules()),
        key=lambda key: (["foundation", "database", "pipelines"].index(key.split("/")[0]), key),
    )


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("database/01-storge", "database/01-storage"),
        ("storage", "database/01-storage"),
        ("database/01-storage/1", "database/01-storage"),
    ],
)
def test_an_unknown_key_names_the_nearest(course: Curriculum, key: str, nearest: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        course.module(key)
    assert isinstance(caught.value, KeyError)
    assert caught.value.nearest == nearest
    assert str(caught.value).startswith(f"No module {key!r}; the nearest is {nearest!r}. ")
    with pytest.raises(UnknownKey) as lesson:
        course.lesson("database/01-storage")
    assert lesson.value.nearest == "database/01-storage/1"  # of three as near, the first


@pytest.mark.parametrize("key", ["", "lol", "quiz", "0", "../../etc/passwd"])
def test_a_key_like_no_other_is_told_what_keys_look_like(course: Curriculum, key: str) -> None:
    with pytest.raises(UnknownKey) as caught:
        course.lesson(key)
    assert caught.value.nearest is None
    first = AVAILABLE[0].lessons[0].key
    hint = f"A key looks like {first!r}; `meridian map` lists them all"
    assert str(caught.value) == f"No lesson {key!r}. {hint}"
    assert str(UnknownKey(key, "lesson", [])) == f"No lesson {key!r}. `meridian map` lists them all"


def test_the_lab_is_found_from_the_variable_the_folder_and_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MERIDIAN_LAB", raising=False)
    deep = tmp_path / "lab" / "a" / "b"
    deep.mkdir(parents=True)
    (tmp_path / "lab" / "curriculum.toml").touch()
    assert lab_root(deep) == (tmp_path / "lab").resolve()
    monkeypatch.chdir(deep)
    assert lab_root() == (tmp_path / "lab").resolve()
    monkeypatch.chdir("/")
    assert lab_root() == ROOT
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path / "lab"))
    assert lab_root(ROOT) == (tmp_path / "lab").resolve()
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    with pytest.raises(LabNotFound, match="set MERIDIAN_LAB to it") as caught:
        lab_root()
    assert isinstance(caught.value, FileNotFoundError)
    with pytest.raises(LabNotFound):
        load(tmp_path / "nowhere")


GOOD = """
[[tracks]]
slug = "one"
title = "One"
system = "S"
summary = "s"
[[tracks.modules]]
slug = "01-first"
title = "First"
summary = "s"
available = true
lessons = [{ topic = "a", title = "A" }]
[tracks.modules.capstone]
title = "C"
package = "p"
criteria = [{ id = "1", title = "t", points = 60 }, { id = "2", title = "t", points = 40 }]
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("points = 60", "points = 61", "criteria add up to 101 points, expected 100"),
        ("points = 60", "points = '60'", r"Expected `int`, got `str` - at `\$.tracks\[0\]"),
        ('id = "2"', 'id = "1"', "criterion '1' is listed 2 times"),
        ("points = 40", "points = 0", "expected 100"),
        ('package = "p"', 'pakage = "p"', "unknown field `pakage`"),
        ('package = "p"', "", "needs a package and criteria"),
        ('"p"', '"p"\nnetwork = "yes"', r"Expected `bool`, got `str` - at `.*capstone.network`"),
        ('"p"', '"p"\nallowed_imports = ["os", "os"]', "allowed import 'os' is listed 2 times"),
        ('"p"', '"p"\nallowed_imports = ["num-py"]', "'num-py' is no name of a module, like 'os'"),
        ('"p"', '"p"\nallowed_imports = ["os."]', "'os.' is no name of a module"),
        ('"p"', '"p"\nallowed_imports = ["p.x"]', "'p.x' is the package itself"),
        (
            '"p"',
            '"p"\nallowed_imports = ["meridian.clock"]',
            "'meridian.clock' is hidden from submissions. Allow the standard library and installed",
        ),
        ('"p"', '"p"\nlibrary = ["os.path"]', "'os.path' is no module of meridian, like"),
        ('"p"', '"p"\nlibrary = ["meridian.a", "meridian.a"]', "'meridian.a' is listed 2 times"),
        ('{ topic = "a", title = "A" }', "", "has no lesson"),
        ('slug = "01-first"', 'slug = "../first"', "is not made of lower-case letters"),
        ('topic = "a"', 'topic = "A b"', "is not made of lower-case letters"),
        ("[[tracks]]", "[[tracks]", "not valid TOML"),
        ("available = true", "", "missing required field `available`"),
    ],
)
def test_a_wrong_index_is_refused(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    (tmp_path / "curriculum.toml").write_text(GOOD)
    assert load(tmp_path).module("one/01-first").capstone.key == "one/01-first"
    assert old in GOOD
    (tmp_path / "curriculum.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(CurriculumError, match=complaint) as caught:
        load(tmp_path)
    assert isinstance(caught.value, ValueError)
    assert str(tmp_path) in str(caught.value)


def test_what_a_capstones_code_may_use_is_in_its_entry(tmp_path: Path) -> None:
    (tmp_path / "curriculum.toml").write_text(GOOD)
    plain = load(tmp_path).capstone("one/01-first")
    assert (plain.network, plain.third_party) == (False, ())
    more = '"p"\nnetwork = true\nallowed_imports = ["os.path", "numpy.linalg", "numpy", "anyio"]'
    (tmp_path / "curriculum.toml").write_text(GOOD.replace('"p"', more))
    wider = load(tmp_path).capstone("one/01-first")
    assert (wider.network, wider.third_party) == (True, ("anyio", "numpy"))


def test_binary_junk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curriculum.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CurriculumError, match="not valid TOML"):
        load(tmp_path)
