"""Bring sequences into a terminal: colours, a title, a link, the clipboard, C1 controls."""

import sys

NASTY = (
    "\x1b[2J\x1b[1;1H\x1b[32m100 of 100\x1b[0m"
    "\x1b]8;;https://example.org\x07click\x1b]8;;\x07"
    "\x1b]52;c;cm0gLXJmIC8K\x07\x9b31m\x90q\x9c\r\x08\x7f\u2028\u2066\u202e"
)


def add(a, b):
    print(NASTY)
    print(NASTY, file=sys.stderr)
    raise ValueError(NASTY)
