"""The part of Jupyter's messaging protocol that the judge speaks, and no more of it.

The other side runs submitted code, which can send anything: another message of the protocol, one
for another session, a forged answer, bytes. What is not a signed message of the expected shape is
counted and passed over; its size is limited by the socket, and its content is decoded to plain
data only where it is used. The protocol: https://jupyter-client.readthedocs.io (messaging, 5.3).
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import secrets
from typing import Any

import msgspec
import zmq

__all__ = ["PORTS", "Message", "Wire"]

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_MARK = b"<IDS|MSG>"
_USER = "judge"


class _Header(msgspec.Struct):
    msg_type: str = ""
    msg_id: str = ""


class Message(msgspec.Struct, frozen=True):
    """What a kernel sent: `kind` is the type of message, `parent` the id of what it answers.

    `channel` is ``"shell"`` or ``"iopub"``; `size` counts all its bytes. A message that is none
    has no `kind`.
    """

    channel: str
    size: int
    kind: str = ""
    parent: str = ""
    content: msgspec.Raw = msgspec.Raw(b"{}")


class Wire:
    """Two sockets to one kernel: questions and answers, and what it publishes.

    Connects once: a kernel that takes its sockets away cannot lead the judge to others.
    `cut` is set when the other side hung up, which is also what a message over the limit does.
    """

    def __init__(self, address: str, key: bytes, max_message_bytes: int) -> None:
        self._key = key
        self._session = secrets.token_hex(16)
        self.cut = False
        self._context = zmq.Context()
        self._context.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
        self._context.setsockopt(zmq.LINGER, 0)
        self._context.setsockopt(zmq.RECONNECT_IVL, -1)
        self._shell = self._context.socket(zmq.DEALER)
        self._iopub = self._context.socket(zmq.SUB)
        self._iopub.setsockopt(zmq.SUBSCRIBE, b"")
        self._iopub.setsockopt(zmq.RCVHWM, 0)  # dropped messages would be missing outputs
        self._channels = {self._shell: "shell", self._iopub: "iopub"}
        self._poller = zmq.Poller()
        for number, socket in enumerate(self._channels, 1):
            self._poller.register(socket, zmq.POLLIN)
            self._poller.register(socket.get_monitor_socket(zmq.EVENT_DISCONNECTED), zmq.POLLIN)
            socket.connect(f"ipc://{address}-{number}")

    def close(self) -> None:
        """Let go of both sockets; closing twice is harmless."""
        if not self._context.closed:
            for socket in self._channels:
                socket.disable_monitor()
            self._context.destroy(linger=0)

    def ask(self, kind: str, content: dict[str, Any]) -> str:
        """Send a question to the shell; its id, which answers carry as `Message.parent`."""
        name = secrets.token_hex(16)
        header = {
            "msg_id": name,
            "msg_type": kind,
            "session": self._session,
            "username": _USER,
            "date": datetime.datetime.now(datetime.UTC).isoformat(),
            "version": "5.3",
        }
        parts = [msgspec.json.encode(part) for part in (header, {}, {}, content)]
        try:
            self._shell.send_multipart([_MARK, self._sign(parts), *parts], zmq.NOBLOCK)
        except zmq.Again:  # nobody at the other end, or nobody who reads
            self.cut = True
        return name

    def receive(self, timeout_s: float) -> Message | None:
        """The next message of either socket; ``None`` when none came."""
        ready = [socket for socket, _ in self._poller.poll(int(timeout_s * 1000))]
        for socket, channel in self._channels.items():
            if socket in ready:
                try:
                    return self._read(channel, socket.recv_multipart(zmq.NOBLOCK))
                except zmq.Again:  # it was cut off in the middle of a message
                    self.cut = True
        self.cut = self.cut or bool(ready)
        return None

    def _read(self, channel: str, frames: list[bytes]) -> Message:
        size = sum(map(len, frames))
        try:
            signature, *parts = frames[frames.index(_MARK) + 1 :]
            if not hmac.compare_digest(signature, self._sign(parts[:4])):
                raise ValueError("not signed")
            header = msgspec.json.decode(parts[0], type=_Header)
            parent = msgspec.json.decode(parts[1], type=_Header)
            content = msgspec.json.decode(parts[3], type=msgspec.Raw)
        except (ValueError, IndexError, RecursionError):  # msgspec's errors are ValueErrors
            return Message(channel, size)
        return Message(channel, size, header.msg_type, parent.msg_id, content)

    def _sign(self, parts: list[bytes]) -> bytes:
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in parts:
            digest.update(part)
        return digest.hexdigest().encode()
