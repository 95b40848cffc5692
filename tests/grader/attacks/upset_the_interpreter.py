"""Turn every knob of the interpreter; the answers stay honest."""

import gc
import sys
import threading
import warnings

gc.disable()
gc.set_debug(gc.DEBUG_SAVEALL)
sys.setswitchinterval(1000)
sys.setrecursionlimit(200)
sys.excepthook = sys.unraisablehook = threading.excepthook = None
sys.stdout = sys.stderr = sys.stdin = None
warnings.simplefilter("error")
