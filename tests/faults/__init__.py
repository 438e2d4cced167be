"""Boards whose connection to the broker fails in every way: equipment, tests, and the soak."""
