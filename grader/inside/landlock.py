"""Landlock: a process gives up the file system, but for the folders it names, and cannot go back.

Called through raw system calls, since neither Python nor every libc wraps them. Best effort by the
version (ABI) of the kernel: files from 1, moving between folders 2, truncating 3, TCP 4, device
commands 5, signals and abstract sockets 6. What the kernel does not fence, `seccomp` denies.

Reference: landlock(7); Linux ``Documentation/userspace-api/landlock.rst``. Runs in the box:
standard library only.
"""

from __future__ import annotations

import ctypes
import functools
import os
import stat
import struct
import sys
from collections.abc import Iterable

__all__ = ["ABI_SIGNALS", "ABI_TCP", "ABI_TRUNCATE", "abi", "restrict"]

ABI_TRUNCATE, ABI_TCP, ABI_SIGNALS = 3, 4, 6

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every architecture
_WANT_VERSION = 1
_PATH_BENEATH, _NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_MAKE_CHAR, _MAKE_BLOCK, _TRUNCATE, _IOCTL_DEV = 1 << 6, 1 << 11, 1 << 14, 1 << 15
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1

_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_A_FILE = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}


@functools.cache
def abi() -> int:
    """The version of Landlock in this kernel, 0 when it has none or it is switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    found = _libc().syscall(_CREATE_RULESET, None, 0, _WANT_VERSION)
    return max(0, int(found))


def restrict(
    reads: Iterable[str],
    writes: Iterable[str],
    *,
    lists: Iterable[str] = (),
    listen: bool = False,
    version: int | None = None,
) -> None:
    """Leave this thread, and all it starts, `reads` to read and execute and `writes` to change.

    These are folders with all below them, or single files; one that does not exist is no rule. Of
    `lists` only names may be read. With `listen` a TCP port that is free may be bound, and none
    connected to; without it TCP is not judged here. Signals reach only what was started since.
    `version` plays an older kernel. Raises `OSError`.
    """
    known = abi() if version is None else min(version, abi())
    if known < 1:
        raise OSError("this kernel has no Landlock")
    files = _FILE_RIGHTS[max(level for level in _FILE_RIGHTS if level <= known)]
    tcp = _BIND_TCP | _CONNECT_TCP if listen and known >= ABI_TCP else 0
    fence = _ABSTRACT_SOCKETS | _SIGNALS if known >= ABI_SIGNALS else 0
    # struct landlock_ruleset_attr grew with the versions
    attributes = struct.pack("<QQQ", files, tcp, fence)
    attributes = attributes[: 8 if known < ABI_TCP else 16 if known < ABI_SIGNALS else 24]
    ruleset = _call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for path in reads:
            _allow(ruleset, path, files & _READ)
        for path in lists:
            _allow(ruleset, path, files & _READ_DIR)
        for path in writes:
            _allow(ruleset, path, files & ~(_MAKE_CHAR | _MAKE_BLOCK | _IOCTL_DEV))
        if tcp:
            # Port 0: whichever is free. No other port, so that nothing can pose as a service.
            _call(_ADD_RULE, ruleset, _NET_PORT, struct.pack("<QQ", _BIND_TCP, 0), 0)
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs")
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_A_FILE
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: int | bytes) -> int:
    """One system call; bytes are passed by address. Raises `OSError`."""
    # A plain int would be cut to 32 bits.
    wide = [ctypes.c_long(a) if isinstance(a, int) else ctypes.c_char_p(a) for a in arguments]
    result = _libc().syscall(ctypes.c_long(number), *wide)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return int(result)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
