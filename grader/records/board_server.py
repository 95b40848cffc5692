"""Serves the board on this machine: read-only, to whoever has its address.

The pages hold learners' names, so the address has a token that nobody guesses, the server listens
on the loopback alone, and it answers only to its own name: another site's page cannot reach it
through a name that it points here (DNS rebinding). Nothing is ever written.
"""

from __future__ import annotations

import hmac
import secrets
import sqlite3
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import unquote, urlsplit

from grader.records.board import Board, board
from grader.records.board_page import (
    POLICY,
    capstone_page,
    learner_page,
    learners_page,
    overview_page,
)
from grader.records.gradebook_reader import GradebookError, GradebookReader
from grader.records.pages import learner_page_of
from meridian.academy.curriculum import Capstone

__all__ = ["BoardServer"]

_HOST = "127.0.0.1"
_IDLE_S = 10.0


class BoardServer:
    """Use with `with`; `url` is where it is. `serve` answers until it is interrupted."""

    def __init__(
        self,
        gradebook: Path,
        definition: Callable[[str], Capstone | None],
        *,
        roster: tuple[str, ...] = (),
        stuck_after: int = 3,
        port: int = 0,
        token: str | None = None,
    ) -> None:
        self._gradebook = gradebook
        self._definition = definition
        self._roster = roster
        self._stuck_after = stuck_after
        self._lock = threading.Lock()
        self._kept: tuple[int, Board] | None = None
        self.token = token or secrets.token_urlsafe(24)
        with GradebookReader(gradebook, read_only=True):
            pass  # say now, not in the browser, when there is none
        self._server = _Listener((_HOST, port), self)
        self.port = self._server.server_port

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self.port}/{self.token}/"

    def serve(self) -> None:
        """Answer until `close` is called by another thread, or Ctrl+C."""
        self._server.serve_forever(poll_interval=0.2)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> BoardServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.server_close()

    def allows(self, host: str) -> bool:
        """Whether a request was meant for this server, by the name it was sent to."""
        return host in (f"{_HOST}:{self.port}", f"localhost:{self.port}")

    def page(self, target: str) -> str | None:
        """The page at the path and query `target`; ``None`` for what does not exist.

        Raises `GradebookError`, `OSError`.
        """
        parts = urlsplit(target)
        _, token, *names = parts.path.split("/")
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return None
        base, refresh = f"/{self.token}", parts.query == "every"
        match [unquote(name) for name in names]:
            case [] | [""]:
                return overview_page(self._board(), base, refresh=refresh)
            case ["learners"]:
                return learners_page(self._board(), base, refresh=refresh)
            case ["capstone", key]:
                found = next((c for c in self._board().capstones if c.key == key), None)
                if found is None:
                    return None
                return capstone_page(found, self._board(), base, refresh=refresh)
            case ["learner", name]:
                with GradebookReader(self._gradebook, read_only=True) as book:
                    attempts = book.attempts(name)
                known = any(row.learner == name for row in self._board().learners)
                if not known:
                    return None
                return learner_page(name, attempts, self._board(), base, refresh=refresh)
            case ["feedback", receipt]:
                return self._feedback(receipt)
        return None

    def _feedback(self, receipt: str) -> str | None:
        with GradebookReader(self._gradebook, read_only=True) as book:
            try:
                definition = self._definition(book.report(receipt).capstone)
                return learner_page_of(book, receipt, definition)
            except GradebookError:
                return None

    def _board(self) -> Board:
        """The board as the gradebook stands now; made anew only when something was entered."""
        with self._lock, GradebookReader(self._gradebook, read_only=True) as book:
            version = book.version()
            if self._kept is None or self._kept[0] != version:
                made = board(
                    book, self._definition, roster=self._roster, stuck_after=self._stuck_after
                )
                self._kept = version, made
            return self._kept[1]


class _Listener(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], owner: BoardServer) -> None:
        self.owner = owner
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Listener
    timeout = _IDLE_S  # a connection that says nothing is not kept
    server_version = "Meridian"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        owner = self.server.owner
        if not owner.allows(self.headers.get("Host", "")):
            self._send(421, "This board answers to its own address only\n", "text/plain", with_body)
            return
        try:
            page = owner.page(self.path)
        except (GradebookError, sqlite3.Error, OSError, ValueError) as error:
            text = f"The gradebook cannot be read: {error}\n"
            self._send(500, text, "text/plain", with_body)
            return
        if page is None:
            self._send(404, "There is no such page\n", "text/plain", with_body)
        else:
            self._send(200, page, "text/html", with_body)

    def _send(self, status: int, text: str, kind: str, with_body: bool) -> None:
        body = text.encode("utf-8", "backslashreplace")
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing: a log would hold the token and learners' names."""
