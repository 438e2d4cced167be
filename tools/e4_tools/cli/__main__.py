"""Lets `python -m e4_tools.cli` run the command `e4`."""

from e4_tools.cli import main

if __name__ == "__main__":
    main(prog_name="e4")
