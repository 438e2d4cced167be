"""Keeps pytest from running the tests of this folder on CPython. `test_in_memory` runs them on MicroPython."""

collect_ignore_glob = ["test_*.py"]
