"""The MQTT broker mosquitto, which benchmarks and tests start if it is installed on this machine."""

from __future__ import annotations

import shutil


def find_mosquitto() -> str | None:
    """Return the path of the program mosquitto, or None if it is not installed.

    Many systems install it into a folder for administrators, which is not on the search path of ordinary users.
    """
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
