"""Leave a process that cannot be told by its parent, group, session, name or environment."""

import os
import sys

if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        os.closerange(0, 256)
        os.execve(sys.executable, ["[kworker]", "-S", "-c", "import time; time.sleep(900)"], {})
    os._exit(0)
