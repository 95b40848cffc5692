"""Be an object instead of a module, which has whatever one asks for."""

import sys


class _Anything:
    __name__ = __name__
    __path__ = ()

    def __getattr__(self, name):
        return self

    def __call__(self, *_, **__):
        return self

    def __eq__(self, other):
        return True

    __hash__ = None


sys.modules[__name__] = _Anything()
