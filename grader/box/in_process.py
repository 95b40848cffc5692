"""A worker in this very process, for code one trusts: same encoding, and pdb works."""

from __future__ import annotations

import contextlib
import io
import queue
import resource
import sys
import threading

from grader.box.namespace import Namespace
from grader.errors import WorkerLost
from grader.inside.conversation import ConversationOver
from grader.inside.servant import Servant

__all__ = ["LoopTransport"]

_END_S = 5.0


class LoopTransport:
    """A worker as a thread of this process, so that its calls wait while the judge runs them.

    Nothing is limited and nothing can be killed: a submission that hangs hangs.
    """

    def __init__(self, servant: Servant, here: Namespace, kept_bytes: int) -> None:
        self._here = here
        self._kept_bytes = kept_bytes
        self._out, self._err = _Kept(), _Kept()
        self._closed = False
        self._questions: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._serve, args=(servant,), name="submission", daemon=True
        )
        self._thread.start()

    def ask(self, payload: bytes, timeout_s: float) -> bytes:  # noqa: ARG002 - no way to enforce
        if self._closed:
            raise WorkerLost("crashed", "The worker was ended")
        self._here.enter()
        with (
            contextlib.redirect_stdout(self._out.text),
            contextlib.redirect_stderr(self._err.text),
        ):
            self._questions.put(payload)
            answer = self._answers.get()
        if answer is None:
            self.close()
            raise WorkerLost("memory", "Out of memory")
        return answer

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._questions.put(None)
        self._thread.join(_END_S)
        self._here.leave()

    def output(self) -> tuple[str, str]:
        return self._out.read(self._kept_bytes), self._err.read(self._kept_bytes)

    def peak_memory(self) -> int:
        """Peak resident bytes of this process: nothing less can be told of a part of it."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024

    def _serve(self, servant: Servant) -> None:
        with contextlib.suppress(ConversationOver):
            try:
                servant.talk(self._answers.put, self._hear)
            except MemoryError:
                self._answers.put(None)

    def _hear(self) -> bytes:
        payload = self._questions.get()
        if payload is None:
            raise ConversationOver
        return payload


class _Kept:
    """A stream in memory that code may also write bytes to, as to the real ones."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        self.text = io.TextIOWrapper(
            self._bytes, encoding="utf-8", errors="backslashreplace", write_through=True
        )

    def read(self, count: int) -> str:
        return self._bytes.getvalue()[:count].decode("utf-8", "replace")
