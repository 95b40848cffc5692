"""An upload is judged like the folder it was made of."""

from __future__ import annotations

import shutil
import zipfile
from typing import Any

import pytest


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_an_archive_is_judged_like_its_folder(toy: Any, kind: str) -> None:
    folder = toy.submission()
    by_folder = toy.judge(submission=folder, mode="check")
    name = shutil.make_archive(str(toy.folder / "upload"), kind, toy.folder, "submission")
    by_archive = toy.judge(submission=toy.folder / name, mode="check")
    assert by_archive.submission_sha256 == by_folder.submission_sha256
    assert set(toy.outcomes(by_archive).values()) == {"passed"}


def test_an_archive_that_leads_elsewhere_is_refused_in_the_report(toy: Any) -> None:
    upload = toy.folder / "upload.zip"
    with zipfile.ZipFile(upload, "w") as archive:
        archive.writestr("toy/__init__.py", "def add(a, b): return a + b\n")
        archive.writestr("../../../../tmp/toy.pth", "import os")
    report = toy.judge(submission=upload, mode="check")
    assert set(toy.outcomes(report).values()) == {"refused"}
    assert "leads out of the archive" in report.criteria[0].message
    assert report.verify(toy.key)
