"""Read the memory of every other process that can be seen, by file and by system call."""

import contextlib
import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)


class _Span(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def _others():
    """Every process that is listed, and those that were started just before this one."""
    own, pids = os.getpid(), set()
    with contextlib.suppress(OSError):
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    return sorted({*pids, 1, os.getppid(), *range(max(1, own - 20), own)} - {own})


def add(a, b):
    read = []
    buffer = ctypes.create_string_buffer(8)
    here = _Span(ctypes.addressof(buffer), 8)
    there = _Span(id(_Span) & ~0xFFF, 8)
    for pid in _others():
        for name in ("mem", "maps", "environ", "auxv", "stack", "syscall", "pagemap", "io"):
            try:
                with open(f"/proc/{pid}/{name}", "rb", 0) as file:
                    if name == "mem" or file.read(1):
                        read.append(name)
            except OSError:
                continue
        if _LIBC.process_vm_readv(pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0) > 0:
            read.append("process_vm_readv")
        if _LIBC.ptrace(16, pid, 0, 0) == 0:  # PTRACE_ATTACH
            read.append("ptrace")
    return f"read {sorted(set(read))}"
