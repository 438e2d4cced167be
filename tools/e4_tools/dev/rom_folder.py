"""Writes library and board application into a folder of which `mpremote romfs` makes a ROMFS image.

    python -m e4_tools.dev.rom_folder FOLDER --architecture xtensawin
    mpremote romfs build FOLDER

The folder becomes `/rom` of a board. `mpremote` could compile our sources too, but not the module with machine code,
for which it would have to know the processor. So the files in the folder are compiled already.
"""

from __future__ import annotations

from pathlib import Path

import click

from e4_tools.board.compile import Target, board_files
from e4_tools.errors import ToolError
from e4_tools.image.micropython_image import ARCHITECTURES


def write_rom_folder(folder: Path, target: Target) -> None:
    """Write the modules for a board of this kind into a folder. `boot.py` and `main.py` are not among them.

    They stay in the flash, because `main.py` is the user's, and because MicroPython runs neither of them from a ROMFS.
    Raises ToolError if a module does not compile, and OSError if the folder cannot be written.
    """
    for path, data in board_files(target):
        if "/" in path:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--architecture",
    default=ARCHITECTURES[0],
    show_default=True,
    type=click.Choice(ARCHITECTURES),
    help="Of the board.",
)
def main(folder: Path, architecture: str) -> None:
    """Write library and application, compiled for a board, into a folder for `mpremote romfs`."""
    try:
        write_rom_folder(folder, Target.for_esp32(architecture))
    except (ToolError, OSError) as error:
        raise click.ClickException(str(error)) from None
    print(f"{folder} is ready: mpremote romfs build {folder}")


if __name__ == "__main__":
    main()
