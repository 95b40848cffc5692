"""Giving up, for good, whatever a submission must not have: the last step before its first line.

Runs in the box, in the process that will load the submission. The order matters: files and limits
while there are still rights to arrange them, then the other user, then the walls that hold for
everything from here on. An error leaves a process that must not go on.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable

import msgspec

from grader.inside import landlock, seccomp

__all__ = ["EXIT_NOT_CONFINED", "Confinement", "confine"]

EXIT_NOT_CONFINED = 87
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_KEEPCAPS = 1, 4, 8
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 47, 2
_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION = 0x2008_0522
_SIGKILL = 9


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """What one process of a box may use and reach; travels to it as plain data."""

    limits: dict[str, int]
    """Amounts by RLIMIT constant, without that prefix."""
    uid: int | None = None
    """Another user to become, where the box begins as root."""
    keep_reading: bool = False
    """As that user, still read what only root may; the walls decide what can be read at all."""
    walls: bool = False
    """Landlock, as far as the kernel has it, and the filter of system calls."""
    reads: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    network: bool = False
    own_network: bool = False
    """The box has a network of its own, so loopback reaches nothing else."""
    own_files: bool = False
    """The box has a file system of its own, so no other file can be touched."""
    unix_sockets: bool = False


def confine(wanted: Confinement) -> None:
    """Keep to `wanted` from now on; everything started from here inherits it. Raises `OSError`."""
    linux = sys.platform.startswith("linux")
    if linux and wanted.walls:
        _first_to_go()
    _limit(wanted.limits)
    if wanted.uid is not None:
        _become(wanted.uid, keep_reading=wanted.keep_reading and linux)
    if linux:
        _prctl(_PR_SET_DUMPABLE, 0)  # and set again by an exec: the limit on cores holds there
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    if wanted.walls:
        _build_walls(wanted)


def _build_walls(wanted: Confinement) -> None:
    version = landlock.abi()
    if version:
        listen = wanted.network and not wanted.own_network
        landlock.restrict(wanted.reads, wanted.writes, lists=wanted.lists, listen=listen)
    fenced = wanted.uid is not None or version >= landlock.ABI_SIGNALS
    seccomp.install(
        seccomp.Policy(
            network=wanted.network,
            only_listen=not wanted.own_network,
            unix_sockets=wanted.unix_sockets,
            own_pid=None if fenced else os.getpid(),
            shared_uid=wanted.uid is None and not wanted.own_files,
            can_truncate=version < landlock.ABI_TRUNCATE and not wanted.own_files,
        )
    )


def _limit(limits: dict[str, int]) -> None:
    import resource

    for name, amount in limits.items():
        kind = getattr(resource, "RLIMIT_" + name)
        hard = amount + 1 if name == "CPU" else amount  # SIGXCPU first: it names the cause
        ceiling = resource.getrlimit(kind)[1]
        if ceiling != resource.RLIM_INFINITY:  # never ask for more than this user has
            amount, hard = min(amount, ceiling), min(hard, ceiling)
        resource.setrlimit(kind, (amount, hard))


def _first_to_go() -> None:
    """When memory runs out, the kernel ends this process and not the one that started it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:  # a kernel without it, or a /proc that is not there: the judge counts as well
        return


def _become(uid: int, *, keep_reading: bool) -> None:
    if keep_reading:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    if keep_reading:
        _keep_only(_CAP_DAC_READ_SEARCH)


def _keep_only(capability: int) -> None:
    """One capability, for this process and what it starts, and none besides."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    bits = 1 << capability
    data = struct.pack("<6I", bits, bits, bits, 0, 0, 0)  # effective, permitted, inheritable
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset: this process may not read for another user")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def _prctl(option: int, *arguments: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    padded: Iterable[int] = (*arguments, 0, 0, 0, 0)[:4]
    if libc.prctl(option, *(ctypes.c_ulong(value) for value in padded)) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")
