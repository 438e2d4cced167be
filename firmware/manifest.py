"""Freezes library and board application into a MicroPython image: `make BOARD=... FROZEN_MANIFEST=.../manifest.py`.

The build of MicroPython runs this file (docs.micropython.org, "MicroPython manifest files"). It is not sent to boards.
"""

# ruff: noqa: F821
# mypy: ignore-errors
# Neither ruff nor mypy knows `include` and `package`, which the build of MicroPython provides.

import os

include("$(PORT_DIR)/boards/manifest.py")
package("e4", base_path="../lib")
package(
    "firmware",
    files=[name for name in sorted(os.listdir(".")) if name.endswith(".py") and name != "manifest.py"],
    base_path="..",
)
