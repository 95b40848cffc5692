"""The command line, run whole: what it prints, what it keeps, and its exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from meridian.academy.curriculum import load
from meridian.academy.progress import ProgressStore
from meridian.academy.quiz import MultipleChoice, ShortAnswer, load_quiz

ROOT = Path(__file__).resolve().parents[2]
MODULE = "database/01-storage"
LESSON = f"{MODULE}/1"
PICK = "pick: "  # in a scripted line: these options, whatever their numbers


@pytest.fixture
def store(lab: Path) -> ProgressStore:
    return ProgressStore(curriculum=load(lab))


def test_help_imports_nothing_heavy() -> None:
    """What makes the command answer at once; the time itself depends on the machine."""
    code = (
        "import sys; sys.argv = ['meridian', '--help']\n"
        "from meridian.academy.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('HEAVY', [m for m in ('numpy', 'numba', 'pandas', 'matplotlib', 'IPython', 'rich',"
        " 'msgspec', 'jupyterlab', 'grader', 'sgp4') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert "Commands:" in done.stdout


def test_the_module_form_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meridian.academy", "--version"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "meridian 0.1.0\n"


def test_completion_offers_commands_and_keys(lab: Path) -> None:
    def complete(line: str) -> list[str]:
        words = line.split(" ")
        env = {
            **os.environ,
            "_MERIDIAN_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
        }
        done = subprocess.run(
            [Path(sys.executable).parent / "meridian"],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.stdout.split()

    assert complete("meridian st") == ["status"]
    assert complete("meridian quiz database/") == [f"{MODULE}/{n}" for n in (1, 2, 3)]
    assert complete("meridian check d") == [MODULE]


def test_no_command_and_an_unknown_one_are_wrong_use(meridian) -> None:
    assert meridian().status == 2
    wrong = meridian("quizz")
    assert wrong.status == 2
    assert "quiz" in wrong.err


@pytest.mark.parametrize("command", ["next", "status", "map"])
def test_a_missing_lab_is_said_with_its_fix(
    meridian, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    result = meridian(command)
    assert result.status == 2
    assert result.err.startswith("meridian: No curriculum.toml in ")
    assert "set MERIDIAN_LAB to it" in result.err
    assert result.out == ""


def test_next_names_one_thing(lab: Path, meridian, store: ProgressStore) -> None:
    text = meridian("next").out
    assert "Lesson 1 of 3: File formats and page layout" in text
    assert f"Run:   meridian quiz {LESSON}" in text
    assert meridian("next", "--json").json["path"] == (
        "notebooks/database/01-storage/lesson-01-page-layout.ipynb"
    )
    store.record_quiz(LESSON, 5, 5, "d")
    assert meridian("next", "--json").json["key"] == f"{MODULE}/2"


def test_status_tells_what_was_done(lab: Path, meridian, store: ProgressStore) -> None:
    fresh = meridian("status").out
    assert "0 of 1 available modules passed, 17 planned." in fresh
    assert "tried" not in fresh
    store.record_quiz(LESSON, 5, 5, "d")
    store.record_quiz(f"{MODULE}/2", 3, 5, "d")
    store.record_opened_locked(MODULE)
    text = meridian("status").out
    assert "quiz 5 of 5" in text
    assert "quiz 3 of 5" in text
    assert "opened before" in text
    [module] = meridian("status", "--json").json["modules"]
    assert [lesson["state"] for lesson in module["lessons"]] == ["passed", "tried", "new"]
    assert module["capstone"]["state"] == "new"


def test_the_map_lists_every_key(lab: Path, meridian) -> None:
    course = load(lab)
    text = meridian("map").out
    for module in course.modules():
        assert module.key in text
    assert text.count("(planned)") == 17
    tracks = meridian("map", "--json").json
    assert sum(len(module["lessons"]) for t in tracks for module in t["modules"]) == 57


def test_a_damaged_record_is_moved_aside_and_said_once(lab: Path, meridian) -> None:
    (lab / ".meridian").mkdir()
    (lab / ".meridian" / "progress.json").write_text("{broken")
    result = meridian("status")
    assert result.status == 2
    assert "progress.corrupt-1.json" in result.err
    assert meridian("status").status == 0


def test_a_terminal_without_our_marks_is_no_error(lab: Path, store: ProgressStore) -> None:
    store.record_quiz(LESSON, 5, 5, "d")
    done = subprocess.run(
        [sys.executable, "-m", "meridian.academy", "map"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"? {LESSON}" in done.stdout
    assert done.stderr == ""


def test_export_and_import_carry_the_record(
    lab: Path, meridian, store: ProgressStore, tmp_path: Path
) -> None:
    store.record_quiz(LESSON, 5, 5, "d")
    file = tmp_path / "mine.json"
    assert meridian("export", str(file)).status == 0
    assert json.loads(file.read_text())["lessons"][LESSON]["correct"] == 5
    again = meridian("export", str(file))
    assert again.status == 2
    assert "add --force" in again.err
    assert meridian("export", "--force", str(file)).status == 0
    store.path.unlink()
    imported = meridian("import", str(file))
    assert "passed 1 lesson and 0 capstones" in imported.out
    assert store.lesson_state(LESSON) == "passed"
    file.write_text("{}")
    assert meridian("import", str(file)).status == 2
    assert meridian("import", str(tmp_path / "none.json")).status == 2
    assert store.lesson_state(LESSON) == "passed"


def test_the_quiz_listing_hides_the_answers(lab: Path, meridian) -> None:
    quiz = load_quiz(lab / "notebooks" / MODULE / "lesson-01-quiz.toml")
    result = meridian("quiz", LESSON, "--json")
    listed = result.json["questions"]
    assert [entry["id"] for entry in listed] == [question.id for question in quiz.questions]
    assert set().union(*listed) <= {
        "title",
        "id",
        "type",
        "prompt",
        "preamble",
        "options",
        "several",
        "program",
    }
    for entry, question in zip(listed, quiz.questions, strict=True):
        if isinstance(question, MultipleChoice):
            assert entry["options"] == sorted(entry["options"])
            assert set(question.right_answer) < set(entry["options"])
        if isinstance(question, ShortAnswer):
            assert question.right_answer not in json.dumps(entry)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("database/01-storage/9", "the nearest is"),
        ("lol", "A key looks like 'database/01-storage/1'"),
        ("database/02-btree", "planned, not available yet"),
        ("database/02-btree/1", "planned, not available yet"),
    ],
)
def test_a_quiz_that_is_not_there(lab: Path, meridian, key: str, said: str) -> None:
    result = meridian("quiz", key)
    assert result.status == 2
    assert said in result.err


def test_a_module_where_a_lesson_is_due_names_the_lesson(
    lab: Path, meridian, store: ProgressStore
) -> None:
    result = meridian("quiz", MODULE)
    assert result.status == 2
    assert f"{MODULE} is a module, and a quiz belongs to a lesson" in result.err
    assert result.err.endswith(f"not yet passed: meridian quiz {MODULE}/1\n")
    store.record_quiz(f"{MODULE}/1", 5, 5, "d")
    store.record_quiz(f"{MODULE}/3", 5, 5, "d")
    store.record_quiz(f"{MODULE}/2", 1, 5, "d")
    assert meridian("quiz", MODULE).err.endswith(f"not yet passed: meridian quiz {MODULE}/2\n")
    store.record_quiz(f"{MODULE}/2", 5, 5, "d")
    assert "all passed; to take one again" in meridian("quiz", MODULE).err


def typed(quiz, right: bool) -> list[str]:
    """What a learner types, so that every answer is right, or every one wrong."""
    lines: list[str] = []
    for question in quiz.questions:
        if isinstance(question, MultipleChoice):
            wanted = question.right_answer if right else question.prompt.distractors[:1]
            lines.append(
                PICK + json.dumps(wanted)
            )  # turned into numbers when the options are known
        elif isinstance(question, ShortAnswer):
            lines.append(question.right_answer if right else "no")
        elif question.answer.does_compile == right:
            lines += ["y", *(question.answer.stdout or "").strip("\n").splitlines(), "."]
        else:
            lines += ["n", str(question.answer.line_number or 1)]
        if question.prompt_explanation:
            lines.append("because")
    return lines


def take(meridian, monkeypatch: pytest.MonkeyPatch, key: str, lines: list[str]):
    """Run the quiz with `lines` typed in; options to pick become their numbers."""
    from meridian.academy.quiz_session import QuizSession

    shown: list[str] = []
    real = QuizSession.options
    queue = list(lines)

    def options(session: QuizSession) -> list[str]:
        shown[:] = real(session)
        return list(shown)

    def type_line(prompt: str = "") -> str:
        if not queue:
            raise EOFError
        line = queue.pop(0)
        if line.startswith(PICK):
            wanted = json.loads(line.removeprefix(PICK))
            return ",".join(str(shown.index(option) + 1) for option in wanted)
        return line

    monkeypatch.setattr(QuizSession, "options", options)
    monkeypatch.setattr("builtins.input", type_line)
    return meridian("quiz", key)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_quiz_is_taken_and_passed(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    key = f"{MODULE}/{number}"
    quiz = load_quiz(lab / "notebooks" / MODULE / f"lesson-{number:02}-quiz.toml")
    result = take(meridian, monkeypatch, key, typed(quiz, right=True))
    assert result.status == 0, result.out
    assert "5 of 5: passed." in result.out
    assert store.lesson_state(key) == "passed"


def test_a_quiz_not_passed_has_status_one(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiz = load_quiz(lab / "notebooks" / MODULE / "lesson-01-quiz.toml")
    result = take(meridian, monkeypatch, LESSON, [*typed(quiz, right=False), "q"])
    assert result.status == 1
    assert "0 of 5: not passed yet" in result.out
    assert store.lesson_state(LESSON) == "tried"


def test_a_quiz_goes_on_where_it_stopped(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiz = load_quiz(lab / "notebooks" / MODULE / "lesson-01-quiz.toml")
    lines = typed(quiz, right=True)
    stopped = take(meridian, monkeypatch, LESSON, lines[:1])
    assert stopped.status == 1
    assert f"Your place is kept: meridian quiz {LESSON}" in stopped.out
    assert store.lesson_state(LESSON) == "new"
    assert "(1 of 4)" in meridian("quiz", LESSON).out  # at the end of input again
    assert take(meridian, monkeypatch, LESSON, lines[1:]).status == 0
    assert store.session(LESSON) is None
    assert "(1 of 5)" in take(meridian, monkeypatch, LESSON, []).out


def test_the_quiz_runs_on_a_dumb_terminal_fed_by_a_pipe(lab: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "meridian.academy", "quiz", LESSON],
        input="",
        env={**os.environ, "TERM": "dumb", "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ""
    assert "\x1b" not in done.stdout
    assert "Question 1" in done.stdout


def test_lab_says_where_and_hands_over_to_jupyterlab(
    lab: Path, meridian, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    monkeypatch.chdir(lab)
    monkeypatch.setattr(os, "execve", lambda path, argv, env: started.append((path, argv, env)))
    result = meridian("lab", "--no-browser")
    [(path, argv, env)] = started
    assert path == sys.executable
    assert f"--ServerApp.root_dir={lab}" in argv
    assert "--ServerApp.open_browser=False" in argv
    assert f"token={env['JUPYTER_TOKEN']}" in result.out
    assert meridian("lab", "--port", "0").status == 2
    assert len(started) == 1


def test_doctor_ends_with_one_sentence(lab: Path, meridian) -> None:
    result = meridian("doctor")
    assert result.status == 0, result.out
    assert result.out.splitlines()[-1] == "Ready. 0 of 1 modules started."
    report = meridian("doctor", "--json").json
    assert report["verdict"] == "Ready. 0 of 1 modules started."
    assert report["ready"] is True


def test_reset_keeps_the_old_version_and_brings_it_back(
    lab: Path, meridian, store: ProgressStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(root: Path, module, target: Path) -> None:
        (target / "tle_page_manager").mkdir(parents=True)
        (target / "tle_page_manager" / "__init__.py").write_text("# skeleton\n")

    monkeypatch.setattr("grader.authoring.build.write_exercise", write)
    file = lab / "exercises" / MODULE / "tle_page_manager" / "__init__.py"
    assert "No version" in meridian("reset", MODULE, "--list").out
    assert meridian("reset", MODULE).status == 0
    assert file.read_text() == "# skeleton\n"
    [stamp] = meridian("reset", MODULE, "--list").out.split()
    kept = lab / ".meridian" / "attic" / MODULE / stamp
    assert (kept / "tle_page_manager" / "__init__.py").read_text() == "# mine\n"
    assert meridian("reset", MODULE, "--restore", stamp).status == 0
    assert file.read_text() == "# mine\n"
    assert meridian("reset", MODULE, "--restore", "nope").status == 2
    assert len(store.record().capstones[MODULE].resets) == 2
