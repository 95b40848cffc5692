"""A worker in this very process, for code one trusts: same encoding, and pdb works."""

from __future__ import annotations

import contextlib
import io

from grader.errors import WorkerLost
from grader.namespace import Namespace
from grader.servant import Servant

__all__ = ["LoopTransport"]


class LoopTransport:
    """A worker in this very process, for code one trusts: same encoding, and pdb works."""

    def __init__(self, servant: Servant, here: Namespace, kept_bytes: int) -> None:
        self._servant: Servant | None = servant
        self._here = here
        self._kept_bytes = kept_bytes
        self._out, self._err = _Kept(), _Kept()

    def ask(self, payload: bytes, timeout_s: float) -> bytes:  # noqa: ARG002 - no way to enforce
        if self._servant is None:
            raise WorkerLost("crashed", "The worker was ended")
        self._here.enter()
        with (
            contextlib.redirect_stdout(self._out.text),
            contextlib.redirect_stderr(self._err.text),
        ):
            return self._servant.handle(payload)

    def close(self) -> None:
        self._servant = None
        self._here.leave()

    def output(self) -> tuple[str, str]:
        return self._out.read(self._kept_bytes), self._err.read(self._kept_bytes)


class _Kept:
    """A stream in memory that code may also write bytes to, as to the real ones."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self.text = io.TextIOWrapper(
            self._bytes, encoding="utf-8", errors="backslashreplace", write_through=True
        )

    def read(self, count: int) -> str:
        return self._bytes.getvalue()[:count].decode("utf-8", "replace")
