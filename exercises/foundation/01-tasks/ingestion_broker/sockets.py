"""Addresses of sockets. Given: nothing to write here."""

from __future__ import annotations

from typing import cast

from anyio.abc import SocketAttribute, SocketListener, SocketStream
from anyio.streams.stapled import MultiListener


def address_of(listeners: MultiListener[SocketStream]) -> tuple[str, int]:
    """Host and port that the first of `listeners` listens on."""
    host, port, *_ = cast("tuple[str, int]", listeners.extra(SocketAttribute.local_address))
    return host, port


def accepting_sockets(listeners: MultiListener[SocketStream]) -> list[SocketListener]:
    """One for each address that a host name stands for: accept from all of them."""
    return [cast("SocketListener", listener) for listener in listeners.listeners]


def peer_of(stream: SocketStream) -> str:
    """``host:port`` of the other end; a peer that has gone already has none."""
    gone = ("unknown", 0)
    host, port, *_ = cast("tuple[str, int]", stream.extra(SocketAttribute.remote_address, gone))
    return f"{host}:{port}"
