"""System calls that a submission may not make, as a filter in the kernel's own little language.

The filter is classic BPF, assembled here and installed with ``prctl``. It is inherited by every
process the submission starts, cannot be taken off, and denies with an error instead of killing, so
that honest code sees an ordinary exception. It closes what the other walls leave open: sockets,
looking into or signalling other processes, memory that no limit sees, leaving the process group by
which everything is ended, and new namespaces.

Reference: seccomp(2); Linux ``Documentation/userspace-api/seccomp_filter.rst``. Runs in the box:
standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from grader.inside.syscalls import ARCHITECTURES, SYSCALLS

__all__ = ["Policy", "Rule", "Condition", "install", "policy_rules", "program", "supported"]

_LOAD, _JUMP_EQUAL, _JUMP_FROM, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_X32_BIT = 0x4000_0000
_ALL = 0xFFFF_FFFF
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2

_NEW_NAMESPACES = 0x7E02_0080  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET and TIME
_SOCKET_KIND = 0xF  # the rest of the type are flags
_MSG_FASTOPEN = 0x2000_0000
_F_SETSIG, _F_NOTIFY = 10, 1026
_O_ACCMODE, _O_TRUNC = 3, 0o1000

_NEVER = (
    # other processes
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp", "process_madvise"),
    *("process_mrelease", "migrate_pages", "move_pages", "get_robust_list", "perf_event_open"),
    # namespaces, mounts and the kernel itself
    *("mount", "umount2", "pivot_root", "chroot", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("move_mount", "open_tree", "mount_setattr", "unshare", "setns", "name_to_handle_at"),
    *("open_by_handle_at", "bpf", "kexec_load", "kexec_file_load", "init_module"),
    *("finit_module", "delete_module", "userfaultfd", "io_uring_setup", "io_uring_enter"),
    *("io_uring_register", "vmsplice", "personality", "modify_ldt", "syslog", "acct", "quotactl"),
    *("add_key", "request_key", "keyctl"),
    # memory and messages that outlive a process, or that no limit counts
    *("memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "semget", "semop", "semctl"),
    *("semtimedop", "msgget", "msgsnd", "msgrcv", "msgctl", "mq_open"),
    # watching files; a timer could wake what the judge has stopped
    *("inotify_init", "inotify_init1", "inotify_add_watch", "fanotify_init", "fanotify_mark"),
    "timer_create",
    # the process group is how everything that was started is ended at once
    *("setsid", "setpgid"),
)
# Changing what belongs to a file is nothing that Landlock sees.
_OWNER_CALLS = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "setxattr", "lsetxattr", "fsetxattr"),
    *("setxattrat", "removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
)
_OF_ANOTHER = {  # calls on a process by id, 0 for oneself: the argument that holds the id
    "prlimit64": (0, errno.EPERM),
    "sched_setattr": (0, errno.EPERM),
    "sched_setaffinity": (0, errno.EPERM),
    # ZeroMQ makes these for its own threads, whose ids are not known here, and stops when they
    # fail: they change nothing and report success.
    "sched_setparam": (0, 0),
    "sched_setscheduler": (0, 0),
}
_SIGNALLING = {  # which argument says whom, which one what
    "kill": (0, 1),
    "tkill": (0, 1),
    "tgkill": (0, 2),
    "rt_sigqueueinfo": (0, 1),
    "rt_tgsigqueueinfo": (0, 2),
    "pidfd_send_signal": (0, 1),
}
_PR_SET_PDEATHSIG, _SIGCONT = 1, 18
_BUFFER_OPTIONS = (7, 8, 32, 33)  # SO_SNDBUF, SO_RCVBUF, and the same by force
_NO_SUCH_CALL = ("clone3", "openat2")  # arguments in memory cannot be judged; libc has a way round


class Condition(NamedTuple):
    """Argument `argument`, cut to `mask`, must be one of `values` (or, not `wanted`, none)."""

    argument: int
    values: tuple[int, ...]
    mask: int = _ALL
    wanted: bool = True


class Rule(NamedTuple):
    """System call `name` is allowed when all of `tests` hold, else it fails with `error`."""

    name: str
    tests: tuple[Condition, ...] = (Condition(0, ()),)  # one of nothing: never
    error: int = errno.EPERM


class Policy(NamedTuple):
    """What differs from box to box."""

    network: bool = False
    """Sockets of the internet families; the box must keep them off the rest of the network."""
    only_listen: bool = False
    """With `network`: TCP that accepts and never connects, for a box without its own network."""
    unix_sockets: bool = False
    """Named sockets to listen on, as a notebook's kernel does."""
    own_pid: int | None = None
    """Signals reach this process and its group alone, where nothing else fences them."""
    shared_uid: bool = False
    """Other files of the machine belong to the same user: nothing may change their attributes."""
    can_truncate: bool = False
    """Truncating by name is not fenced otherwise."""


def supported() -> bool:
    """Whether the filter is written for this machine."""
    return platform.system() == "Linux" and platform.machine() in ARCHITECTURES


def install(policy: Policy) -> None:
    """Put the filter on this thread and all it starts from now on. Raises `OSError`."""
    instructions = program(policy_rules(policy), platform.machine())
    packed = b"".join(struct.pack("<HBBI", *each) for each in instructions)
    code = ctypes.create_string_buffer(packed, len(packed))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    wanted = Program(len(instructions), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(wanted), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"seccomp: {errno.errorcode.get(number, number)}")


