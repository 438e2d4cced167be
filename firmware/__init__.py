"""The board application around an `e4.Client`: WiFi, time, broker and console. Begin to read at `firmware.node`."""
