"""No path of the judge's machine leaves it: not in a message, not in an event.

Inside the walls a submission sees other names for its folders; below them it sees the real ones,
and an exception of it may quote them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["scrubber"]


def scrubber(work: Path, submission: Path, out: Path) -> Callable[[Any], Any]:
    """A function that puts neutral names for the places of this job into every text of a tree.

    `work` is the job's folder: the scratch folders in it become ``/scratch``, as in a box.
    """
    places = {
        submission: "/submission",
        out: "/report",
        work / "submission": "/submission",
        work: "/job",
        Path(sys.prefix): "/python",
        Path(sys.base_prefix): "/python",
        Path(__file__).parents[1]: "/meridian",
        Path.home(): "/home",
    }
    names = {
        str(form): word
        for place, word in places.items()
        for form in (place, place.absolute(), place.resolve())
        if form.is_absolute() and len(form.parts) > 2  # `/usr` and `/root` say nothing
    }
    folders = "|".join({re.escape(str(form)) for form in (work, work.resolve())})
    known = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    pattern = re.compile(
        rf"(?P<scratch>(?:{folders})(?:/scratch)?/scratch-\w+)|(?P<place>{known})(?![\w.-])"
    )

    def clean(text: str) -> str:
        return pattern.sub(lambda m: "/scratch" if m["scratch"] else names[m["place"]], text)

    def scrub(value: Any) -> Any:
        if isinstance(value, str):
            return clean(value)
        if isinstance(value, list):
            return [scrub(item) for item in value]
        if isinstance(value, dict):
            return {scrub(key): scrub(item) for key, item in value.items()}
        return value

    return scrub
