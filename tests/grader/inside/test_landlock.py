"""Landlock through raw system calls, at every version that this kernel can play."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from grader.inside import landlock
from tests.grader.conftest import need
from tests.grader.inside.test_confine import in_a_child

VERSIONS = range(1, max(2, landlock.abi() + 1))


@pytest.fixture(autouse=True)
def _here() -> None:
    need("landlock")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("open", "other", "listed"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "file").write_text(name)
    return tmp_path


def allowed(*attempts: Callable[[], object]) -> str:
    found = ""
    for attempt in attempts:
        try:
            attempt()
            found += "y"
        except OSError:
            found += "n"
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_only_what_is_named_can_be_read_and_changed(version: int, place: Path) -> None:
    def attempt() -> str:
        landlock.restrict(
            [str(place / "other")],
            [str(place / "open"), "/nonexistent"],
            lists=[str(place / "listed")],
            version=version,
        )
        return allowed(
            lambda: open(place / "other" / "file").close(),
            lambda: os.listdir(place / "other" / "deep"),
            lambda: open(place / "other" / "file", "w").close(),
            lambda: os.mkdir(place / "other" / "new"),
            lambda: os.unlink(place / "other" / "file"),
            lambda: open(place / "open" / "new", "w").close(),
            lambda: os.mkdir(place / "open" / "folder"),
            lambda: os.unlink(place / "open" / "file"),
            lambda: os.symlink("/etc", place / "open" / "link"),
            lambda: os.mkfifo(place / "open" / "pipe"),
            lambda: os.listdir(place / "listed"),
            lambda: open(place / "listed" / "file").close(),
            lambda: os.listdir(place),
            lambda: open("/etc/passwd").close(),
            lambda: os.link(place / "other" / "file", place / "open" / "stolen"),
        )

    assert in_a_child(attempt) == "yynnn" + "yyyyy" + "yn" + "nnn"
    assert (place / "other" / "file").read_text() == "other"


@pytest.mark.parametrize("version", VERSIONS)
def test_moving_between_folders_needs_the_second_version(version: int, place: Path) -> None:
    def attempt() -> str:
        landlock.restrict([], [str(place / "open")], version=version)
        move = (place / "open" / "file", place / "open" / "deep" / "file")
        return allowed(lambda: os.rename(*move))

    assert in_a_child(attempt) == ("y" if version >= 2 else "n")


@pytest.mark.parametrize("version", VERSIONS)
def test_devices_cannot_be_made(version: int, place: Path) -> None:
    def attempt() -> str:
        landlock.restrict([], [str(place / "open")], version=version)
        return allowed(
            lambda: os.mknod(place / "open" / "null", 0o20666, os.makedev(1, 3)),
            lambda: os.mknod(place / "open" / "disk", 0o60666, os.makedev(8, 0)),
        )

    assert in_a_child(attempt) == "nn"


@pytest.mark.parametrize("version", VERSIONS)
def test_tcp_listens_and_does_not_connect(version: int, place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()

        def attempt() -> str:
            landlock.restrict([], [str(place / "open")], listen=True, version=version)
            return allowed(
                lambda: socket.create_server(("127.0.0.1", 0)),
                lambda: socket.create_server(("127.0.0.1", 45_673)),
                lambda: socket.socket().connect(address),
            )

        fenced = version >= landlock.ABI_TCP
        assert in_a_child(attempt) == ("ynn" if fenced else "yyy")


@pytest.mark.parametrize("version", VERSIONS)
def test_signals_stay_inside(version: int, place: Path) -> None:
    parent = os.getpid()

    def attempt() -> str:
        landlock.restrict([], [str(place / "open")], version=version)
        return allowed(lambda: os.kill(parent, 0), lambda: os.kill(os.getpid(), 0))

    assert in_a_child(attempt) == ("ny" if version >= landlock.ABI_SIGNALS else "yy")


def test_what_was_given_up_cannot_be_had_again(place: Path) -> None:
    def attempt() -> str:
        landlock.restrict([], [str(place / "open")])
        landlock.restrict([str(place)], [str(place)])
        return allowed(lambda: open(place / "other" / "file").close())

    assert in_a_child(attempt) == "n"


def test_a_kernel_without_it_is_an_error_and_not_a_pretence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    with pytest.raises(OSError, match="no Landlock"):
        landlock.restrict([], [])
