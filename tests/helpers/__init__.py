"""Helpers for the tests of several folders. Those in `helpers.portable` also run on MicroPython."""
