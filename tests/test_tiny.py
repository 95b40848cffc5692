"""The first file to read and to run: one round trip through everything, in a few seconds.

Each test is the shortest honest use of one part. The rest of the suite proves what these show.
"""

from __future__ import annotations

import errno
import random
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULE = "database/01-storage"


def test_every_public_name_can_be_imported() -> None:
    import grader.cli
    import grader.job
    from meridian import academy, testing
    from meridian.academy import plots, widgets
    from meridian.database import storage
    from meridian.foundation.profiling import bench
    from meridian.orbital import catalog, propagation, tle
    from meridian.testing import storage as model

    packages = (
        *(academy, plots, widgets, storage, bench, catalog, propagation, tle),
        *(testing, model, grader.cli, grader.job),
    )
    for package in packages:
        assert package.__all__
        for name in package.__all__:
            assert getattr(package, name) is not None, f"{package.__name__}.{name}"


def test_an_element_set_survives_text_bytes_and_arrays() -> None:
    from meridian.orbital.catalog import synthetic_catalog
    from meridian.orbital.tle import TLE_DTYPE, TleRecord

    catalog = synthetic_catalog(3, seed=1)
    assert catalog.dtype == TLE_DTYPE
    packed = catalog[1].tobytes()
    record = TleRecord.unpack(packed)
    assert len(packed) == 82
    assert record.pack() == packed
    again = TleRecord.from_lines(*record.to_lines())
    assert again.norad_id == record.norad_id == int(catalog[1]["norad_id"])
    assert again.to_lines() == record.to_lines()


def test_a_satellite_moves_as_sgp4_says() -> None:
    from sgp4.api import WGS72, Satrec

    from meridian.orbital.catalog import verification_catalog
    from meridian.orbital.tle import TleRecord

    record = TleRecord.unpack(verification_catalog()[0].tobytes())
    _, position, _ = record.to_satrec().sgp4_tsince(360.0)
    _, expected, _ = Satrec.twoline2rv(*record.to_lines(), WGS72).sgp4_tsince(360.0)
    assert np.allclose(position, expected, atol=1e-6)  # km
    assert 6_400 < float(np.linalg.norm(position)) < 50_000


def test_a_page_on_disk_is_what_the_format_says(tmp_path: Path) -> None:
    from meridian.database.storage import PageFile, PageType
    from meridian.testing.storage import decode_page

    path = tmp_path / "tiny.oor"
    page = bytearray(4096)
    with PageFile(path) as file:
        number = file.allocate_page(PageType.DATA)
        file.read_page(number, memoryview(page))
        page[100:104] = b"TLE!"
        file.write_page(number, memoryview(page))
    raw = path.read_bytes()[number * 4096 :][:4096]
    assert raw[100:104] == b"TLE!"
    decoded = decode_page(raw)
    assert decoded.magic == b"OOR1"
    assert decoded.page_id == number


def test_a_pool_keeps_a_page_while_it_is_pinned(tmp_path: Path) -> None:
    from meridian.database.storage import BufferPool, PageFile, PoolExhausted

    with PageFile(tmp_path / "tiny.oor") as file:
        pool = BufferPool(file, frames=2, policy="lru")
        numbers = []
        for _ in range(3):
            with pool.new_page() as page:
                numbers.append(page.page_id)
        with pool.fetch(numbers[0]), pool.fetch(numbers[1]), pytest.raises(PoolExhausted):
            pool.fetch(numbers[2])
        with pool.fetch(numbers[2]):
            assert pool.pinned() == {numbers[2]: 1}
        pool.close()


def test_records_survive_a_restart(tmp_path: Path) -> None:
    from meridian.database.storage import PageManager
    from meridian.orbital.catalog import synthetic_catalog

    catalog = synthetic_catalog(200, seed=2)
    path = tmp_path / "tiny.oor"
    manager = PageManager(path)
    rids = manager.insert_many(catalog)
    one = manager.insert(b"a record")
    manager.close()
    manager = PageManager(path)
    rows, found = manager.get_many(rids, 82)
    assert found.all()
    assert rows.tobytes() == catalog.tobytes()
    assert manager.get(one) == b"a record"
    manager.close()


