"""What runs inside the box: this folder goes there as it is, and nothing else of the grader does.

Its files import nothing but each other, the standard library and msgspec, and NumPy and trio only
when something that needs them arrives. The judge uses some of them as well: what travels through
the pipe is defined once.
"""
