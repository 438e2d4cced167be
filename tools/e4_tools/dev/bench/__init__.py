"""What the library costs in time, heap, flash and code, held against recorded budgets: `make bench`."""
