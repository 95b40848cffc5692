"""Channels are found by name as long as they live, and unbounded ones cannot hide."""

from __future__ import annotations

import gc

import pytest

from meridian.foundation.channels import (
    audit_unbounded,
    channel,
    channel_registry,
    unbounded_channel,
)


def test_a_channel_is_found_by_its_name_as_long_as_it_lives() -> None:
    tx, rx = channel(4, name="frames of pass 12")
    tx.try_send(1)
    found = channel_registry()["frames of pass 12"]
    assert found.name == tx.name == "frames of pass 12"
    assert found.statistics() == tx.statistics()
    assert (found.capacity, found.used, found.waiting_senders) == (4, 1, 0)  # type: ignore[attr-defined]
    assert repr(found) == "<channel frames of pass 12: 1 of 4, open>"
    tx.close()
    rx.close()
    del found, tx, rx
    gc.collect()
    assert "frames of pass 12" not in channel_registry()


def test_two_of_one_name_are_both_found() -> None:
    first, second, third = (channel(i, name="twins") for i in (1, 2, 3))
    names = sorted(name for name in channel_registry() if name.startswith("twins"))
    assert names == ["twins", "twins#2", "twins#3"]
    assert second[0].name == "twins", "what errors call it does not depend on others"
    del second
    gc.collect()
    fourth = channel(4, name="twins")
    listed = {name: found.capacity for name, found in channel_registry().items() if "twin" in name}  # type: ignore[attr-defined]
    assert listed == {"twins": 1, "twins#2": 4, "twins#3": 3}
    for tx, rx in (first, third, fourth):
        tx.close()
        rx.close()


def test_those_without_a_name_get_one() -> None:
    (a, _), (b, _) = channel(1), channel(1)
    assert a.name != b.name
    assert {a.name, b.name} <= channel_registry().keys()


def test_an_unbounded_channel_is_audited() -> None:
    tx, rx = unbounded_channel(name="control", bound="one message a source")
    for i in range(300):
        tx.try_send(i)
    [audited] = [each for each in audit_unbounded() if each.name == "control"]
    assert audited.bound == "one message a source"
    assert audited.where.partition(":")[0] == __file__
    assert (audited.used, audited.max_used) == (300, 300)
    assert repr(tx) == "<Sender of channel control: 300 of no bound, open>"
    assert "control" in channel_registry()
    tx.close()
    rx.close()
    del tx, rx
    gc.collect()
    assert not [each for each in audit_unbounded() if each.name == "control"]


@pytest.mark.parametrize(
    ("name", "bound", "error"),
    [
        ("", "few", ValueError),
        ("a", " ", ValueError),
        (None, "few", TypeError),
        ("a", 3, TypeError),
    ],
)
def test_an_unbounded_channel_says_what_keeps_it_small(
    name: str, bound: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match="Expected"):
        unbounded_channel(name=name, bound=bound)
