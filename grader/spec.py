"""What one job is asked to do."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from grader.box.pool import BoxPool
from grader.limits import Limits
from grader.races.history import Past
from grader.report import Mode, lab_key
from meridian.academy.curriculum import Capstone, lab_root, load

__all__ = ["JobSpec", "complete", "draw_seed"]


class JobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What to judge, how, and where to put the report.

    `mode`: ``"check"`` judges without notebook and benchmarks, ``"bench"`` the benchmarks alone.
    `box`: ``"auto"``, ``"bwrap"``, ``"landlock"``, ``"rlimits"``, or ``"none"`` (this process;
    `trusted` only).
    `trusted` skips the import audit and lets the code import everything that is installed, the
    judged system included: for judging `meridian` itself. `seed` replays a report's seed. Without
    `races` a submission is judged as one, but for its benchmarks. `keep` is the folder of a
    `SubmissionStore` that gets the very files that are judged. `history` are the learner's earlier
    races, for the plots alone. `pool` has boxes that run already. `limits` are widened by what the
    capstone's entry asks for (`network`). The last five default to what the course index and the
    lab's folder say about `capstone`; `solution` holds the model answer that benchmarks race as
    well.
    """

    capstone: str
    submission: Path
    out: Path
    mode: Mode = "submit"
    learner: str = "local"
    attempt: int = 1
    seed: str | None = None
    box: str = "auto"
    trusted: bool = False
    races: bool = True
    keep: Path | None = None
    pool: BoxPool | None = None
    history: tuple[Past, ...] = ()
    on_event: Callable[[dict[str, Any]], None] | None = None
    limits: Limits = Limits()
    definition: Capstone | None = None
    suite: Path | None = None
    notebook: Path | None = None
    solution: Path | None = None
    key: bytes | None = None


def complete(spec: JobSpec) -> JobSpec:
    """`spec` with everything that the course index knows filled in.

    Raises `UnknownKey`, and `NotAvailable` for a capstone that is planned: nothing can judge it.
    """
    if spec.mode not in ("submit", "check", "bench"):
        raise ValueError(f"Expected mode 'submit', 'check' or 'bench', got {spec.mode!r}")
    if spec.box == "none" and not spec.trusted:
        raise ValueError("Only trusted code may run without a box")
    if None in (spec.definition, spec.suite, spec.key):
        spec = _from_index(spec)
    assert spec.definition is not None
    network = spec.limits.network or spec.definition.network
    limits = msgspec.structs.replace(spec.limits, network=network)
    return msgspec.structs.replace(spec, limits=limits)


def _from_index(spec: JobSpec) -> JobSpec:
    root = lab_root()
    course = load(root)
    module = (
        course.available(spec.capstone) if spec.definition is None else course.module(spec.capstone)
    )
    notebook = root / module.solution / "capstone.ipynb"
    return msgspec.structs.replace(
        spec,
        definition=spec.definition or module.capstone,
        suite=spec.suite or root / module.acceptance,
        notebook=spec.notebook or (notebook if notebook.exists() else None),
        solution=spec.solution or root / module.solution,
        key=spec.key or lab_key(root / ".meridian"),
    )


def draw_seed(key: bytes, learner: str, attempt: int, capstone: str, mode: Mode) -> str:
    """Hidden inputs differ by learner, attempt and mode; without the key nobody foresees them.

    By mode, so that what checks and races show says nothing about a submission. A check repeated
    draws the same again: one mends a counterexample by seeing it go.
    """
    text = "\0".join((mode, learner, str(attempt), capstone)).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:32]
