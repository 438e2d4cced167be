"""Where the parts of this project lie in its checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
LIBRARY = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"
# Modules that the firmware of a board has frozen in and the Unix port of MicroPython lacks: umqtt.simple.
FROZEN = BUILD / "frozen"
