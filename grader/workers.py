"""Starting workers: one job prepares once, then every test gets a fresh process and folder."""

from __future__ import annotations

import compileall
import hashlib
import os
import shutil
import sysconfig
import tempfile
import time
from pathlib import Path
from random import Random

import msgspec

from grader.box import Box, Plan, Spawn
from grader.errors import WorkerLost
from grader.files import open_to_box, remove_tree
from grader.in_process import LoopTransport
from grader.limits import Limits
from grader.namespace import Namespace
from grader.proxy import Connection
from grader.runtime import RUNTIME_FILES
from grader.servant import Servant
from grader.transport import BoxTransport, Transport

__all__ = ["Workshop", "library_folders", "random_for"]


def library_folders() -> tuple[Path, ...]:
    """Where this interpreter's installed packages lie."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return tuple(sorted(Path(path) for path in paths))


class Workshop:
    """Makes workers for one submission: fresh process, fresh scratch folder, shared time budget.

    `box` is ``None`` for workers in this process. `extra` are folders the code may import from
    besides its own: installed packages for a capstone that allows them, the source of `meridian`
    when that is what is judged.
    """

    def __init__(
        self,
        code: Path,
        work: Path,
        *,
        box: Box | None,
        limits: Limits,
        seed: str,
        deadline: float,
        extra: tuple[Path, ...] = (),
        hidden: tuple[Path, ...] = (),
        whose: str = "",
    ) -> None:
        self._code = code
        self._work = work
        self._box = box
        self.limits = limits
        self._seed = seed
        self._deadline = deadline
        self._extra = extra
        self._hidden = hidden
        self._whose = whose
        self._starts = 0
        if box is not None:
            self._prepare_runtime()

    @property
    def code(self) -> Path:
        return self._code

    def other(self, code: Path, extra: tuple[Path, ...], whose: str = "") -> Workshop:
        """A workshop for other code under the same walls, limits and deadline.

        `whose` opens its errors, so that a learner is not blamed for what is not theirs.
        """
        return Workshop(
            code,
            self._work,
            box=self._box,
            limits=self.limits,
            seed=self._seed,
            deadline=self._deadline,
            extra=extra,
            hidden=self._hidden,
            whose=whose,
        )

    def scratch(self) -> Path:
        """A new empty folder that a worker may write to."""
        folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=self._work))
        if self._box is not None:
            open_to_box(folder, self._uid(folder))
        return folder

    def share(self, scratch: Path) -> None:
        """Let the worker write the files that the judge put into `scratch`."""
        if self._box is not None:
            open_to_box(scratch, self._uid(scratch))

    def discard(self, scratch: Path) -> None:
        remove_tree(scratch)

    def seen_path(self, scratch: Path) -> str:
        """The name of `scratch` from the worker's side."""
        return os.fspath(scratch) if self._box is None else self.spawn(scratch).scratch

    def connect(self, scratch: Path) -> Connection:
        """A new worker on `scratch`; it starts while the judge goes on, and is asked by name."""
        self._starts += 1
        transport = self._boxed(scratch) if self._box is not None else self._loop()
        first = int.from_bytes(os.urandom(4), "little")
        return Connection(
            transport,
            first=first,
            max_handles=self.limits.handles,
            timeout_s=self._question_s,
            whose=self._whose,
        )

    def _question_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise WorkerLost("timeout", f"The job's {self.limits.job_s:g} s are used up")
        return min(self.limits.question_s, left)

    def _prepare_runtime(self) -> None:
        """The worker's own code as a folder: a few files of this package, and msgspec."""
        self._runtime = self._work / "runtime"
        if self._runtime.exists():
            return
        here = Path(__file__).parent
        (self._runtime / "grader").mkdir(parents=True)
        for name in RUNTIME_FILES:
            shutil.copyfile(here / name, self._runtime / "grader" / name)
        shutil.copytree(Path(msgspec.__file__).parent, self._runtime / "msgspec")
        compileall.compile_dir(self._runtime, quiet=2, legacy=False)

    def spawn(self, scratch: Path) -> Spawn:
        """How to start a process on `scratch` in this workshop's box."""
        assert self._box is not None
        return self._box.spawn(
            Plan(
                runtime=self._runtime,
                submission=self._code,
                scratch=scratch,
                libraries=self._extra,
                hidden=self._hidden,
            )
        )

    def _uid(self, scratch: Path) -> int | None:
        return self.spawn(scratch).uid

    def _boxed(self, scratch: Path) -> Transport:
        # Another hash seed for every start shows code that depends on the order of a set.
        digest = hashlib.sha256(f"{self._seed}/{self._starts}".encode()).digest()
        environment = {
            "PYTHONHASHSEED": str(int.from_bytes(digest[:4], "little")),
            "PYTHONUTF8": "1",
            "HOME": "/tmp",
            "LANG": "C.UTF-8",
        }
        return BoxTransport(self.spawn(scratch), scratch, self.limits, environment)

    def _loop(self) -> Transport:
        here = Namespace(self._code, self._extra)
        return LoopTransport(
            Servant(here.load, os.fspath(self._code)), here, self.limits.output_kept_bytes
        )


def random_for(seed: str, name: str) -> Random:
    """The random numbers of one test: the same for a replayed seed, unlike any other test's."""
    return Random(hashlib.sha256(f"{seed}/{name}".encode()).digest())
