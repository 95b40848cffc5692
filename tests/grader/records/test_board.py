"""The board counts right, hides nothing that matters, and shows its pages to nobody else."""

from __future__ import annotations

import datetime
import http.client
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from grader.cli import app
from grader.records.board import Board, board
from grader.records.board_page import capstone_page, learners_page, overview_page
from grader.records.board_server import BoardServer
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import GradebookError, GradebookReader
from grader.report import CriterionReport
from meridian.academy.curriculum import Capstone, Criterion
from tests.grader.reports import HOSTILE, KEY, Tags, make

NOW = datetime.datetime(2026, 1, 3, tzinfo=datetime.UTC)
STUB = "Adds. Not written yet (a.py:2): toy/01 #1: add()"
TOY = Capstone(
    title="Toy",
    package="toy",
    criteria=tuple(Criterion(id=str(i), title=f"Criterion {i}", points=25) for i in range(1, 5)),
)


def entry(key: str, outcome: str, message: str = "") -> CriterionReport:
    return CriterionReport(
        id=key,
        title=f"Criterion {key}",
        points=25,
        score=25 * (outcome == "passed"),
        outcome=outcome,  # type: ignore[arg-type]
        message=message,
    )


def enter(book: Gradebook, learner: str, attempt: int, *outcomes: str, **more: Any) -> str:
    """An attempt whose criteria end like this: an outcome, or a message of one that failed."""
    known = ("passed", "failed", "not_run", "timeout")
    criteria = [
        entry(str(i), word, "" if word in ("passed", "not_run") else "Asks. Got 1")
        if word in known
        else entry(str(i), "failed", word)
        for i, word in enumerate(outcomes, 1)
    ]
    passed = all(c.outcome == "passed" for c in criteria)
    facts = {"learner": learner, "attempt": attempt}
    settings = {"criteria": criteria, "passed": passed, "score": sum(c.score for c in criteria)}
    return book.record(make(facts=facts, **{**settings, **more}), KEY)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Gradebook]:
    with Gradebook(tmp_path / "g.sqlite") as made:
        yield made


def made(book: GradebookReader, **more: Any) -> Board:
    return board(book, lambda key: TOY if key == "toy/01" else None, now=lambda: NOW, **more)


def test_every_learner_stands_somewhere_at_every_criterion(book: Gradebook) -> None:
    enter(book, "ada", 1, "passed", "passed", "passed", "passed")
    enter(book, "bob", 1, "passed", "timeout", STUB, "not_run")
    enter(book, "bob", 2, "failed", "failed", STUB, "not_run")  # what was passed once stays so
    enter(book, "eve", 1, "failed", judged=False)
    found = made(book, roster=["zoe", "ada", ""])
    (toy,) = found.capstones
    assert (toy.passed, toy.submitted, toy.unjudged, toy.not_submitted) == (1, 2, 1, 1)
    assert toy.median_score == 62.5
    rows = [(t.passed, t.failed, t.not_written, t.waiting, t.not_submitted) for t in toy.criteria]
    assert rows == [(2, 0, 0, 0, 2), (1, 1, 0, 0, 2), (1, 0, 1, 0, 2), (1, 0, 0, 1, 2)]
    assert all(sum(row) == 4 for row in rows)
    assert [(row.learner, row.attempts, row.last_at != "") for row in found.learners] == [
        ("zoe", 0, False), ("ada", 1, True), ("bob", 2, True), ("eve", 0, True),
    ]  # fmt: skip


def test_stuck_means_many_judged_attempts_and_never_passed(book: Gradebook) -> None:
    for attempt in range(1, 5):
        enter(book, "bob", attempt, "failed", "passed" if attempt == 2 else "failed", "passed")
    enter(book, "bob", 5, "failed", "failed", "passed", judged=False)
    for attempt in range(1, 4):
        enter(book, "ada", attempt, "failed")
    enter(book, "ada", 4, "passed")
    (stuck,) = made(book).stuck
    assert (stuck.learner, stuck.criterion, stuck.attempts) == ("bob", "1", 4)
    assert stuck.says == "Asks"
    assert made(book, stuck_after=5).stuck == []
    with pytest.raises(ValueError, match="at least 1"):
        made(book, stuck_after=0)


