"""Leave what outlives every process: System V memory, semaphores and queues, POSIX ones, a key."""

import ctypes

_LIBC = ctypes.CDLL(None, use_errno=True)
_KEY, _CREATE = 0x4D455249, 0o1666  # the test looks for this key, and for these names
_LIBC.shmget(_KEY, 4096, _CREATE)
_LIBC.semget(_KEY, 1, _CREATE)
_LIBC.msgget(_KEY, _CREATE)
_LIBC.mq_open(b"/meridian-attack", 0o102, 0o666, None)
_LIBC.shm_open(b"/meridian-attack", 0o102, 0o666)
_LIBC.sem_open(b"/meridian-attack", 0o100, 0o666, 1)
_LIBC.syscall(248, b"user", b"meridian-attack", b"x", 1, -4)  # add_key, the user's keyring
