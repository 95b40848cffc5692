"""The filter of system calls, run by an interpreter of the kernel's language, and for real."""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grader.inside.confine import Confinement, confine
from grader.inside.seccomp import Condition, Policy, Rule, policy_rules, program, supported
from grader.inside.syscalls import ARCHITECTURES, SYSCALLS

ALLOWED = 0
POLICIES = [
    Policy(),
    Policy(network=True),
    Policy(network=True, only_listen=True),
    Policy(unix_sockets=True),
    Policy(own_pid=77, shared_uid=True, can_truncate=True),
]


def run(code: list[tuple[int, ...]], machine_word: int, number: int, arguments: list[int]) -> int:
    """What the kernel would do: 0 to allow, else the error. Follows bpf(4), and nothing of ours."""
    data = struct.pack("<iIQ6Q", number, machine_word, 0, *arguments)
    accumulator, at = 0, 0
    while True:
        operation, jump_true, jump_false, constant = code[at]
        at += 1
        if operation == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("<I", data, constant)
        elif operation == 0x54:  # BPF_ALU | BPF_AND
            accumulator &= constant
        elif operation in (0x15, 0x35):  # BPF_JMP | BPF_JEQ, BPF_JGE
            holds = accumulator == constant if operation == 0x15 else accumulator >= constant
            at += jump_true if holds else jump_false
        elif operation == 0x06:  # BPF_RET
            if constant == 0x7FFF_0000:
                return ALLOWED
            assert constant & 0xFFFF_0000 == 0x0005_0000
            return (constant & 0xFFFF) or -1  # -1: reports success and does nothing
        else:
            raise AssertionError(f"unknown instruction {operation:#x}")


def expected(rules: list[Rule], name: str, arguments: list[int]) -> int:
    """What the rules say, in plain words."""
    for rule in rules:
        if rule.name != name:
            continue
        for test in rule.tests:
            if ((arguments[test.argument] & 0xFFFF_FFFF & test.mask) in test.values) != test.wanted:
                return rule.error or -1
        return ALLOWED
    return ALLOWED


argument = st.one_of(
    st.integers(0, 20),
    st.sampled_from([77, 2**32 - 77, 2**64 - 1, 0o1000, 0o1001, 0x2000_0000, 0x1000_0000, 1026]),
    st.integers(0, 2**64 - 1),
)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
@given(
    policy=st.sampled_from(POLICIES),
    name=st.sampled_from(sorted(SYSCALLS)),
    arguments=st.lists(argument, min_size=6, max_size=6),
)
def test_the_filter_decides_as_its_rules_say(
    machine: str, policy: Policy, name: str, arguments: list[int]
) -> None:
    architecture = ARCHITECTURES[machine]
    number = SYSCALLS[name][architecture.column]
    if number is None:
        return
    rules = list(policy_rules(policy))
    assert len(rules) == len({rule.name for rule in rules})
    found = run(program(rules, machine), architecture.audit, number, arguments)
    assert found == expected(rules, name, arguments)


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
@given(number=st.integers(0, 2**31 - 1), word=st.integers(0, 2**32 - 1))
def test_other_calls_are_allowed_and_other_architectures_are_not(
    machine: str, number: int, word: int
) -> None:
    architecture = ARCHITECTURES[machine]
    code = program(list(policy_rules(Policy())), machine)
    known = {numbers[architecture.column] for numbers in SYSCALLS.values()}
    if number not in known:
        beyond = number >= 0x4000_0000  # the x32 variant of a call
        wanted = errno.EPERM if beyond else ALLOWED
        assert run(code, architecture.audit, number, [0] * 6) == wanted
    if word != architecture.audit:
        assert run(code, word, 0, [0] * 6) == errno.EPERM


