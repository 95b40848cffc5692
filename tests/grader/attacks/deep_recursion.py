"""Recurse in C, where nothing counts, until the stack is used up."""


def add(a, b):
    deep = ()
    for _ in range(10**6):
        deep = (deep,)
    return hash(deep)
