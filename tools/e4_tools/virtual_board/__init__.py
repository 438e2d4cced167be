"""A virtual ESP32 board: a process that mpremote and serial terminals take for a board with MicroPython.

`VirtualBoard` starts one from Python, and `python -m e4_tools.virtual_board IMAGE` starts one from a shell. The flash
of a virtual board is a file, and its serial port is a pseudo-terminal. It runs the same interpreter as a real board,
but on the host's processor. So `machine`, `network` and `esp32` are stand-ins, and native code is that of the host.
"""

from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.handle import VirtualBoard
from e4_tools.virtual_board.interpreter import find_micropython

__all__ = ["VirtualBoard", "VirtualBoardError", "find_micropython"]
