"""The flash of the emulated board: an official image with our files, and with what only a run in the emulator needs."""

from __future__ import annotations

from pathlib import Path

from e4_tools.board.board_code import read_program
from e4_tools.board.compile import Target, module_file
from e4_tools.board.deploy import files_for
from e4_tools.dev import conformance_cases
from e4_tools.dev.bench import figures
from e4_tools.image.flash_file import build_flash
from e4_tools.image.micropython_image import FirmwareImage

FOLDER = "/e4-emulated"  # on the board: the modules that only this run needs
_STATE = "/e4-bench-state"  # the folder in which the figures of topics keep their keys
_FLASH_SIZE = 4 * 1024 * 1024  # bytes
_BENCH = Path(figures.__file__).with_name("on_board")
_ON_BOARD = Path(__file__).with_name("on_board")


def write_flash(firmware: FirmwareImage, path: Path) -> None:
    """Write the flash of a board with an image and our files, as `e4 deploy` would leave it. Raises ToolError.

    `boot.py` and `main.py` begin with lines that the emulated board needs.
    """
    target = Target.for_esp32(firmware.architecture)
    files = files_for(target)
    files["boot.py"] = read_program(_ON_BOARD / "quick_flash.py").encode() + files["boot.py"]
    # The board has no WiFi, so its application begins with a network of ours.
    network = f"import sys\nsys.path.append('{FOLDER}')\nimport uart_network\n"
    files["main.py"] = network.encode() + files["main.py"]
    modules = (_ON_BOARD / "uart_network.py", Path(conformance_cases.__file__), *sorted(_BENCH.glob("bench_*.py")))
    for source in modules:
        name, data = module_file(source, target)
        files[f"{FOLDER}/{name}"] = data
    files[f"{_STATE}/README"] = b"keys of a measurement"  # The folder must exist, and only files make folders.
    path.touch(0o600)
    path.write_bytes(build_flash(firmware, files, _FLASH_SIZE))
