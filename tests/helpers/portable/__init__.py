"""Helpers for tests that run on CPython and on MicroPython alike."""
