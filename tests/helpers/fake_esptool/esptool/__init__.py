"""Stands for Espressif's `esptool` where there is no chip; see `__main__`."""
