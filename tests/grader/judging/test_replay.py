"""A replay shows the failure against wrong code, and says so when the code is right."""

from __future__ import annotations

import ast
import base64
import math
import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.judging.compare import Compared, MustRaise
from grader.judging.literals import Literals
from grader.judging.replay import MAX_PROGRAM_BYTES, replay_program
from grader.judging.replay_body import Failure, found
from grader.judging.transcript import Draws, Event, Fault, Thing, Transcript
from meridian.academy.curriculum import Criterion
from meridian.academy.outcomes import replay_id
from meridian.academy.replaying import last_call
from tests.grader.conftest import HONEST

TIMEOUT_S = 60
CRITERION = "@pytest.mark.criterion('1', points=100)\n"


def run(program: str, folder: Path, place: Path) -> tuple[int, str]:
    """Exit status and output of the program, run as a learner would run it by hand."""
    place.mkdir(exist_ok=True)
    file = place / "replay.py"
    file.write_text(program)
    done = subprocess.run(
        [sys.executable, "-I", str(file), str(folder)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def judged(toy: Any, body: str, source: str) -> Any:
    """The one criterion of a suite with this test, on a submission with this source."""
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="One", points=100),)
    )
    suite = toy.suite_of(CRITERION + body)
    report = toy.judge(
        source, suite=suite, definition=only, mode="check", box="none", trusted=True, seed="5eed"
    )
    return report.criteria[0]


class Case(NamedTuple):
    """A test of a suite, and a submission that fails it; the honest one passes it."""

    body: str
    wrong: str
    status: int = 1
    right: int = 0


