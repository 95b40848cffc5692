"""What several tests of the LSM suite need: keys, rows, tables as the judge finds them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grader.judging.compare import CriterionFailed, require, show
from grader.proxy.proxy import Remote, RemoteError
from grader.proxy.submission import Submission

VALUE_BYTES = 82
MAGIC = b"OORSST01"
TABLE_NAME = re.compile(r"sst_\d{6,}\.dat")

# What other tests stand on: when one of these fails, they would only say the same again.
TABLES = "test_a_table_gives_back_its_rows"
ENGINE = "test_what_was_put_is_found"
DELETES = "test_a_deleted_key_stays_deleted"
FLUSHED = "test_the_fourth_flush_compacts"

Row = tuple[bytes, bytes]
_CHUNK = 25_000  # calls in one question


def key(norad_id: int) -> bytes:
    """The key of a catalog number as every suite writes it: big-endian."""
    return norad_id.to_bytes(4, "big")


def fresh_values(rng: random.Random, count: int, size: int = VALUE_BYTES) -> list[bytes]:
    """Values that nobody can have seen before."""
    noise = rng.randbytes(size * count)
    return [noise[at : at + size] for at in range(0, len(noise), size)]


def rows_of(rng: random.Random, ids: Iterable[int]) -> dict[bytes, bytes]:
    """A fresh value for each id, in the order of `ids`."""
    keys = [key(i) for i in ids]
    return dict(zip(keys, fresh_values(rng, len(keys)), strict=True))


def asked(submission: Submission, function: Remote, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The answers to all `calls`, asked in few questions; the first exception is raised."""
    answers: list[Any] = []
    for at in range(0, len(calls), _CHUNK):
        answers += submission.map(function, calls[at : at + _CHUNK])
    for answer in answers:
        if isinstance(answer, RemoteError):
            raise answer
    return answers


def put_all(submission: Submission, engine: Remote, rows: Mapping[bytes, bytes]) -> None:
    asked(submission, engine.put, list(rows.items()))


def expect_gets(
    submission: Submission, engine: Remote, want: Mapping[bytes, bytes | None], when: str
) -> None:
    """`get` must answer as `want` says, for all of its keys; `when` says in which state."""
    found = asked(submission, engine.get, [(each,) for each in want])
    for (each, value), got in zip(want.items(), found, strict=True):
        if type(got) is type(value) and got == value:
            continue
        lacking = sum(
            a is None and b is not None for a, b in zip(found, want.values(), strict=True)
        )
        more = f"; {lacking} of {len(want)} keys are not found" if lacking > 1 else ""
        raise CriterionFailed(
            f"get({show(each)}) {when}: expected {show(value)}, got {show(got)}{more}"
        )


def stat(engine: Remote, name: str) -> Any:
    """One figure of `engine.stats()`."""
    stats = engine.stats()
    require(type(stats) is dict, f"stats(): expected a dict, got {show(stats)}")
    require(name in stats, f"stats(): {name!r} is missing; keys are {sorted(stats)}")
    return stats[name]


def count(engine: Remote, name: str) -> int:
    """A figure of `engine.stats()` that is a count."""
    value = stat(engine, name)
    require(type(value) is int, f"stats()[{name!r}]: expected an int, got {show(value)}")
    return int(value)


def levels_of(engine: Remote) -> list[list[int]]:
    """The numbers of the tables by level, without empty levels at the end; level 0 always."""
    levels = stat(engine, "levels")
    fine = type(levels) is list and all(
        type(level) is list and all(type(number) is int for number in level) for level in levels
    )
    require(fine, f"stats()['levels']: expected lists of table numbers, got {show(levels)}")
    while len(levels) > 1 and not levels[-1]:
        levels.pop()
    return levels or [[]]


def files_of(submission: Submission, folder: str) -> list[str]:
    """The table files in an engine's folder, by the judge's own listing."""
    names = [path.name for path in submission.host_path(folder).iterdir()]
    return sorted(name for name in names if TABLE_NAME.fullmatch(name))


def file_of(number: int) -> str:
    return f"sst_{number:06d}.dat"


def require_files(submission: Submission, engine: Remote, folder: str, when: str) -> list[str]:
    """On disk must be exactly the tables that `stats()` names. Returns the files."""
    names = sorted(file_of(number) for level in levels_of(engine) for number in level)
    found = files_of(submission, folder)
    require(
        found == names,
        f"{when}: the folder holds {show(found)}, the engine's levels name {show(names)}",
    )
    return found


def reader(submission: Submission, folder: str, name: str) -> Remote:
    made = submission.SsTableReader(submission.path(f"{folder}/{name}"))
    if not isinstance(made, Remote):
        raise CriterionFailed(f"SsTableReader(path): expected an object, got {show(made)}")
    return made


def meta_of(table: Remote) -> dict[str, Any]:
    """The fields of `reader.meta` that the suite looks at."""
    meta = table.meta
    kinds = {"entries": int, "tombstones": int, "min_key": bytes, "max_key": bytes}
    values = {name: getattr(meta, name) for name in kinds}
    for name, kind in kinds.items():
        require(
            type(values[name]) is kind,
            f"SsTableReader.meta.{name}: expected {kind.__name__}, got {show(values[name])}",
        )
    return values


def told(value: Any) -> bytes | str:
    """What a table or memtable answered: bytes, "TOMBSTONE" or "MISSING"."""
    if type(value) is bytes:
        return value
    name = value.class_name if isinstance(value, Remote) else type(value).__name__
    return {"Tombstone": "TOMBSTONE", "Missing": "MISSING"}.get(name, f"an object of class {name}")


def rows_told(rows: Iterable[Any], call: str) -> list[tuple[bytes, bytes | str]]:
    """Rows of an iterator as the judge compares them."""
    found = []
    for row in rows:
        if type(row) is not tuple or len(row) != 2:
            raise CriterionFailed(f"{call}: expected rows (key, value), got {show(row)}")
        found.append((row[0], told(row[1])))
    return found