def test_messages_are_counted_by_category_and_learner(book: Gradebook) -> None:
    said = "Reads back. Got 1\nReads back. Got 2\nand 3 more"
    for learner in ("ada", "bob", "eve"):
        enter(book, learner, 1, said, f"Only {learner}. Got 1")
    enter(book, "eve", 2, "passed", "x")
    (toy,) = made(book).capstones
    assert [(m.criterion, m.says, m.learners) for m in toy.messages] == [("1", "Reads back", 2)]


def test_counts_are_those_of_a_slow_count(book: Gradebook) -> None:
    """Against a count that is written as the definition reads."""
    rng = random.Random(7)
    words = ("passed", "failed", STUB, "not_run", "timeout")
    known: dict[str, list[tuple[bool, list[str]]]] = {}
    for learner in (f"l{i}" for i in range(25)):
        known[learner] = []
        for attempt in range(1, rng.randrange(1, 6)):
            outcomes = [rng.choice(words) for _ in range(4)]
            judged = rng.random() < 0.8
            enter(book, learner, attempt, *outcomes, judged=judged)
            known[learner].append((judged, outcomes))
    (toy,) = made(book, roster=known).capstones
    for i, tally in enumerate(toy.criteria):
        count: Counter[str] = Counter()
        for attempts in known.values():
            judged_ones = [outcomes for judged, outcomes in attempts if judged]
            if not judged_ones:
                count["none"] += 1
            elif any(outcomes[i] == "passed" for outcomes in judged_ones):
                count["passed"] += 1
            else:
                count[judged_ones[-1][i]] += 1
        assert tally.passed == count["passed"]
        assert tally.failed == count["failed"] + count["timeout"]
        assert tally.not_written == count[STUB]
        assert tally.waiting == count["not_run"]
        assert tally.not_submitted == count["none"]


def test_an_empty_gradebook_is_an_empty_board(book: Gradebook) -> None:
    found = made(book)
    assert (found.learners, found.capstones) == ([], [])
    assert "Capstones: nothing yet." in overview_page(found, "/t")
    assert "Learners, longest not seen first: nothing yet." in learners_page(found, "/t")


