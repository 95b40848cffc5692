"""The outputs of one cell, put together from what a kernel publishes.

As a notebook would save them: streams, results, errors, displays that are updated later, and
outputs that are cleared. Widget messages (``comm_*``) and whatever else a kernel may publish
leave no output.
"""

from __future__ import annotations

from typing import Any

import msgspec

from grader.notebooks.wire import Message

__all__ = ["Displayed"]

_MAX_BUILT_BYTES = 1 << 20  # of a value that is not text; larger ones stay JSON text


class _Content(msgspec.Struct):
    """The fields of every message that leaves an output."""

    name: str = ""
    text: str = ""
    data: dict[str, msgspec.Raw] = {}
    transient: dict[str, msgspec.Raw] = {}
    ename: str = ""
    evalue: str = ""
    wait: bool = False


class Displayed:
    """Takes every message about one cell."""

    def __init__(self) -> None:
        self._made: list[dict[str, Any]] = []
        self._by_display_id: dict[str, list[dict[str, Any]]] = {}
        self._clear_first = False

    @property
    def outputs(self) -> list[dict[str, Any]]:
        """What the cell shows now."""
        return [
            {"output_type": "stream", "name": output["name"], "text": "".join(output["parts"])}
            if "parts" in output
            else output
            for output in self._made
        ]

    def take(self, message: Message) -> None:
        """Add what `message` shows. One of the wrong shape shows nothing."""
        known = ("stream", "display_data", "execute_result", "error",
                 "update_display_data", "clear_output")  # fmt: skip
        if message.kind not in known:
            return
        try:
            content = msgspec.json.decode(message.content, type=_Content)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            return
        if message.kind == "clear_output":
            self._clear_first = content.wait
            if not content.wait:
                self._made.clear()
        elif message.kind == "update_display_data":
            for output in self._by_display_id.get(_display_id(content), ()):
                output["data"] = _data(content)
        else:
            self._add(message.kind, content)

    def _add(self, kind: str, content: _Content) -> None:
        if self._clear_first:
            self._made.clear()
            self._clear_first = False
        last = self._made[-1] if self._made else {}
        if kind == "stream" and last.get("name") == content.name:
            last["parts"].append(content.text)
        elif kind == "stream":
            self._made.append({"name": content.name, "parts": [content.text]})
        elif kind == "error":
            error = {"output_type": kind, "ename": content.ename, "evalue": content.evalue}
            self._made.append(error)
        else:
            output = {"output_type": kind, "data": _data(content)}
            self._made.append(output)
            if name := _display_id(content):
                self._by_display_id.setdefault(name, []).append(output)


def _data(content: _Content) -> dict[str, Any]:
    return {kind: _value(raw) for kind, raw in content.data.items()}


def _value(raw: msgspec.Raw) -> Any:
    """Text; other JSON as plain data, or as its text where that would be large."""
    try:
        return msgspec.json.decode(raw, type=str | list[str])
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        pass
    if len(memoryview(raw)) <= _MAX_BUILT_BYTES:
        try:
            return msgspec.json.decode(raw)
        except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
            pass
    return bytes(raw).decode(errors="replace")


def _display_id(content: _Content) -> str:
    try:
        return msgspec.json.decode(content.transient.get("display_id", b'""'), type=str)
    except ValueError:
        return ""