def test_a_disk_that_fills_up_is_said_and_harms_nothing(tmp_path: Path) -> None:
    from meridian.database.storage import PageFile
    from meridian.testing import FaultyFileSystem

    fs = FaultyFileSystem()
    with PageFile(tmp_path / "tiny.oor", fs=fs) as file:
        first = file.allocate_page()
        fs.fail("pwritev", error=OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(OSError, match="No space left"):
            file.allocate_page()
        file.read_page(first, memoryview(bytearray(4096)))


def test_a_quiz_answered_right_is_passed_and_remembered(tmp_path: Path) -> None:
    from meridian.academy.curriculum import load
    from meridian.academy.progress import ProgressStore
    from meridian.academy.quiz import load_quiz
    from meridian.academy.quiz_session import QuizSession

    course = load(ROOT)
    store = ProgressStore(tmp_path / "progress.json", curriculum=course)
    for lesson in course.module(MODULE).lessons:
        assert not store.unlocked(MODULE)
        quiz = load_quiz(ROOT / lesson.quiz)
        session = QuizSession(quiz, rng=random.Random(3))
        while (question := session.current) is not None:
            assert session.submit(question.right_answer).correct
        assert session.passed
        store.record_quiz(lesson.key, session.correct, session.total, quiz.digest)
    assert store.unlocked(MODULE)
    assert store.next_step().command == f"meridian check {MODULE}"


def test_a_function_is_as_fast_as_itself() -> None:
    from meridian.foundation.profiling.bench import compare

    ticks = iter(range(10**6))

    def seconds() -> float:
        """A side that says how long it took: 1.000 s to 1.004 s, in turn."""
        return 1 + next(ticks) % 5 / 1000

    result = compare(seconds, seconds, rounds=12, own_timer=True)
    assert 0.99 < result.ratio < 1.01


def test_a_plot_is_saved_with_its_numbers(tmp_path: Path) -> None:
    from meridian.academy.plots import lines, save

    numbers = {"hits": [1.0, 4.0, 9.0]}
    saved = save(lines([1, 2, 3], numbers, xlabel="frames", ylabel="hits"), tmp_path / "p", numbers)
    assert saved.png.read_bytes().startswith(b"\x89PNG")
    assert "<svg" in saved.svg.read_text()
    assert '"hits"' in saved.json.read_text()


def test_the_course_map_has_a_picture_without_a_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meridian.academy import course_map

    (tmp_path / "curriculum.toml").write_bytes((ROOT / "curriculum.toml").read_bytes())
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    bundle = course_map()._repr_mimebundle_()
    assert "Storage engine fundamentals" in bundle["text/html"]


def test_the_exercise_is_cut_from_the_solution(tmp_path: Path) -> None:
    from grader.authoring.build import write_exercise
    from meridian.academy.curriculum import load

    write_exercise(ROOT, load(ROOT).module(MODULE), tmp_path / "exercise")
    package = tmp_path / "exercise" / "tle_page_manager"
    text = "".join(path.read_text() for path in package.glob("*.py"))
    assert "raise NotImplementedError(" in text
    assert f'"{MODULE} #1: ' in text
    assert "BEGIN SOLUTION" not in text


def test_a_skeleton_gets_a_verdict_and_not_a_pass(tmp_path: Path) -> None:
    from grader.job import JobSpec, run_one

    submission = tmp_path / "submission"
    (submission / "tle_page_manager").mkdir(parents=True)
    (submission / "tle_page_manager" / "__init__.py").write_text("import socket\n")
    report = run_one(
        JobSpec(capstone=MODULE, submission=submission, out=tmp_path / "out", mode="check")
    )
    assert not report.passed
    assert {c.outcome for c in report.criteria} <= {"refused", "not_run"}
    assert (tmp_path / "out" / "report.json").exists()


def test_the_command_names_the_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    from meridian.academy import cli
    from meridian.academy.curriculum import load

    (tmp_path / "curriculum.toml").write_bytes((ROOT / "curriculum.toml").read_bytes())
    first = next(module for module in load(tmp_path).modules() if module.available)
    monkeypatch.setenv("MERIDIAN_LAB", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["meridian", "next"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert f"meridian quiz {first.key}/1" in capsys.readouterr().out
