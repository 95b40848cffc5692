"""What a command that could not do its work says: to a person, and to a script."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from meridian.academy.commands.failures import failure_message
from meridian.academy.curriculum import LabNotFound

MODULE = "database/01-storage"


@pytest.mark.parametrize(
    ("argv", "kind", "said"),
    [
        (("check", MODULE), "CapstoneLocked", f"meridian quiz {MODULE}/1"),
        (("check", "lol"), "UnknownKey", "`meridian map` lists them all"),
        (("quiz", MODULE), "UsageError", f"meridian quiz {MODULE}/1"),
        (("bench", "database/02-btree"), "NotAvailable", "planned"),
        (("quiz",), "MissingParameter", "Missing argument 'LESSON'"),
        (("status", "--nonsense"), "NoSuchOption", "--nonsense"),
        (("nonsense",), "UsageError", "No such command 'nonsense'"),
    ],
)
def test_with_json_an_error_is_one_object_on_standard_error(
    lab: Path, meridian, argv: tuple[str, ...], kind: str, said: str
) -> None:
    result = meridian(*argv, "--json")
    assert result.out == ""
    error = json.loads(result.err)["error"]
    assert set(error) == {"kind", "message"}
    assert error["kind"] == kind
    assert said in error["message"]
    plain = meridian(*argv)
    assert result.status == plain.status == 2
    assert said in plain.err


def test_with_json_a_missing_lab_and_a_damaged_record_are_objects_too(
    lab: Path, meridian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab / ".meridian").mkdir()
    (lab / ".meridian" / "progress.json").write_text("{broken")
    damaged = meridian("status", "--json")
    assert (damaged.status, damaged.out) == (2, "")
    assert json.loads(damaged.err)["error"]["kind"] == "ProgressCorrupt"
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path / "none"))
    missing = meridian("next", "--json")
    assert (missing.status, missing.out) == (2, "")
    assert json.loads(missing.err)["error"]["kind"] == "LabNotFound"


def test_json_does_not_change_a_status_that_is_no_error(lab: Path, meridian) -> None:
    assert meridian("status", "--json").status == 0
    (lab / "exercises" / MODULE / "tle_page_manager" / "__init__.py").unlink()
    help_ = meridian("status", "--json", "--help")
    assert (help_.status, help_.err) == (0, "")


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("import", "{here}/none.json"), "{here}/none.json: No such file or directory. Check the"),
        (("import", "{here}"), "{here}: Is a directory. Name a file"),
        (("export", "{here}/file/mine.json"), "{here}/file: File exists. Choose another place"),
        (("export", "{here}/file/deeper/mine.json"), "{here}/file/deeper: Not a directory. Choose"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_fix(
    lab: Path, meridian, tmp_path: Path, argv: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file").touch()
    result = meridian(*(part.format(here=tmp_path) for part in argv))
    assert result.status == 2
    assert result.err.startswith("meridian: " + said.format(here=tmp_path))
    assert "Errno" not in result.err
    assert result.out == ""


def test_an_export_that_is_refused_names_the_file_that_was_asked_for(
    lab: Path, meridian, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse(path, flags, *rest, **named):
        if str(path).startswith(str(tmp_path / "mine.json")):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, flags, *rest, **named)

    monkeypatch.setattr(os, "open", refuse)
    result = meridian("export", str(tmp_path / "mine.json"))
    assert result.status == 2
    assert result.err.startswith(f"meridian: {tmp_path}/mine.json: Permission denied. You may not")


def test_the_message_of_an_error_that_names_no_file_is_kept() -> None:
    assert failure_message(OSError("no device")) == "no device"
    assert failure_message(OSError(errno.EIO, "Input/output error", "/x")) == (
        "/x: Input/output error."
    )
    lost = LabNotFound([Path("/x")])
    assert failure_message(lost) == str(lost)
