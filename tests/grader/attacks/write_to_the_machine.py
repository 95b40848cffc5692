"""Write to the kernel's own files, to the interpreter, to the worker's code and to its own."""

import os
import pathlib
import sys

import grader.inside.worker


def add(a, b):
    places = [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/proc/1/oom_score_adj",
        "/proc/self/uid_map",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/etc/passwd",
        "/dev/sda",
        "/dev/mem",
        "/dev/kmsg",
        "/root/.ssh/authorized_keys",
        os.path.join(sys.prefix, "evil"),
        os.path.join(os.path.dirname(os.__file__), "sitecustomize.py"),
        os.path.join(os.path.dirname(os.__file__), "__pycache__", "evil.pyc"),
        grader.inside.worker.__file__,
        os.path.join(os.path.dirname(grader.inside.worker.__file__), "evil.py"),
        __file__,
        os.path.join(os.path.dirname(__file__), "evil.py"),
        os.path.join(os.path.dirname(__file__), "__pycache__", "evil.pyc"),
    ]
    written = []
    for place in places:
        try:
            with open(place, "ab", 0) as file:
                file.write(b"" if "proc" in place else b"#")
            written.append(place)
        except OSError:
            continue
        if "evil" in place:
            pathlib.Path(place).unlink()
    return f"wrote {written}"
