"""Run code where a number is asked for, and answer another one each time."""

import itertools

_NUMBERS = itertools.count()


class _Number:
    def __index__(self):
        return next(_NUMBERS)

    __int__ = __index__


def add(a, b):
    return [_Number(), _Number()]
