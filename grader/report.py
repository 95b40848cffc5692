"""The report of one job: what was judged, how it went, and a signature over all of it."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Any, Literal

import msgspec

from meridian.errors import MeridianError

__all__ = [
    "SCHEMA_VERSION",
    "BadReport",
    "BenchmarkEntry",
    "CellReport",
    "CriterionReport",
    "NotebookReport",
    "Mode",
    "Outcome",
    "Report",
    "lab_key",
    "read_report",
    "sayable",
    "write_file",
]

SCHEMA_VERSION = 2
_KEY_BYTES = 32

Mode = Literal["submit", "check", "bench"]
Outcome = Literal[
    "passed",
    "failed",
    "error",
    "timeout",
    "memory",
    "output",
    "crashed",
    "refused",
    "not_run",
]


class BadReport(MeridianError, ValueError):
    """A report is not one, or not the one that was signed."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class CriterionReport(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One criterion. `message` may quote the submission: it is text, never markup.

    `replay` is a Python program that shows the counterexample against the learner's own package.
    """

    id: str
    title: str
    points: float
    score: float = 0
    outcome: Outcome = "not_run"
    message: str = ""
    counterexample: str = ""
    replay: str = ""
    duration_s: float = 0


class CellReport(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One code cell of the capstone notebook; `repair` says what was put right before it ran."""

    id: str
    outcome: Outcome
    message: str = ""
    repair: str = ""
    duration_s: float = 0


class NotebookReport(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The capstone notebook run from top to bottom."""

    outcome: Outcome = "not_run"
    cells: list[CellReport] = []


class BenchmarkEntry(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One race: how many times as fast as `peer`; `plot` is a file beside the report.

    `low` and `high` bound the ratio with 95 % confidence (bootstrap). `growth` is the exponent p
    of time ~ n**p, between `growth_low` and `growth_high`; `memory` the peak of the submission as
    a share of the peer's. ``None`` where a race did not measure it. `note` says what disturbed it.
    """

    name: str
    ratio: float | None
    spread: float | None
    peer: str
    unit: str
    low: float | None = None
    high: float | None = None
    growth: float | None = None
    growth_low: float | None = None
    growth_high: float | None = None
    memory: float | None = None
    note: str = ""
    plot: str = ""


class Report(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Everything known about one job.

    `score` includes `bonus` and never exceeds `max_score`, the points of the criteria that this
    mode judges. `judged` is false when the submission could not be taken in at all: such an
    attempt does not count. `signature` is the HMAC-SHA256 of the canonical JSON of the rest.
    """

    schema_version: int = SCHEMA_VERSION
    capstone: str
    score: float
    max_score: float
    bonus: float
    passed: bool
    judged: bool = True
    box: str
    seed: str
    submission_sha256: str
    criteria: list[CriterionReport]
    notebook: NotebookReport
    benchmarks: list[BenchmarkEntry]
    environment: dict[str, Any]
    started_at: str
    duration_s: float
    signature: str = ""

    def canonical(self) -> bytes:
        """Sorted keys, no spaces, without the signature: equal reports, equal bytes."""
        plain = msgspec.to_builtins(self)
        del plain["signature"]
        return msgspec.json.encode(plain, order="deterministic")

    def sign(self, key: bytes) -> None:
        self.signature = hmac.new(key, self.canonical(), hashlib.sha256).hexdigest()

    def verify(self, key: bytes) -> bool:
        """Whether `signature` was made with `key` over exactly this content."""
        expected = hmac.new(key, self.canonical(), hashlib.sha256).hexdigest()
        return hmac.compare_digest(expected.encode(), self.signature.encode())

    def write(self, path: Path) -> None:
        """Write the report as readable JSON, in one step."""
        write_file(path, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def sayable(value: Any) -> Any:
    """`value` with lone surrogates written out: they may be raised, but JSON cannot hold them."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, list):
        return [sayable(item) for item in value]
    if isinstance(value, dict):
        return {sayable(key): sayable(item) for key, item in value.items()}
    return value


def read_report(path: Path) -> Report:
    """The report in `path`. Raises `BadReport`; a signature is not checked here."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=Report)
    except FileNotFoundError:
        raise BadReport(path, "no such report") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadReport(path, str(error)) from None
    if report.schema_version != SCHEMA_VERSION:
        raise BadReport(path, f"schema {report.schema_version}, expected {SCHEMA_VERSION}")
    return report


def write_file(path: Path, data: bytes) -> None:
    """Replace `path` by `data` in one step: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def lab_key(folder: Path) -> bytes:
    """The key of this lab in ``folder/key``, made on first use and readable by its owner alone.

    Raises `BadReport` when the file does not hold a key.
    """
    path = folder / "key"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".key.{secrets.token_hex(4)}"
    if not path.exists():
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # whole or not at all, and never over another's key
        except FileExistsError:
            pass
        finally:
            os.unlink(temporary)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise BadReport(path, f"expected a key of {_KEY_BYTES} bytes, got {len(key)}")
    return key