CASES = {
    "a value": Case(
        "def test_it(submission):\n    '''Adds.'''\n    expect(submission.add(2, 3), 5)\n",
        "def add(a, b): return a - b\n",
    ),
    "a type": Case(
        "def test_it(submission):\n    '''Adds.'''\n    expect(submission.add(2, 3), 5)\n",
        "def add(a, b): return float(a + b)\n",
    ),
    "nothing raised": Case(
        "def test_it(submission):\n    '''Refuses.'''\n    counter = submission.Counter(5)\n"
        "    with submission.raises('ValueError'):\n        counter.add(-1)\n",
        "class Counter:\n    def __init__(self, start=0): pass\n    def add(self, n): return n\n",
    ),
    "another exception": Case(
        "def test_it(submission):\n    '''Refuses.'''\n    counter = submission.Counter(5)\n"
        "    with submission.raises('ValueError'):\n        counter.add(-1)\n",
        "class Counter:\n    def __init__(self, start=0): pass\n"
        "    def add(self, n): raise KeyError(n)\n",
    ),
    "an exception": Case(
        "def test_it(submission):\n    '''Adds.'''\n    submission.add(2, 3)\n",
        "def add(a, b): return {}[a]\n",
    ),
    "one of many answers": Case(
        "def test_it(submission):\n    '''Adds.'''\n"
        "    answers = submission.map(submission.add, [(1, 1), (2, 2), (3, 3)])\n"
        "    for answer, want in zip(answers, (2, 4, 6)):\n        expect(answer, want)\n",
        "def add(a, b): return a + b if a != 2 else 77\n",
    ),
    "a field": Case(
        "def test_it(submission):\n    '''Places.'''\n    expect(submission.place(3, 4).slot, 4)\n",
        "class Place(tuple):\n    pass\n"
        "from typing import NamedTuple\n"
        "class Place(NamedTuple):\n    page: int\n    slot: int\n"
        "def place(page, slot): return Place(page, -slot)\n",
    ),
    "two answers": Case(
        "def test_it(submission):\n    '''Counts.'''\n    counter = submission.Counter(5)\n"
        "    expect((counter.add(1), counter.add(2)), (6, 8))\n",
        "class Counter:\n    def __init__(self, start=0): self.value = start\n"
        "    def add(self, n): return self.value + n\n",
    ),
    "a file": Case(
        "def test_it(submission, rng):\n    '''Saves.'''\n    data = rng.randbytes(3000)\n"
        "    submission.write('f', b'old')\n    submission.truncate('f', 1)\n"
        "    submission.save(submission.path('f'), data)\n"
        "    expect(submission.read('f'), data)\n",
        "def save(path, data):\n    with open(path, 'wb') as file: file.write(data[:-1])\n",
    ),
    "iteration": Case(
        "def test_it(submission):\n    '''Counts.'''\n    counter = submission.Counter(7)\n"
        "    expect(len(list(counter.up_to(10))), 3)\n    expect(counter.value, 7)\n",
        "class Counter:\n    def __init__(self, start=0): self.value = start\n"
        "    def up_to(self, end):\n        while self.value < end:\n"
        "            yield self.value\n            self.value += 1\n",
    ),
    "what nobody can say in source": Case(
        "def test_it(submission):\n    '''Adds.'''\n"
        "    if submission.add(2, 3) < 5: raise CriterionFailed('too small')\n",
        "def add(a, b): return 4\n",
        status=3,
        right=3,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_replay_fails_as_the_test_did_and_holds_once_it_is_mended(
    name: str, toy: Any, tmp_path: Path
) -> None:
    case = CASES[name]
    entry = judged(toy, case.body, case.wrong)
    assert entry.outcome in ("failed", "error"), entry
    program = entry.replay
    assert program, entry
    status, said = run(program, toy.folder / "submission", tmp_path / "place")
    assert status == case.status, said
    if case.status == 1:
        assert "As expected now" not in said
    (tmp_path / "honest" / "toy").mkdir(parents=True)
    source = HONEST.read_text()
    (tmp_path / "honest" / "toy" / "__init__.py").write_text(source)
    status, said = run(program, tmp_path / "honest", tmp_path / "place")
    assert status == case.right, said
    assert ("As expected now" in said) == (case.right == 0)


def test_a_replay_stands_alone_and_says_what_it_is(toy: Any) -> None:
    entry = judged(toy, CASES["a file"].body, CASES["a file"].wrong)
    program = entry.replay
    assert program.startswith(f"# Replay {replay_id('5eed', '1')}: criterion 1, One\n")
    imported = {
        name.name.split(".")[0]
        for node in ast.walk(ast.parse(program))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (node.names if isinstance(node, ast.Import) else [ast.alias(str(node.module))])
    }
    assert imported - {"__future__", "toy", "anyio"} <= set(sys.stdlib_module_names)
    assert "noise(" in program, "random bytes are drawn again, not spelled out"
    assert len(program) < 4_000
    assert str(toy.folder) not in program
    line = program.splitlines()[last_call(program) - 1]
    assert line.startswith("got = read('f')")


def test_what_was_killed_is_killed_again(toy: Any, tmp_path: Path) -> None:
    """A buffered write that never reached the file is lost in the replay as it was in the test."""
    body = (
        "def test_it(submission):\n    '''Survives.'''\n"
        "    store = submission.Store(submission.path('log'))\n    store.put(b'kept')\n"
        "    submission.restart()\n"
        "    expect(submission.Store(submission.path('log')).get(), b'kept')\n"
    )
    store = (
        "class Store:\n    def __init__(self, path):\n        self.file = open(path, 'ab+'{})\n"
        "    def put(self, data): self.file.write(data)\n"
        "    def get(self):\n        self.file.seek(0)\n        return self.file.read()\n"
    )
    toy_box = toy.suite_of(CRITERION + body)
    only = msgspec.structs.replace(
        toy.capstone, criteria=(Criterion(id="1", title="One", points=100),)
    )
    report = toy.judge(
        store.format(""), suite=toy_box, definition=only, mode="check", box="rlimits"
    )
    program = report.criteria[0].replay
    assert "killed(part_1)" in program, report.criteria[0]
    status, said = run(program, toy.folder / "submission", tmp_path / "place")
    assert (status, "got b''" in said) == (1, True), said
    (toy.folder / "submission" / "toy" / "__init__.py").write_text(store.format(", buffering=0"))
    status, said = run(program, toy.folder / "submission", tmp_path / "place")
    assert (status, "As expected now" in said) == (0, True), said


def test_cleaning_up_is_no_part_of_a_failure(toy: Any) -> None:
    body = (
        "def test_it(submission):\n    '''Closes.'''\n    counter = submission.Counter(1)\n"
        "    try:\n        expect(counter.add(1), 2)\n    finally:\n        counter.add(100)\n"
    )
    wrong = (
        "class Counter:\n    def __init__(self, start=0): self.value = start\n"
        "    def add(self, n): return 0\n"
    )
    program = judged(toy, body, wrong).replay
    assert "add(1)" in program
    assert "add(100)" not in program


def test_there_is_no_replay_where_there_is_nothing_to_show(toy: Any) -> None:
    stub = "def add(a, b): raise NotImplementedError('toy/01 #1: add()')\n"
    body = CASES["a value"].body
    assert judged(toy, body, stub).replay == ""
    (toy.folder / "submission" / "toy" / "__init__.py").unlink()


def test_a_callback_of_the_judge_gives_no_replay_rather_than_half_of_one(toy: Any) -> None:
    body = (
        "def test_it(submission):\n    '''Calls.'''\n"
        "    submission.apply(lambda value: value)\n    expect(submission.add(1, 1), 2)\n"
    )
    entry = judged(toy, body, "def apply(f): pass\ndef add(a, b): return 0\n")
    assert (entry.outcome, entry.replay) == ("failed", "")


# -- the writer ----------------------------------------------------------------------------------

FOLDER = "/scratch"
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary(max_size=200)
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([f"{FOLDER}/a b", f"x{FOLDER}/y", b"\0" * 300, "\ud800", "\u202e"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


def equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(equal, a.values(), b.values()))
    return bool(a == b)


@settings(deadline=None)
@given(PLAIN)
def test_plain_data_comes_back_from_its_source(value: Any) -> None:
    literals = Literals(lambda thing: thing.class_name, FOLDER, {})
    text = literals(value)
    assert text.isascii()
    names = {"unpacked": unpacked, "FOLDER": FOLDER, "path": lambda name: f"{FOLDER}/{name}"}
    for line in literals.data:
        exec(line, names)
    assert equal(eval(text, names), value)


def test_noise_is_found_inside_other_bytes() -> None:
    draws = Draws("seed", "test")
    data = draws.randbytes(4_000)
    assert random.Random(draws.noise[data]).randbytes(4_000) == data
    literals = Literals(str, FOLDER, draws.noise)
    text = literals(b"head" + data + b"tail")
    names: dict[str, Any] = {"noise": lambda seed, size: random.Random(seed).randbytes(size)}
    assert eval(text, names) == b"head" + data + b"tail"
    assert len(text) < 64
    twice = literals(data[:1_000]), literals(data[:1_000])
    assert twice == ("data_1", "data_1"), "spelled once"
    assert len(literals.data) == 1


def test_a_very_long_number_has_a_source() -> None:
    text = Literals(str, FOLDER, {})(10**5000)
    assert eval(text) == 10**5000


HOSTILE = 'x"""\nimport os; os._exit(7)\n\'\\\r\x1b[31m\u2028#'


@settings(deadline=None)
@given(st.sampled_from([HOSTILE, "int", "class", "os", "check", "", "9", "café"]) | st.text())
def test_no_word_of_a_submission_becomes_code(word: str) -> None:
    """Class names, messages and answers are the submission's own words."""
    events = [
        Event("module", ("toy",), Thing(1, 1, "module"), 1),
        Event("get", (Thing(1, 1, "module"), "make"), Thing(1, 2, "function"), 2),
        Event("call", (Thing(1, 2, "function"), (), {}), Thing(1, 3, word, {word: 1}), 3),
        Event("call", (Thing(1, 2, "function"), (), {}), Fault(word, word), 4),
        Event("len", (Thing(1, 3, word),), word, 5),
    ]
    checks = (None, Compared(word, 1), MustRaise((word,)))
    for check in checks:
        failure = Failure("criterion 1", word, word, check)
        program = replay_program(
            events, failure, name="0" * 8, package="toy", folder=FOLDER, noise={}
        )
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(program))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"exec", "eval", "_exit"}
        body = program[program.index("# -- what was asked") :]
        assert "_exit" not in "".join(
            ast.dump(node) for node in ast.walk(ast.parse(body)) if isinstance(node, ast.Attribute)
        )
        assert "\x1b" not in program


def test_a_program_is_bounded_and_so_is_a_transcript() -> None:
    rng = random.Random(1)
    events = [Event("module", ("toy",), Thing(1, 1, "module"), 1)]
    for _ in range(200):
        data = (rng.randbytes(1_000),)
        events.append(Event("call", (Thing(1, 1, "module"), data, {}), 1, 2))
    arguments = {"name": "0" * 8, "package": "toy", "folder": FOLDER, "noise": {}}
    failure = Failure("criterion 1", "no")
    assert replay_program(events, failure, **arguments) == ""
    small = replay_program(events[:20], failure, **arguments)
    assert 0 < len(small) <= MAX_PROGRAM_BYTES
    transcript = Transcript()
    for i in range(40):
        transcript.add("call", (bytes(2**20),), i)
    assert transcript.too_long
    assert transcript.events == ()
    assert transcript.asked == 40


def test_objects_nobody_made_give_no_program() -> None:
    events = [Event("len", (Thing(1, 9, "Lost"),), 1, 1)]
    arguments = {"name": "0" * 8, "package": "toy", "folder": FOLDER, "noise": {}}
    assert replay_program(events, Failure("c", "m"), **arguments) == ""
    assert replay_program([], Failure("c", "m"), **arguments) == ""


@pytest.mark.parametrize(
    ("got", "answers", "place"),
    [
        (3, [1, 3], "got"),
        (3, [3, 1], ""),
        ((1, 2), [0, 1, 2], "(got, got_2)"),
        ((1, 2), [(1, 2)], "got"),
        (5, [[4, 5, 6]], "got[1]"),
        (None, [[None, None]], ""),
        (True, [1], ""),
        (4, [Thing(1, 1, "Place", {"page": 3, "slot": 4})], "got.slot"),
        (3, [Thing(1, 1, "Place", {"page": 3, "slot": 3})], ""),
    ],
)
def test_where_a_value_came_from(got: Any, answers: list[Any], place: str) -> None:
    assert found(got, answers)[0] == place


def test_only_the_latest_run_is_kept_behind_what_came_before() -> None:
    transcript = Transcript()

    def asked(*numbers: int) -> None:
        for number in numbers:
            transcript.add("call", (number,), None)

    told: Callable[[], list[int]] = lambda: [e.arguments[0] for e in transcript.events]  # noqa: E731
    asked(1, 2)
    transcript.begin()
    asked(3)
    first = transcript.run
    transcript.begin()
    asked(4, 5)
    assert told() == [1, 2, 4, 5]
    transcript.settle(first)
    assert told() == [1, 2, 3]
