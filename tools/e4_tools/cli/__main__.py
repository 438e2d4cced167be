"""`python -m e4_tools.cli`."""

from e4_tools.cli import main

if __name__ == "__main__":
    main(prog_name="e4")
