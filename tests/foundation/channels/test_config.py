"""Settings that sessions follow while they run."""

from __future__ import annotations

import dataclasses
import math

import anyio
import pytest
from anyio.lowlevel import checkpoint

from meridian.foundation.channels import ControlPlaneConfig, watch
from meridian.foundation.channels.watch import WatchReceiver

pytestmark = pytest.mark.anyio


def test_the_defaults() -> None:
    assert ControlPlaneConfig() == ControlPlaneConfig(65_536, 600.0)


def test_it_is_replaced_and_never_changed() -> None:
    config = ControlPlaneConfig()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.max_frame_size = 1
    assert dataclasses.replace(config, max_frame_size=1).session_timeout_s == 600.0


@pytest.mark.parametrize("size", [0, -1, True, 1.0, "65536", None])
def test_a_size_is_a_number_of_bytes(size: object) -> None:
    with pytest.raises(ValueError if type(size) is int else TypeError, match="max_frame_size"):
        ControlPlaneConfig(max_frame_size=size)


@pytest.mark.parametrize("timeout_s", [0, -1.0, True, math.nan, math.inf, "ten", None])
def test_a_timeout_is_a_time(timeout_s: object) -> None:
    error = ValueError if type(timeout_s) in (int, float) else TypeError
    with pytest.raises(error, match="session_timeout_s"):
        ControlPlaneConfig(session_timeout_s=timeout_s)


async def test_a_reload_reaches_every_session() -> None:
    sender, receiver = watch(ControlPlaneConfig())
    followed: list[list[ControlPlaneConfig]] = [[], [], []]

    async def session(seen: list[ControlPlaneConfig], config: WatchReceiver) -> None:
        seen.append(config.borrow_and_update())
        await config.changed()
        seen.append(config.borrow())

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            for seen in followed:
                group.start_soon(session, seen, receiver.clone())
            for _ in range(5):
                await checkpoint()
            sender.send(ControlPlaneConfig(max_frame_size=32_768, session_timeout_s=300))
    assert followed == [[ControlPlaneConfig(), ControlPlaneConfig(32_768, 300.0)]] * 3
    sender.close()
