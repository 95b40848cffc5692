"""Give items without end where the judge makes a list."""

import itertools

from .honest import Counter as _Counter


class Counter(_Counter):
    def up_to(self, _):
        return itertools.count(self.value)
