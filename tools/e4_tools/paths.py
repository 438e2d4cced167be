"""Where the parts of this project lie in its checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "lib"
FIRMWARE = ROOT / "firmware"
BUILD = ROOT / "build"
FROZEN = BUILD / "frozen"  # what the stock firmware has built in and the Unix port has not: umqtt.simple
