"""Leave marks wherever one can, and look for those of the worker before."""

import contextlib
import errno
import os
import socket
import sys
import tempfile

MARK = "meridian-attack-mark"
PLACES = [
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/run",
    "/run/lock",
    "/",
    "/scratch/..",
    "..",
    "/submission",
    "/runtime",
    "/home",
    os.path.expanduser("~"),
    tempfile.gettempdir(),
    os.path.dirname(__file__),
    os.path.dirname(os.__file__),
]
FOUND = [place for place in PLACES if os.path.exists(os.path.join(place, MARK))]
for _place in PLACES:
    with contextlib.suppress(OSError):
        os.mkdir(os.path.join(_place, MARK))
with contextlib.suppress(OSError):
    server = socket.socket(socket.AF_UNIX)
    try:
        server.bind("\0" + MARK)
        server.listen()
        if os.fork() == 0:
            os.setsid()
            while True:
                server.accept()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            FOUND.append("abstract socket")
with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "r+") as file:
    if file.read().strip() == "777":
        FOUND.append("oom_score_adj")
    file.write("777")
if os.environ.get(MARK) or os.nice(0) == 7 or MARK in sys.modules:
    FOUND.append("process")
os.environ[MARK] = "1"


def add(a, b):
    return f"found {FOUND}"
