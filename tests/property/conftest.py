"""The model that judges the power cuts judges here as well."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "powercut"))
