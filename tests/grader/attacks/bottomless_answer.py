"""Answer with a list that contains itself, then with one that is merely deep."""

from .honest import Counter as _Counter


def add(a, b):
    loop = []
    loop.append(loop)
    return loop


class Counter(_Counter):
    def add(self, _):
        deep = []
        for _ in range(600):
            deep = [deep]
        return deep
