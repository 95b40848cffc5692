"""Load a filter of system calls that kills at the next one: not to be taken for a success."""

import ctypes
import struct


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def add(a, b):
    kill = ctypes.create_string_buffer(struct.pack("<HBBI", 0x06, 0, 0, 0x8000_0000))
    program = _Program(1, ctypes.addressof(kill))
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    libc.prctl(22, 2, ctypes.byref(program), 0, 0)  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    return a + b