@given(
    values=st.lists(st.integers(0, 9), max_size=5, unique=True),
    mask=st.sampled_from([0xF, 0x3, 0xFFFF_FFFF]),
    wanted=st.booleans(),
    second=st.integers(0, 9),
    arguments=st.lists(st.integers(0, 12), min_size=6, max_size=6),
)
def test_any_rule_compiles_to_what_it_means(
    values: list[int], mask: int, wanted: bool, second: int, arguments: list[int]
) -> None:
    rules = [
        Rule(
            "kill",
            (Condition(1, tuple(values), mask, wanted), Condition(3, (second,))),
            errno.EACCES,
        ),
        Rule("ptrace"),
    ]
    code = program(rules, "x86_64")
    for name in ("kill", "ptrace", "setsid"):
        number = SYSCALLS[name][0]
        assert number is not None
        assert run(code, 0xC000_003E, number, arguments) == expected(rules, name, arguments)


@pytest.mark.parametrize(
    ("column", "path", "pattern"),
    [
        (0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", r"#define __NR_(\w+) (\d+)"),
        (1, "/usr/include/asm-generic/unistd.h", r"#define __NR(?:3264)?_(\w+) (\d+)"),
    ],
)
def test_the_numbers_are_the_kernels(column: int, path: str, pattern: str) -> None:
    if not Path(path).exists():
        pytest.skip(f"no {path}: sudo apt-get install linux-libc-dev")
    table = dict(re.findall(pattern, Path(path).read_text()))
    assert len(table) > 200
    for name, numbers in SYSCALLS.items():
        if name in table:  # a header may be older than the call
            assert numbers[column] == int(table[name]), name


def in_a_child(action: Callable[[], object]) -> str:
    """What `action` says in a process of its own, or the exception it ends with."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            said = str(action())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        said = file.read().decode()
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(not supported(), reason="the filter is for Linux on x86_64 or aarch64")
def test_signals_are_fenced_where_landlock_cannot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parent = os.getpid()
    monkeypatch.setattr("grader.inside.landlock.abi", lambda: 0)

    def attempt() -> str:
        confine(Confinement(limits={}, walls=True))
        os.kill(os.getpid(), 0)
        found = []
        for pid in (parent, 1, -1, os.getppid()):
            try:
                os.kill(pid, 0)
                found.append(pid)
            except PermissionError:
                continue
        return str(found)

    assert in_a_child(attempt) == "[]"


@pytest.mark.skipif(not supported(), reason="the filter is for Linux on x86_64 or aarch64")
def test_old_landlock_does_not_let_files_be_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("content")
    monkeypatch.setattr("grader.inside.landlock.abi", lambda: 0)

    def attempt() -> str:
        confine(Confinement(limits={}, walls=True))
        found = []
        for act in (
            lambda: os.truncate(victim, 0),
            lambda: os.open(victim, os.O_RDONLY | os.O_TRUNC),
            lambda: os.chmod(victim, 0o777),
            lambda: os.utime(victim, (0, 0)),
        ):
            try:
                act()
                found.append("done")
            except PermissionError:
                found.append("no")
        with open(victim) as file:
            return " ".join([*found, file.read()])

    assert in_a_child(attempt) == "no no no no content"


def test_limits_never_ask_for_more_than_the_user_has() -> None:
    import resource

    def attempt() -> str:
        resource.setrlimit(resource.RLIMIT_NOFILE, (50, 60))
        confine(Confinement(limits={"NOFILE": 500, "CORE": 0}))
        return str(resource.getrlimit(resource.RLIMIT_NOFILE))

    assert in_a_child(attempt) == "(60, 60)"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another user to become: run as root")
def test_the_other_user_has_no_way_back() -> None:
    def attempt() -> str:
        confine(Confinement(limits={}, uid=54_321))
        ids = os.getresuid(), os.getresgid(), os.getgroups()
        try:
            os.setuid(0)
        except PermissionError:
            return f"{ids}"
        return "root again"

    assert in_a_child(attempt) == "((54321, 54321, 54321), (54321, 54321, 54321), [])"


def test_it_can_be_imported_on_any_system() -> None:
    code = "import sys; sys.platform = 'darwin'; import grader.inside.forkserver, grader.box.boxes"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
