"""Stop in a debugger, which would wait for somebody to type."""


def add(a, b):
    breakpoint()
    return a + b
