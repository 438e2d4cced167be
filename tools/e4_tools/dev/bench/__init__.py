"""Measures what the library costs in time, heap, flash and code, against recorded budgets: `make bench`."""
