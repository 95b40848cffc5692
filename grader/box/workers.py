"""Starting workers: one job prepares once, then every test gets a fresh process and folder."""

from __future__ import annotations

import errno
import os
import socket
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from grader.box import Box, BoxUnavailable, Plan, Spawn
from grader.box.base import no_process
from grader.box.boxes import Forked, ForkServer, confinement_of
from grader.box.boxset import BoxSet, scratch_parent
from grader.box.files import open_to_box, remove_tree
from grader.box.in_process import LoopTransport
from grader.box.namespace import Namespace
from grader.box.runtime import prepare_runtime
from grader.box.system import spare_uid
from grader.box.transport import BoxTransport, Parking, Transport
from grader.errors import WorkerLost
from grader.inside.servant import Servant
from grader.inside.worker import WorkerOrder
from grader.limits import Limits
from grader.proxy.proxy import Connection

__all__ = ["Workshop", "library_folders"]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def library_folders() -> tuple[Path, ...]:
    """Where this interpreter's installed packages lie."""
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    return tuple(sorted(Path(path) for path in paths))


class Workshop:
    """Makes workers for one submission: fresh process, fresh scratch folder, shared time budget.

    `box` is ``None`` for workers in this process. `extra` are folders the code may import from
    besides its own: installed packages for a capstone that allows them, the source of `meridian`
    when that is what is judged. `preload` are loaded before a worker starts: numerical libraries,
    which need much address space, so that real memory alone is limited. `boxes` are
    boxes that run already, made for `code`, and end with whoever lent them; `runtime` the worker's
    own code, where it was prepared before. `close` ends whatever was started here.
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
        preload: tuple[str, ...] = (),
        boxes: BoxSet | None = None,
        runtime: Path | None = None,
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
        self._preload = preload
        self._boxes = boxes
        self._lent = boxes is not None
        self._uid = spare_uid() if boxes is None else boxes.plan.uid
        self._parking = Parking()
        self._others: list[Workshop] = []
        if boxes is not None:
            self._runtime = boxes.plan.runtime
        elif box is not None:
            self._runtime = runtime or prepare_runtime(work)

    @property
    def code(self) -> Path:
        return self._code

    @property
    def extra(self) -> tuple[Path, ...]:
        return self._extra

    def other(
        self, code: Path, extra: tuple[Path, ...], whose: str = "", preload: tuple[str, ...] = ()
    ) -> Workshop:
        """A workshop for other code under the same walls, limits and deadline.

        `whose` opens its errors, so that a learner is not blamed for what is not theirs. It is
        closed with this one.
        """
        made = Workshop(
            code,
            self._work,
            box=self._box,
            limits=self.limits,
            seed=self._seed,
            deadline=self._deadline,
            extra=extra,
            hidden=self._hidden,
            whose=whose,
            preload=preload,
            runtime=None if self._box is None else self._runtime,
        )
        self._others.append(made)
        return made

    @property
    def place(self) -> Path:
        """Where the scratch folders are."""
        return self._work if self._boxes is None else self._boxes.plan.scratch

    # -- scratch folders -------------------------------------------------------------------------

    def scratch(self) -> Path:
        """A new empty folder that a worker may write to."""
        parent = self._work if self._box is None else self._running().plan.scratch
        folder = Path(tempfile.mkdtemp(prefix="scratch-", dir=parent))
        self.share(folder)
        return folder

    def share(self, scratch: Path) -> None:
        """Let the worker write the files that the judge put into `scratch`."""
        if self._box is not None:
            open_to_box(scratch, self._uid)

    def discard(self, scratch: Path) -> None:
        remove_tree(scratch)
        remove_tree(_private(scratch))

    def seen_path(self, scratch: Path) -> str:
        """The name of `scratch` from the worker's side."""
        return os.fspath(scratch) if self._box is None else self._running().spawn.name_of(scratch)

    # -- workers ---------------------------------------------------------------------------------

    def connect(self, scratch: Path) -> Connection:
        """A new worker on `scratch`; it starts while the judge goes on, and is asked by name.

        Raises `BoxUnavailable` when the box cannot be started.
        """
        transport = self._boxed(scratch) if self._box is not None else self._loop()
        first = int.from_bytes(os.urandom(4), "little")
        return Connection(
            transport,
            first=first,
            max_handles=self.limits.handles,
            timeout_s=self._question_s,
            whose=self._whose,
        )

    def park(self, on: bool) -> None:
        """While `on`, every process of the boxes is stopped as long as no question is out.

        So that what a submission left running cannot slow another side of a race.
        """
        self._parking.on = on
        if self._boxes is not None:
            self._boxes.park(stopped=on)

    def dial(self, port: int, host: str = "127.0.0.1", timeout_s: float = 5.0) -> socket.socket:
        """A TCP socket connected to `port` in the network of the newest worker's box.

        Raises `OSError` when nobody listens, `ValueError` for an address that is not loopback.
        """
        if host not in _LOOPBACK:
            raise ValueError(f"Expected a loopback address ({', '.join(_LOOPBACK)}), got {host!r}")
        if self._box is None:
            made = socket.create_connection((host, port), timeout_s)
            made.settimeout(None)
            return made
        return self._running().latest().dial(host, port, timeout_s)

    def listen(self, port: int = 0, backlog: int = 100) -> socket.socket:
        """A TCP socket of the judge that listens on loopback in the newest worker's box.

        Raises `OSError` for a port in use, and where the box has no network of its own.
        """
        if self._box is None:
            return socket.create_server(("127.0.0.1", port), backlog=backlog)
        return self._running().latest().listen("127.0.0.1", port, backlog)

    def cpu_s(self) -> float:
        """CPU seconds of all boxed workers so far."""
        return 0.0 if self._boxes is None else self._boxes.cpu_s()

    def close(self) -> None:
        """End all workers and boxes; their scratch folders go too. Closing twice is harmless."""
        for other in self._others:
            other.close()
        if self._boxes is not None and not self._lent and not self._boxes.closed:
            self._boxes.close()
            remove_tree(self._boxes.plan.scratch)

    def extend(self, seconds: float) -> None:
        """Move the deadline: what a job waits for others is not taken from its time."""
        self._deadline += seconds

    def _question_s(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise WorkerLost("timeout", f"The job's {self.limits.job_s:g} s are used up")
        return min(self.limits.question_s, left)

    def _plan(self, scratch: Path) -> Plan:
        return Plan(
            runtime=self._runtime,
            submission=self._code,
            scratch=scratch,
            libraries=self._extra,
            hidden=self._hidden,
            uid=self._uid,
            network=self.limits.network,
        )

    def _running(self) -> BoxSet:
        assert self._box is not None
        if self._boxes is None:
            parent = scratch_parent(self._work, self._uid)
            try:
                self._boxes = BoxSet(self._box, self._plan(parent), self.limits, self._preload)
            except BaseException:
                remove_tree(parent)
                raise
        return self._boxes

    def _boxed(self, scratch: Path) -> Transport:
        boxes = self._running()
        assert self._box is not None
        for attempt in range(2):
            try:
                return self._forked(boxes.server(), scratch)
            except BoxUnavailable:
                if attempt:
                    raise
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.ENOMEM):
                    raise no_process(self._box.tier, error) from None
                raise
        raise AssertionError("unreachable")

    def _forked(self, server: ForkServer, scratch: Path) -> Transport:
        order, private = self._order(server.spawn, scratch, self.limits)
        return BoxTransport(
            server,
            order,
            folders=(scratch, private),
            limits=self.limits,
            parking=self._parking,
            job_cpu=self.cpu_s,
        )

    def kernel(
        self, scratch: Path, files: tuple[str, str], environment: Mapping[str, str], limits: Limits
    ) -> Forked:
        """A notebook's kernel on `scratch`, starting: `files` are its connection file and the one
        it makes when its sockets are there. ``{tmp}`` in `environment` is its folder for temporary
        files. Raises `BoxUnavailable`.
        """
        server = self._running().server(alone=True)
        order, _ = self._order(server.spawn, scratch, limits, files=files)
        private = order.environment["TMPDIR"]
        named = {name: value.replace("{tmp}", private) for name, value in environment.items()}
        order = msgspec.structs.replace(order, environment={**order.environment, **named})
        return server.fork(order)

    def _order(
        self, spawn: Spawn, scratch: Path, limits: Limits, files: tuple[str, ...] = ()
    ) -> tuple[WorkerOrder, Path]:
        """What to ask of a worker on `scratch`, and its folder for temporary files."""
        private = _private(scratch)
        remove_tree(private)
        private.mkdir()
        self.share(private)
        own = (spawn.name_of(scratch), spawn.name_of(private))
        amounts = limits.resource_limits(
            count_processes=spawn.count_processes,
            processes_before=spawn.processes_before or 0,
            large_address_space=bool(self._preload),
        )
        order = WorkerOrder(
            confinement=confinement_of(
                spawn,
                amounts,
                own,
                # A kernel talks to its own threads by TCP, where that reaches nothing else.
                network=limits.network or (bool(files) and spawn.own_network),
                unix_sockets=bool(files),
            ),
            path=[spawn.submission, *spawn.libraries],
            folder=own[0],
            environment={"HOME": own[1], "TMPDIR": own[1]},
            kernel=files,
        )
        return order, private

    def _loop(self) -> Transport:
        here = Namespace(self._code, self._extra)
        return LoopTransport(
            Servant(here.load, os.fspath(self._code)), here, self.limits.output_kept_bytes
        )


def _private(scratch: Path) -> Path:
    """Where a worker on `scratch` keeps temporary files, apart from those it is asked for."""
    return scratch.with_name(scratch.name + ".tmp")