def test_a_cohort_of_500_at_18_capstones_is_counted_at_once(tmp_path: Path) -> None:
    """Nine thousand reports, in seconds at most on a slow machine; measured: a fifth of one."""
    path = tmp_path / "g.sqlite"
    criteria = [entry(str(i), "failed", "Asks. Got 1 where 2 was meant " * 8) for i in range(1, 13)]
    content = msgspec.json.encode(make(criteria=criteria))
    with Gradebook(path) as book:
        rows = [
            (f"l{i}", f"track/{j:02}-x", 1, "2026-01-01T00:00:00+00:00", 0, 100, 0, "", f"r{i}-{j}",
             content, 1)
            for i in range(500) for j in range(18)
        ]  # fmt: skip
        with book._writing():
            book._db.executemany(
                "INSERT INTO attempts (learner, capstone, attempt, graded_at, score, max_score, "
                "passed, submission_sha256, receipt, report, judged) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
        start_s = time.process_time()
        found = made(book)
        page = overview_page(found, "/t")
        spent_s = time.process_time() - start_s
    print(f"{spent_s:.2f} s of CPU for 9,000 reports of {len(content)} bytes")
    assert spent_s < 5, "measured: 0.4 s"
    assert len(found.learners) == 500
    assert all(c.criteria[0].failed == 500 for c in found.capstones)
    assert len(page) < 100_000


# -- pages ---------------------------------------------------------------------------------------


def test_hostile_names_stay_text(book: Gradebook) -> None:
    for attempt in range(1, 4):
        enter(book, HOSTILE, attempt, HOSTILE, capstone="toy/01")
    found = made(book)
    pages = [
        overview_page(found, "/t"),
        learners_page(found, "/t"),
        capstone_page(found.capstones[0], found, "/t"),
    ]
    for page in pages:
        tags = Tags(page)
        assert {tag for tag, _ in tags.found}.isdisjoint({"script", "img", "iframe", "link"})
        assert not any(name.startswith("on") for _, a in tags.found for name in a)
        links = [str(a["href"]) for tag, a in tags.found if tag == "a"]
        assert all(link.startswith(("/t/", "/t?", "#")) for link in links), links
        assert "alert('x')" in tags.text
        assert "\x1b" not in page


def test_pages_can_be_walked_through(book: Gradebook) -> None:
    enter(book, "ada", 1, "failed", "passed")
    found = made(book)
    for page in (overview_page(found, "/t"), capstone_page(found.capstones[0], found, "/t")):
        tags = Tags(page)
        names = [tag for tag, _ in tags.found]
        assert names.count("h1") == names.count("main") == names.count("nav") == 1
        assert names.count("table") == names.count("caption")
        assert all("scope" in a for tag, a in tags.found if tag == "th")
        assert not any("http-equiv" in a for _, a in tags.found), "no page moves by itself"
    again = Tags(overview_page(found, "/t", refresh=True))
    assert [a["content"] for _, a in again.found if a.get("http-equiv") == "refresh"] == ["30"]
    assert "Stop refreshing" in again.text


# -- the server ----------------------------------------------------------------------------------


@pytest.fixture
def server(tmp_path: Path) -> Iterator[BoardServer]:
    with Gradebook(tmp_path / "g.sqlite") as book:
        enter(book, "ada", 1, "failed", "passed")
    with BoardServer(tmp_path / "g.sqlite", lambda _: TOY, roster=("zoe",)) as running:
        thread = threading.Thread(target=running.serve)
        thread.start()
        yield running
        running.close()
        thread.join()


def ask(
    server: BoardServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, str, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.request(method, path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), dict(answer.getheaders())
    finally:
        connection.close()


def test_every_page_is_served(server: BoardServer) -> None:
    base = f"/{server.token}"
    for path, shown in (
        ("/", "toy/01"),
        ("", "toy/01"),
        ("/?every", "Stop refreshing"),
        ("/learners", "zoe"),
        ("/learner/zoe", "nothing yet"),
        ("/learner/ada", "25 of 100"),
        ("/capstone/toy%2F01", "Criterion 4"),
    ):
        status, page, headers = ask(server, base + path)
        assert (status, shown in page) == (200, True), path
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
    receipt = page_receipt(server)
    status, page, _ = ask(server, f"{base}/feedback/{receipt}")
    assert (status, "What to look at" in page) == (200, True)


def page_receipt(server: BoardServer) -> str:
    _, page, _ = ask(server, f"/{server.token}/learner/ada")
    (link,) = [str(a["href"]) for _, a in Tags(page).found if "/feedback/" in str(a.get("href"))]
    return link.rpartition("/")[2]


def test_nothing_is_said_without_the_token(server: BoardServer) -> None:
    assert len(server.token) >= 32
    for path in ("/", "/learners", f"/{server.token[:-1]}/", f"/{server.token}x/", "//", "/%FF"):
        status, page, _ = ask(server, path)
        assert (status, page) == (404, "There is no such page\n"), path
    for path in ("/capstone/none", "/learner/none", "/feedback/none", "/a/b/c", "/../g.sqlite"):
        assert ask(server, f"/{server.token}{path}")[0] == 404, path


def test_another_name_does_not_reach_it(server: BoardServer) -> None:
    """A page elsewhere may point its own name at this machine: DNS rebinding."""
    path = f"/{server.token}/"
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", "[::1]"):
        assert ask(server, path, host=host)[0] == 421
    assert ask(server, path, host=f"localhost:{server.port}")[0] == 200


def test_it_only_reads(server: BoardServer, tmp_path: Path) -> None:
    path = f"/{server.token}/"
    before = (tmp_path / "g.sqlite").read_bytes()
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert ask(server, path, method)[0] == 501
    status, page, headers = ask(server, path, "HEAD")
    assert (status, page) == (200, "")
    assert int(headers["Content-Length"]) > 1000
    assert (tmp_path / "g.sqlite").read_bytes() == before


def test_a_new_attempt_is_shown_and_old_pages_are_not_counted_again(
    server: BoardServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/{server.token}/learners"
    assert "bob" not in ask(server, path)[1]
    with Gradebook(tmp_path / "g.sqlite") as book:
        enter(book, "bob", 1, "passed")
    assert "bob" in ask(server, path)[1]
    monkeypatch.setattr(
        "grader.records.board_server.board", lambda *_, **__: pytest.fail("counted again")
    )
    assert "bob" in ask(server, path)[1]


def test_many_readers_at_once(server: BoardServer) -> None:
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(ask(server, f"/{server.token}/")[0]))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 16


def test_a_gradebook_that_breaks_meanwhile_is_said(server: BoardServer, tmp_path: Path) -> None:
    for path in tmp_path.glob("g.sqlite*"):
        path.unlink()
    (tmp_path / "g.sqlite").write_text("nonsense" * 100)
    status, page, _ = ask(server, f"/{server.token}/")
    assert (status, "cannot be read" in page) == (500, True)


def test_without_a_gradebook_there_is_no_server(tmp_path: Path) -> None:
    with pytest.raises(GradebookError, match="no such gradebook"):
        BoardServer(tmp_path / "none.sqlite", lambda _: None)
    assert list(tmp_path.iterdir()) == []


# -- an older file, and the command --------------------------------------------------------------


def test_a_gradebook_of_the_first_version_is_read_and_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "g.sqlite"
    old = sqlite3.connect(path)
    old.executescript((Path(__file__).parent / "gradebook_v1.sql").read_text())
    old.close()
    before = path.read_bytes()
    with GradebookReader(path, read_only=True) as book:
        assert [(a.learner, a.score, a.judged, a.revisions) for a in book.attempts()] == [
            ("ada", 70, True, 0)
        ]
        assert len(made(book).capstones) == 1
    assert path.read_bytes() == before, "reading changes nothing"
    with Gradebook(path) as book:
        (first,) = book.attempts()
        assert book.report(first.receipt).score == 70
        enter(book, "ada", 2, "passed", judged=False)
        assert [a.judged for a in book.attempts()] == [True, False]
    database = sqlite3.connect(path, isolation_level=None)
    for table in ("attempts", "revisions"):
        names = database.execute("SELECT name FROM sqlite_master WHERE tbl_name = ?", (table,))
        assert f"{table}_never_change" in {row[0] for row in names}
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        database.execute("UPDATE attempts SET judged = 0")
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(GradebookError, match="version 9, this grader knows 2"):
        Gradebook(path)


def test_the_command_prints_and_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    (lab / "curriculum.toml").write_text("tracks = []\n")
    monkeypatch.setenv("MERIDIAN_LAB", str(lab))

    def call(*more: str) -> Any:
        return CliRunner().invoke(app, ["board", *more])

    nothing = call()
    assert nothing.exit_code == 70
    assert "no such gradebook" in nothing.output
    with Gradebook(lab / ".meridian" / "gradebook.sqlite") as book:
        for learner in ("ada", "bo\x1b[31mb"):
            for attempt in range(1, 4):
                enter(book, learner, attempt, "failed", "passed")
    roster = tmp_path / "roster.csv"
    roster.write_text("learner,email\nzoe,z@x\nada,a@x\n")
    text = call("--roster", str(roster)).output
    for shown in ("toy/01: 0 of 2 passed, median 25", "Stuck (2)", "bo\\x1b[31mb", "zoe", "never"):
        assert shown in text
    plain = json.loads(call("--json", "--stuck", "4").stdout)
    assert plain["capstones"][0]["criteria"][0]["failed"] == 2
    assert plain["capstones"][0]["stuck"] == []
