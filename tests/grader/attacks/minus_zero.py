"""Answer minus zero, infinities and a NaN of another sign where a list of ints is due."""

from .honest import Counter as _Counter


class Counter(_Counter):
    def up_to(self, _):
        return [-0.0, float("-inf"), -float("nan")]
