"""The board application: WiFi, time, broker and console around an `e4.Client`. Start at `firmware.node`."""
