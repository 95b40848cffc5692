"""Pages of the board: hostile names stay text, and nobody else sees them."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.records.board_page import capstone_page, learners_page, overview_page
from grader.records.board_server import BoardServer
from grader.records.gradebook import Gradebook
from grader.records.gradebook_reader import GradebookError
from tests.grader.records.boards import TOY, enter, made
from tests.grader.reports import HOSTILE, Tags


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
