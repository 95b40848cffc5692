"""Measurement: benchmarks whose statistics can be trusted.

`meridian.foundation.profiling.bench` is the public face; importing it loads numpy and nothing
heavier (numba only when a kernel asks for `black_box`).
"""
