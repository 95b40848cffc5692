"""Answer True and False where 1 and 0 are due."""

from .honest import Counter as _Counter


class Counter(_Counter):
    def add(self, amount):
        return super().add(amount) > 0
