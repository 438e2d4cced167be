"""Entry point of the virtual board on the MicroPython VM: `micropython start.py CONFIG_FD`.

Everything else lives in `boot`, so that this module's namespace, `__main__`, can be given to user code empty.
"""

import sys

import boot

boot.main(int(sys.argv[1]), globals())
