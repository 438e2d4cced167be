"""A replacement for Espressif's `esptool` in tests, where there is no chip. See `__main__`."""
