"""The commands of `e4`, one module for each noun."""
