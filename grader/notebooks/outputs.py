"""nbval's rules for comparing the outputs of a notebook cell, without its pytest plugin.

Outputs are grouped by stream name or MIME type, so the order of unlike outputs does not matter
and that of like ones does. Pictures by size alone cannot be compared across machines; the author
marks such cells. Directives are read from the author's cells only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["difference", "directives"]

# What nbval leaves out of every comparison, plus widget state, whose ids are random.
_SKIPPED = frozenset(
    {
        "metadata",
        "traceback",
        "text/latex",
        "prompt_number",
        "output_type",
        "name",
        "execution_count",
        "application/vnd.jupyter.widget-view+json",
        "transient",
    }
)
_MARKS = {
    "NBVAL_IGNORE_OUTPUT": "ignore",
    "PYTEST_VALIDATE_IGNORE_OUTPUT": "ignore",
    "NBVAL_RAISES_EXCEPTION": "raises",
    "NBVAL_SKIP": "skip",
    "NBVAL_CHECK_OUTPUT": "check",
}
_TAGS = {
    "nbval-ignore-output": "ignore",
    "nbval-raises-exception": "raises",
    "raises-exception": "raises",
    "nbval-skip": "skip",
    "nbval-check-output": "check",
}
_MARK = re.compile(r"^\s*#\s*(\w+)", re.MULTILINE)
_OVERWRITTEN = re.compile(r"^.*\r(?=[^\n])", re.MULTILINE)
_ERASED = re.compile(r"[^\n]\x08")
_MAX_SHOWN_CHARS = 200


def directives(cell: Mapping[str, Any]) -> frozenset[str]:
    """Of an author's cell: any of ``ignore``, ``check``, ``raises`` and ``skip``."""
    found = {_MARKS[word] for word in _MARK.findall(_text(cell["source"])) if word in _MARKS}
    tags = cell.get("metadata", {}).get("tags", ())
    return frozenset(found | {_TAGS[tag] for tag in tags if tag in _TAGS})


def difference(got: Iterable[Mapping[str, Any]], want: Iterable[Mapping[str, Any]]) -> str | None:
    """What differs between the outputs of a run and the saved ones; ``None`` when nothing does."""
    got_fields, want_fields = _fields(got), _fields(want)
    for key in sorted(want_fields.keys() | got_fields.keys()):
        if key not in got_fields:
            return f"no {key}; expected {_shown(want_fields[key][0])}"
        if key not in want_fields:
            return f"unexpected {key}: {_shown(got_fields[key][0])}"
        ours, theirs = got_fields[key], want_fields[key]
        if len(ours) != len(theirs):
            return f"{len(ours)} outputs of {key}; expected {len(theirs)}"
        for mine, wanted in zip(ours, theirs, strict=True):
            if mine != wanted:
                return f"{key} is {_shown(mine)}; expected {_shown(wanted)}"
    return None


def _fields(outputs: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values by stream name, MIME type or other key."""
    fields: dict[str, list[Any]] = defaultdict(list)
    streams: dict[str, str] = {}
    for output in outputs:
        if output.get("output_type") == "stream":
            name = str(output.get("name"))
            streams[name] = streams.get(name, "") + _text(output.get("text", ""))
            continue
        for key, value in output.items():
            if key == "data" and isinstance(value, Mapping):
                for kind, item in value.items():
                    if kind not in _SKIPPED:
                        fields[kind].append(_text(item))
            elif key not in _SKIPPED:
                fields[key].append(value)
    for name, text in streams.items():
        fields[name].append(_as_seen(text))
    return dict(fields)


def _as_seen(text: str) -> str:
    """`text` as a terminal shows it: backspaces and carriage returns done."""
    before = None
    while before != text:
        before, text = text, _ERASED.sub("", text)
    return _OVERWRITTEN.sub("", text)


def _text(value: Any) -> Any:
    """Multi-line text is a list of lines in the file and one string in a message."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "".join(value)
    return value


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text[:_MAX_SHOWN_CHARS] + ("..." if len(text) > _MAX_SHOWN_CHARS else ""))
