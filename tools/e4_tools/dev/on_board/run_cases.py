"""Functions with which the host runs the cases of a vector file on a board.

The host sends this module over the serial port once, and then calls its functions. The library and the module
`conformance_cases` are in a folder of their own on the board.
"""

import gc
import sys


def start(folder: str) -> str:
    """Import the modules of the run from a folder, and return a line about this MicroPython and its free heap."""
    sys.path.insert(0, folder)
    import conformance_cases  # noqa: F401, PLC0415 (before the line above it could not be found)

    from e4 import loops  # noqa: PLC0415

    gc.collect()
    version = " ".join(str(number) for number in sys.implementation.version[:3])
    name = "{} {} - {}".format(sys.implementation.name, version, sys.platform)
    return "{} - {} - {}".format(name, loops.BACKEND, gc.mem_free())


def run_case(line: str) -> str:
    """Run one case, as `conformance_cases.run` does, and return its verdict."""
    import conformance_cases  # noqa: PLC0415 (see `start`)

    return conformance_cases.run(line)