def policy_rules(policy: Policy) -> Iterator[Rule]:
    """The rules of `policy`; what no rule names is allowed."""
    yield from (Rule(name) for name in _NEVER)
    yield from (Rule(name, error=errno.ENOSYS) for name in _NO_SUCH_CALL)
    yield Rule("clone", (Condition(0, (0,), mask=_NEW_NAMESPACES),))
    yield Rule("fcntl", (Condition(1, (_F_SETSIG, _F_NOTIFY), wanted=False),))
    for name, (at, error) in _OF_ANOTHER.items():
        yield Rule(name, (Condition(at, (0,)),), error)
    for name, one in (("setpriority", 0), ("ioprio_set", 1)):  # of one process, no group or user
        yield Rule(name, (Condition(0, (one,)), Condition(1, (0,))))
    # The size of a socket's buffers is memory that no limit counts: asking changes nothing.
    yield Rule("setsockopt", (Condition(2, _BUFFER_OPTIONS, wanted=False),), 0)
    yield Rule("prctl", (Condition(0, (_PR_SET_PDEATHSIG,), wanted=False),))
    yield from _sockets(policy)
    yield from _signals(policy.own_pid)
    if policy.shared_uid:
        yield from (Rule(name) for name in _OWNER_CALLS)
    if not policy.can_truncate:
        return
    yield Rule("truncate")
    for name, at in (("open", 1), ("openat", 2)):  # "for reading, and truncate" is truncating
        yield Rule(name, (Condition(at, (_O_TRUNC,), mask=_O_ACCMODE | _O_TRUNC, wanted=False),))


def _sockets(policy: Policy) -> Iterator[Rule]:
    unix, stream, datagram = int(socket.AF_UNIX), int(socket.SOCK_STREAM), int(socket.SOCK_DGRAM)
    pairs = (stream, int(getattr(socket, "SOCK_SEQPACKET", 5)))  # these take no other address
    yield Rule("socketpair", (Condition(0, (unix,)), Condition(1, pairs, mask=_SOCKET_KIND)))
    own_network = policy.network and not policy.only_listen
    families: tuple[int, ...] = ()
    if policy.network:
        families = (int(socket.AF_INET), int(socket.AF_INET6))
    if policy.unix_sockets or own_network:
        families += (unix,)
    kind = Condition(1, (stream, datagram) if own_network else (stream,), mask=_SOCKET_KIND)
    # Without a network of its own, plain TCP only: Landlock does not know its variants.
    protocol = () if own_network else (Condition(2, (0, int(socket.IPPROTO_TCP))),)
    # ZeroMQ stops when it may not look for network cards, and goes on when there are none.
    error = errno.EOPNOTSUPP if policy.unix_sockets else errno.EPERM
    yield Rule("socket", (Condition(0, families), kind, *protocol), error)
    if own_network:
        return
    yield Rule("connect")
    for name, flags in (("sendto", 3), ("sendmsg", 2), ("sendmmsg", 3)):
        yield Rule(name, (Condition(flags, (0,), mask=_MSG_FASTOPEN),))


def _signals(own_pid: int | None) -> Iterator[Rule]:
    """No SIGCONT: who is stopped for a race must not be woken by who is not stopped yet."""
    for name, (whom, what) in _SIGNALLING.items():
        targets: tuple[int, ...] = () if own_pid is None else (own_pid,)
        if name == "kill" and own_pid is not None:
            targets = (0, own_pid, -own_pid & _ALL)
        if name == "pidfd_send_signal" and own_pid is not None:
            yield Rule(name)
            continue
        reach = (Condition(whom, targets),) if targets else ()
        yield Rule(name, (*reach, Condition(what, (_SIGCONT,), wanted=False)))


def program(rules: Iterator[Rule] | Sequence[Rule], machine: str) -> list[tuple[int, ...]]:
    """Instructions (code, jump if true, jump if false, constant) that enforce `rules`.

    Calls of another architecture, and of the x32 variant of this one, are denied altogether.
    Raises `KeyError` for a machine without a table.
    """
    architecture = ARCHITECTURES[machine]
    denied = (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    code: list[tuple[int, ...]] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, architecture.audit),
        denied,
        (_LOAD, 0, 0, _NUMBER),
        (_JUMP_FROM, 0, 1, _X32_BIT),
        denied,
    ]
    for rule in rules:
        number = SYSCALLS[rule.name][architecture.column]
        if number is None:
            continue
        body = _body(rule)
        code.append((_JUMP_EQUAL, 0, len(body), number))
        code += body
    return [*code, (_RETURN, 0, 0, _ALLOW)]


def _body(rule: Rule) -> list[tuple[int, ...]]:
    failed = (_RETURN, 0, 0, _ERRNO | rule.error)
    code: list[tuple[int, ...]] = []
    for test in rule.tests:
        if not test.values:
            if test.wanted:
                return [*code, failed]
            continue
        code += [(_LOAD, 0, 0, 16 + 8 * test.argument), (_AND, 0, 0, test.mask)]
        for i, value in enumerate(test.values):
            left = len(test.values) - i
            # Wanted: past the refusal. Not wanted: on to the refusal, which the last one skips.
            if test.wanted:
                code.append((_JUMP_EQUAL, left, 0, value))
            else:
                code.append((_JUMP_EQUAL, left - 1, 1 if left == 1 else 0, value))
        code.append(failed)
    return [*code, (_RETURN, 0, 0, _ALLOW)]
