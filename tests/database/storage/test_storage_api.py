"""What the package exports, what it costs to import, and how its errors behave."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import subprocess
import sys

import pytest

import meridian
import meridian.database.storage as storage
from meridian.database.storage import errors
from meridian.database.storage._kernels import delete_rows, get_rows, insert_rows, scan_rows


def test_every_public_name_is_exported_from_its_module() -> None:
    for module_name, names in storage._EXPORTS.items():
        module = importlib.import_module(f"meridian.database.storage.{module_name}")
        assert set(names) <= set(module.__all__), module_name
        for name in names:
            assert getattr(storage, name) is getattr(module, name)
    assert storage.__all__ == sorted(storage.__all__)
    assert len(set(storage.__all__)) == len(storage.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        storage.Nothing  # noqa: B018


def test_using_the_engine_without_batches_does_not_load_numba() -> None:
    code = (
        "import sys, tempfile, os\n"
        "from meridian.database.storage import PageManager\n"
        "with PageManager(os.path.join(tempfile.mkdtemp(), 'a.oor')) as heap:\n"
        "    assert heap.get(heap.insert(b'x')) == b'x'\n"
        "assert 'numba' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_error_tree_is_the_one_that_is_drawn() -> None:
    lines = (errors.__doc__ or "").splitlines()
    drawn = {}
    stack: list[str] = []
    for line in lines:
        if "──" in line or line.strip() == "StorageError":
            text = line[4:]
            depth = 0 if "──" not in text else text.index("──") // 4 + 1
            name, _, builtin = text.replace("│", "").strip("├└─ ").partition("(")
            stack[depth:] = [name.strip()]
            drawn[name.strip()] = (stack[depth - 1] if depth else "MeridianError", builtin[:-1])
    classes = {
        name: cls
        for name, cls in vars(errors).items()
        if inspect.isclass(cls) and issubclass(cls, errors.StorageError)
    }
    assert set(drawn) == set(classes) == set(errors.__all__)
    for name, (parent, builtin) in drawn.items():
        bases = [base.__name__ for base in classes[name].__bases__]
        assert bases == [parent, *([builtin] if builtin else [])], name


EXAMPLES = [
    errors.CorruptPage(3, "torn"),
    errors.BadMagic(3, b"PK\3\4"),
    errors.BadMagic(0, b""),
    errors.BadMagic(0, b"PK\3\4", "a.zip"),
    errors.ChecksumMismatch(3, 1, 2),
    errors.MisdirectedPage(3, 4),
    errors.BadPageType(3, 9),
    errors.BadSlot(3, 4, "overlaps slot 5"),
    errors.TruncatedFile("a.oor", 8192, 5000, "cut short"),
    errors.BadFormat("a.oor", "version", 1, 2, "use the release that wrote it"),
    errors.FileLocked("a.oor"),
    errors.FileLocked("a.oor", here=True),
    errors.PageOutOfRange(7, 3),
    errors.PageOutOfRange(1, 1),
    errors.PoolExhausted(2, {4: 1, 5: 2}),
    errors.PoolExhausted(2, {}, 3),
    errors.PinError(3, "view escaped"),
    errors.PinError(None, "there is no frame 9"),
    errors.PinLeak(dict.fromkeys(range(40), 1)),
    errors.RecordTooLarge(5000, 4075),
    errors.RecordNotFound(3, 4),
    errors.StorageClosed("The pool"),
    errors.StorageClosed("The pool", "all is lost"),
    errors.PagesLost("a.oor", range(1, 40)),
]


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_errors_survive_copies_and_processes(error: errors.StorageError) -> None:
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert vars(twin) == vars(error)
    assert len(str(error)) < 300


@pytest.mark.parametrize("kernel", [get_rows, delete_rows, scan_rows, insert_rows])
def test_warmup_compiled_the_one_signature_that_is_used(kernel: object) -> None:
    meridian.warmup("database")
    assert len(kernel.signatures) == 1  # type: ignore[attr-defined]
