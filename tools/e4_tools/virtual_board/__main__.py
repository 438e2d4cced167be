"""The command line `python -m e4_tools.virtual_board IMAGE`, which runs a virtual board in the foreground."""

from e4_tools.virtual_board.cli import board_command

if __name__ == "__main__":
    board_command(prog_name="python -m e4_tools.virtual_board")
