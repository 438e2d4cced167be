"""Where the parts of this project lie: in its checkout, or, where the tools were installed from a wheel, in there.

A wheel has the library, the board application and the tools beside each other. What lies in the root folder of a
checkout and goes to boards is in a folder inside of the tools; `pyproject.toml` puts it there.
"""

from pathlib import Path

from platformdirs import user_cache_path

_PACKAGES = Path(__file__).resolve().parents[1]
_IN_WHEEL = Path(__file__).with_name("root_of_board")
IS_INSTALLED = _IN_WHEEL.is_dir()

# The checkout. Where the tools were installed from a wheel, only programs of `dev` and tests would look here, and a
# wheel has neither.
ROOT = _PACKAGES.parent
BUILD = ROOT / "build"
TOOLS = _PACKAGES
LIBRARY = _PACKAGES if IS_INSTALLED else ROOT / "lib"
FIRMWARE = (_PACKAGES if IS_INSTALLED else ROOT) / "firmware"
# The folder with the sources of `boot.py` and `main.py`.
ROOT_OF_BOARD = _IN_WHEEL if IS_INSTALLED else ROOT
# Modules that the firmware of a board has frozen in and the Unix port of MicroPython lacks: umqtt.simple.
FROZEN = user_cache_path("e4", appauthor=False) / "frozen" if IS_INSTALLED else BUILD / "frozen"
