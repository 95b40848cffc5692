"""What can be wrong with an element set, its text, its file, or its propagation."""

from __future__ import annotations

from typing import ClassVar

from meridian.errors import MeridianError

__all__ = [
    "BadChecksum",
    "BadColumns",
    "BadLineLength",
    "BadTleFile",
    "CatalogNumberMismatch",
    "ElementOutOfRange",
    "PropagationError",
    "StrayLines",
    "TleError",
]


class TleError(MeridianError, ValueError):
    """An element set that is not what it should be: where, what stands there, what should.

    Fields: `line` (1 or 2, the line of the set), `column` (first column, counted from 1 as the
    format's own description does), `row` (line of the file, from 1), each ``None`` where it has
    no meaning; `found` and `expected`. `kind` sorts errors for those who count them: ``length``,
    ``line number``, ``columns``, ``checksum``, ``catalogue number``, ``range``, ``stray lines`` or
    ``file``; `detail` is the message.
    """

    _kind: ClassVar[str] = "range"

    def __init__(
        self,
        what: str,
        found: object,
        expected: object,
        *,
        line: int | None = None,
        column: int | None = None,
        row: int | None = None,
    ) -> None:
        self.what = what
        self.found = found
        self.expected = expected
        self.line = line
        self.column = column
        self.row = row
        where = [f"row {row}"] if row else []
        if line:
            where.append(f"TLE line {line}")
        if column:
            where.append(f"column {column}")
        place = f"{', '.join(where)} ({what})" if where else what
        shown = found if isinstance(found, int) else repr(found)
        super().__init__(f"{place[0].upper()}{place[1:]}: found {shown}, expected {expected}")

    @property
    def kind(self) -> str:
        return self._kind

    @property
    def detail(self) -> str:
        return str(self)


class BadLineLength(TleError):
    """A line without exactly 69 columns."""

    _kind = "length"

    def __init__(self, line: int, found: int, row: int | None = None) -> None:
        super().__init__("length", found, "69 columns", line=line, row=row)


class BadColumns(TleError):
    """A field that does not hold what its columns are for."""

    @property
    def kind(self) -> str:
        if self.what == "line number":
            return "line number"
        return "columns" if isinstance(self.found, str) else "range"  # a number that could be read


class BadChecksum(TleError):
    """The last digit is not the sum of the digits before it, minus signs counting one, mod 10."""

    _kind = "checksum"

    def __init__(self, line: int, found: str, expected: int, row: int | None = None) -> None:
        super().__init__("checksum", found, expected, line=line, column=69, row=row)


class CatalogNumberMismatch(TleError):
    """The two lines of a set belong to different objects."""

    _kind = "catalogue number"

    def __init__(self, found: int, expected: int, row: int | None = None) -> None:
        super().__init__(
            "catalogue number", found, f"{expected} as in line 1", line=2, column=3, row=row
        )


class ElementOutOfRange(TleError):
    """A value that is no orbital element, or one that its destination cannot hold."""


class StrayLines(TleError):
    """Lines of a file, `row` to `last_row`, that belong to no complete element set."""

    _kind = "stray lines"

    def __init__(self, row: int, last_row: int, found: str) -> None:
        self.last_row = last_row
        what = "stray line" if row == last_row else f"stray lines up to row {last_row}"
        super().__init__(what, found, "a name, line 1, line 2, or the two lines alone", row=row)


class BadTleFile(TleError):
    """A catalogue file that cannot be decompressed."""

    _kind = "file"

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        super().__init__(path, reason, "plain text or an intact gzip file")


class PropagationError(MeridianError, ArithmeticError):
    """SGP4 has no position for an object at a time: it decayed, or its elements make no orbit.

    `code` is SGP4's own (1 to 6), `unix_ns` the time asked for, `failures` how many of the states
    asked for have none (this one is the first).
    """

    def __init__(
        self, norad_id: int, unix_ns: int, code: int, reason: str, failures: int = 1
    ) -> None:
        self.norad_id = norad_id
        self.unix_ns = unix_ns
        self.code = code
        self.failures = failures
        more = f" (and {failures - 1} more states)" if failures > 1 else ""
        super().__init__(
            f"Object {norad_id} has no position at {unix_ns} ns: {reason} (SGP4 error {code}){more}"
        )
