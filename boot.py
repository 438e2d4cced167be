"""Runs at every reset, before `main.py`, and when a tool opens the serial port: keep it quick."""

import gc

# Collect before the heap is full of garbage: less fragmentation in the months that a board runs.
gc.threshold(32768)
