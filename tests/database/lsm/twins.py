"""Kernels without the compiler, to the bottom: what they call is plain Python as well."""

from __future__ import annotations

from types import FunctionType, ModuleType, SimpleNamespace


def twins(module: ModuleType) -> SimpleNamespace:
    """The names of `module`, each compiled function replaced by its ``py_func``."""
    plain = dict(vars(module))
    for name, value in vars(module).items():
        if (python := getattr(value, "py_func", None)) is None:
            continue
        own = python.__module__ == module.__name__
        plain[name] = FunctionType(python.__code__, plain, name) if own else python
    return SimpleNamespace(**plain)
