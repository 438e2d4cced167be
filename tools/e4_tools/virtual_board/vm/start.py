"""The program of a virtual board on the MicroPython VM: `micropython start.py CONFIG_FD`.

All other code is in `boot`. So the namespace of this module, `__main__`, can be emptied and given to user code.
"""

import sys

import boot

boot.main(int(sys.argv[1]), globals())
