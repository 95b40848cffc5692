"""What a submission must obey before it is run, whether it came as a folder or an archive."""

from __future__ import annotations

import unicodedata

from meridian.errors import MeridianError

__all__ = ["NOTEBOOK", "Names", "SubmissionRefused", "is_ignored"]

NOTEBOOK = "capstone.ipynb"
MAX_FILES = 200
MAX_FILE_BYTES = 1 * 2**20
MAX_NOTEBOOK_BYTES = 16 * 2**20
MAX_TOTAL_BYTES = 32 * 2**20
MAX_DEPTH = 8

_IGNORED = frozenset(
    {
        "__pycache__",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".DS_Store",
        "__MACOSX",
    }
)
_COMPILED = (".pyc", ".pyo", ".so", ".pyd", ".dylib", ".dll", ".pth")


class SubmissionRefused(MeridianError, ValueError):
    """A submission that is not run at all: where, why, and what to do about it."""

    def __init__(self, where: str, reason: str, fix: str) -> None:
        self.where = where
        self.reason = reason
        self.fix = fix
        super().__init__(f"{where}: {reason}. {fix}")


def is_ignored(name: str) -> bool:
    """Whether a file or folder of this name is left out: caches, what macOS leaves behind."""
    return name in _IGNORED or name.startswith("._")


class Names:
    """The files of one submission, judged by name as each is found.

    A name that is fine here may be none, or another's, on the next machine: so two names that
    differ only in case, or in the form of their letters, are refused everywhere.
    """

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, bool]] = {}
        self._files: list[str] = []

    def sorted(self) -> list[str]:
        """All files, the notebook last."""
        return sorted(self._files, key=lambda name: (name == NOTEBOOK, name))

    def cap(self, name: str) -> int:
        """How many bytes this file may have."""
        return MAX_NOTEBOOK_BYTES if name == NOTEBOOK else MAX_FILE_BYTES

    def add_file(self, name: str) -> None:
        """Take `name`, parts joined by ``/``. Raises `SubmissionRefused`."""
        self._add(name, is_file=True)
        if name.lower().endswith(_COMPILED):
            raise SubmissionRefused(name, "compiled code", "Submit Python source only.")
        self._files.append(name)

    def add_folder(self, name: str) -> None:
        """Count a folder, which may be empty. Raises `SubmissionRefused`."""
        self._add(name, is_file=False)

    def _add(self, name: str, *, is_file: bool) -> None:
        if not name.isprintable():  # control characters, direction marks, bytes that are no text
            raise SubmissionRefused(ascii(name), "a name that cannot be shown", "Rename it.")
        parts = name.split("/")
        if len(parts) - is_file > MAX_DEPTH:
            raise SubmissionRefused(name, f"deeper than {MAX_DEPTH} folders", "Flatten it.")
        for i in range(1, len(parts)):
            self._place("/".join(parts[:i]), is_file=False)
        self._place(name, is_file=is_file)
        if len(self._seen) > MAX_FILES:
            raise SubmissionRefused(
                name, f"more than {MAX_FILES} files and folders", "Remove some."
            )

    def _place(self, name: str, *, is_file: bool) -> None:
        spelled, was_file = self._seen.setdefault(_folded(name), (name, is_file))
        if spelled != name:
            raise SubmissionRefused(
                ascii(name), f"the same name as {spelled!a} on some systems", "Rename one."
            )
        if was_file != is_file:
            raise SubmissionRefused(name, "a file and a folder at once", "Rename one.")
        if is_file and name in self._files:
            raise SubmissionRefused(name, "there twice", "Leave one of them out.")


def _folded(name: str) -> str:
    """Equal for names that a file system, or Python's `import`, may take for one another."""
    once = unicodedata.normalize("NFKC", name).casefold()
    return unicodedata.normalize("NFKC", once)
