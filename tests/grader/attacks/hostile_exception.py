"""Raise something whose every part is a trap for whoever prints it."""


class _Meta(type):
    @property
    def __mro__(cls):
        raise RuntimeError("no")


class TrapError(Exception, metaclass=_Meta):
    def __str__(self):
        raise SystemExit

    __repr__ = __str__

    def __getattr__(self, name):
        raise KeyboardInterrupt


TrapError.__name__ = "<script>" * 1000


def add(a, b):
    raise TrapError
