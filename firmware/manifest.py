"""Freezes library and board application into a MicroPython image: `make BOARD=... FROZEN_MANIFEST=.../manifest.py`.

MicroPython's build runs it (docs.micropython.org, "MicroPython manifest files"); it never goes to a board.
"""

# ruff: noqa: F821
# mypy: ignore-errors
# Both for `include` and `package`, which the build provides.

import os

include("$(PORT_DIR)/boards/manifest.py")
package("e4", base_path="../lib")
package(
    "firmware",
    files=[name for name in sorted(os.listdir(".")) if name.endswith(".py") and name != "manifest.py"],
    base_path="..",
)
