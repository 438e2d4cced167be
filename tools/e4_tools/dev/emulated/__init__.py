"""An official image of MicroPython, run in an emulator of the ESP32, with a node on it."""
