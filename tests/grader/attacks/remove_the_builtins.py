"""Take away the functions that the worker is made of."""

import builtins

builtins.isinstance = builtins.len = builtins.getattr = builtins.BaseException = None
