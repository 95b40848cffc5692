"""Conda users get what uv users get: ``environment.yml`` and ``pyproject.toml`` agree both ways."""

from __future__ import annotations

import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {
    "playwright-python": "playwright",
    "python-lmdb": "lmdb",
    "jupyter_client": "jupyter-client",
    "jupyter_core": "jupyter-core",
}
CONDA = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def requirements(lines: list[str]) -> dict[str, str]:
    """Version specifiers by the name that PyPI uses."""
    found = {}
    for line in lines:
        requirement = Requirement(line)
        name = CONDA_NAMES.get(requirement.name, requirement.name).lower()
        assert name not in found, f"{name} is listed twice"
        found[name] = str(requirement.specifier)
    return found


def from_pip() -> list[str]:
    """What conda leaves to pip: the lab first, then what only PyPI has."""
    (lines,) = [entry["pip"] for entry in CONDA["dependencies"] if isinstance(entry, dict)]
    return list(lines)


def test_both_files_ask_for_the_same_packages() -> None:
    packages = [line for line in CONDA["dependencies"] if isinstance(line, str)]
    conda = requirements(packages + from_pip()[1:])
    assert conda.pop("pip") == ""
    groups = PROJECT["tool"]["uv"]["default-groups"]
    wanted = list(PROJECT["project"]["dependencies"])
    for group in groups:
        wanted += PROJECT["dependency-groups"][group]
    expected = requirements(wanted)
    expected["python"] = PROJECT["project"]["requires-python"]
    assert conda == expected


def test_the_lab_itself_is_installed_from_its_folder() -> None:
    assert CONDA["name"] == "meridian"
    assert CONDA["channels"] == ["conda-forge", "nodefaults"]
    assert from_pip()[0] == "-e ."


def test_every_group_of_pyproject_is_a_default_one() -> None:
    assert sorted(PROJECT["dependency-groups"]) == sorted(PROJECT["tool"]["uv"]["default-groups"])
