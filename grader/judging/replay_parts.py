"""What a replay program brings along: each part is copied into it as it stands here.

Standard library only, and nothing of the grader: the program runs where the learner is.
"""

from __future__ import annotations

import base64
import contextlib
import os
import random
import signal
import sys
import traceback
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

FOLDER = ""
"""Set by the program itself to a new folder."""


def path(name: str) -> str:
    """A file of this replay."""
    return os.path.join(FOLDER, name)


def read(name: str) -> bytes:
    with open(path(name), "rb") as file:
        return file.read()


def write(name: str, data: bytes, offset: int | None = None) -> None:
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if offset is None else 0)
    with open(os.open(path(name), flags, 0o600), "wb") as file:
        file.seek(offset or 0)
        file.write(data)


def noise(seed: int, size: int) -> bytes:
    """The random bytes that the judge drew."""
    return random.Random(seed).randbytes(size)


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


def call_all(function: Callable[..., Any], calls: list[tuple[Any, ...]]) -> list[Any]:
    """What each call gives; an exception stands in its place."""
    answers = []
    for arguments in calls:
        try:
            answers.append(function(*arguments))
        except Exception as error:
            answers.append(error)
    return answers


def run_async(backend: str, function: Any, arguments: Any, keywords: Any) -> Any:
    import anyio

    async def call() -> Any:
        return await function(*arguments, **keywords)

    return anyio.run(call, backend=backend)


def killed(part: Callable[[], None]) -> None:
    """Run `part`, which ends by `die`, in a process of its own."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            part()
        finally:
            traceback.print_exc()
            os._exit(1)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        finish("It went wrong before the process was killed", 1)


def die() -> None:
    """End this process as a power failure would: nothing is flushed or closed."""
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)


def finish(text: str, status: int) -> NoReturn:
    print(text)
    sys.exit(status)


def same(got: Any, want: Any) -> bool:
    """Equal in value and in type, all the way down."""
    if type(got) is not type(want):
        return False
    if hasattr(want, "dtype"):
        return (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())
    if type(want) in (list, tuple):
        return len(got) == len(want) and all(map(same, got, want))
    if type(want) is dict:
        return got.keys() == want.keys() and all(same(got[key], want[key]) for key in want)
    return bool(got == want or (got != got and want != want))


def told(value: Any) -> str:
    """`value` as text that fits a screen."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def check(got: Any, want: Any) -> NoReturn:
    """Say whether `got` is what was expected."""
    if same(got, want):
        finish(f"As expected now: {told(want)}", 0)
    where = ""
    if type(got) is bytes and type(want) is bytes:
        pairs = enumerate(zip(got, want, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), min(len(got), len(want)))
        where = f"\n{len(got)} bytes of {len(want)}; they differ from byte {at} on"
    finish(f"Still wrong: expected {told(want)}\ngot {told(got)}{where}", 1)


@contextlib.contextmanager
def must_raise(*names: str) -> Iterator[None]:
    """The block must raise an exception of one of these classes."""
    try:
        yield
    except Exception as error:
        if any(cls.__name__ in names for cls in type(error).__mro__):
            finish(f"As expected now: it raised {type(error).__name__}: {error}", 0)
        raise
    finish(f"Still wrong: it raised nothing, it must raise {' or '.join(names)}", 1)


def unlike(got: Any, judged: Any) -> NoReturn:
    """Say whether the last call gives what it gave when it was judged, where that was not all."""
    again = f"The last call gives the same as when it was judged: {told(got)}"
    other = f"The last call gives {told(got)} now, where it gave {told(judged)}"
    unknown(again if same(got, judged) else other)


def unknown(text: str) -> NoReturn:
    finish(f"{text}\nThe judge looked at more than that: only a check can say whether it holds", 3)


def raise_first(answers: list[Any]) -> None:
    """Raise the first exception among what `call_all` gave."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
