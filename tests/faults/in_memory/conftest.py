"""These are for MicroPython: `test_in_memory` runs them."""

collect_ignore_glob = ["test_*.py"]
