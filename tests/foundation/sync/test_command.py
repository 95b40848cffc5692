"""Commands: what is refused, and which comes first."""

from __future__ import annotations

import math
import pickle
import time
from dataclasses import FrozenInstanceError
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meridian.errors import MeridianError
from meridian.foundation.sync.command import BadCommand, Command, CommandKind, dispatch_key

KINDS = [kind for kind in CommandKind if kind is not CommandKind.REPOINT]


def test_the_usual_priority_is_the_kinds_value() -> None:
    assert [(kind.name, Command.make(kind).priority) for kind in KINDS] == [
        ("SAFE_MODE", 255),
        ("ABORT_PASS", 200),
        ("STATUS_REQUEST", 50),
        ("HOUSEKEEPING", 10),
    ]
    assert Command.make(CommandKind.REPOINT, azimuth=0, elevation=-90).priority == 100


def test_a_command_is_issued_now_unless_told_otherwise() -> None:
    before = time.monotonic_ns()
    command = Command.make(CommandKind.ABORT_PASS)
    assert before <= command.issued_at <= time.monotonic_ns()
    assert Command.make(CommandKind.ABORT_PASS, issued_at=-5).issued_at == -5
    assert Command.make(CommandKind.ABORT_PASS, issued_at=1 << 80).issued_at == 1 << 80


def test_a_command_is_frozen_has_no_dict_and_no_order() -> None:
    command = Command.make(CommandKind.ABORT_PASS, issued_at=1)
    with pytest.raises(FrozenInstanceError):
        command.priority = 3  # type: ignore[misc]
    assert not hasattr(command, "__dict__")
    assert command == Command.make(CommandKind.ABORT_PASS, issued_at=1)
    with pytest.raises(TypeError):
        assert command < command  # type: ignore[operator]
    assert pickle.loads(pickle.dumps(command)) == command


REPOINT = CommandKind.REPOINT
STATUS = CommandKind.STATUS_REQUEST


@pytest.mark.parametrize(
    ("kind", "fields", "field"),
    [
        (STATUS, {"priority": 256}, "priority"),
        (STATUS, {"priority": -1}, "priority"),
        (STATUS, {"priority": 255}, "priority"),
        (STATUS, {"priority": True}, "priority"),
        (STATUS, {"priority": 10.0}, "priority"),
        (STATUS, {"priority": "high"}, "priority"),
        (CommandKind.SAFE_MODE, {"priority": 10}, "priority"),
        (CommandKind.SAFE_MODE, {"priority": 254}, "priority"),
        (STATUS, {"issued_at": 1.5}, "issued_at"),
        (STATUS, {"issued_at": math.nan}, "issued_at"),
        (STATUS, {"issued_at": False}, "issued_at"),
        (STATUS, {"azimuth": 1.0}, "azimuth"),
        (STATUS, {"elevation": 1.0}, "elevation"),
        (CommandKind.SAFE_MODE, {"azimuth": math.nan}, "azimuth"),
        (REPOINT, {}, "azimuth"),
        (REPOINT, {"azimuth": 1.0}, "elevation"),
        (REPOINT, {"elevation": 1.0}, "azimuth"),
        (REPOINT, {"azimuth": 360.0, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": -0.001, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": math.nan, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": math.inf, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": 10**400, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": True, "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": "12", "elevation": 0.0}, "azimuth"),
        (REPOINT, {"azimuth": 0.0, "elevation": 90.001}, "elevation"),
        (REPOINT, {"azimuth": 0.0, "elevation": -math.inf}, "elevation"),
        (REPOINT, {"azimuth": 0.0, "elevation": math.nan}, "elevation"),
    ],
)
def test_a_command_out_of_range_never_exists(
    kind: CommandKind, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadCommand, match=f"for {field} of {kind.name}, got") as caught:
        Command.make(kind, **fields)
    assert caught.value.field == field
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, MeridianError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    full = {"priority": kind.value, "issued_at": 0} | fields
    with pytest.raises(BadCommand):
        Command(kind, **full)


@pytest.mark.parametrize("kind", ["SAFE_MODE", 255, None])
def test_a_kind_that_is_none_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="Expected `CommandKind`"):
        Command.make(kind)


@pytest.mark.parametrize(
    ("azimuth", "elevation"), [(0, 90), (359.999, -90.0), (180, 0.0), (-0.0, 45)]
)
def test_the_edges_of_the_sky_are_in(azimuth: float, elevation: float) -> None:
    command = Command.make(REPOINT, azimuth=azimuth, elevation=elevation)
    assert (command.azimuth, command.elevation) == (azimuth, elevation)


@given(st.lists(st.tuples(st.integers(0, 254), st.integers(-3, 3)), max_size=30))
def test_the_key_puts_higher_first_then_older(fields: list[tuple[int, int]]) -> None:
    commands = [Command.make(STATUS, priority=p, issued_at=t) for p, t in fields]
    ordered = sorted(commands, key=dispatch_key)
    for one, other in pairwise(ordered):
        assert one.priority >= other.priority
        assert one.priority > other.priority or one.issued_at <= other.issued_at
