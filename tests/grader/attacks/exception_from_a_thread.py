"""Have another thread throw SystemExit into the one that answers."""

import ctypes
import threading


def add(a, b):
    main = ctypes.c_ulong(threading.main_thread().ident)

    def throw():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(main, ctypes.py_object(SystemExit))

    threading.Thread(target=throw).start()
    while True:
        pass
