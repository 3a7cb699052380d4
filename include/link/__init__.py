"""Two hosts and a long link between them, on one machine: what tests and benchmarks of transfers run on.

`wan` and `wan.c` are the link itself and can be used by hand (`include/link/wan` prints how); `long_link.py` starts and
stops it from Python.
"""
