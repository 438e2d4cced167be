"""A virtual ESP32 board: a process that mpremote and serial terminals take for a board with MicroPython.

`VirtualBoard` starts one from Python; `python -m e4_tools.virtual_board IMAGE` from a shell. Its flash is a
file, its serial port a pseudo-terminal. It shares the interpreter with the boards, not the processor:
`machine`, `network` and `esp32` are stand-ins, and native code is that of the host.
"""

from e4_tools.virtual_board.board import VirtualBoard
from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.interpreter import find_micropython

__all__ = ["VirtualBoard", "VirtualBoardError", "find_micropython"]
