"""A label for a board: a QR code with the board's name and ID, and the same as text below it."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from xml.sax.saxutils import escape

import segno

import e4
from e4_tools.errors import ToolError
from e4_tools.keys.secret_files import write_file

_BEGINNING = '<svg xmlns="http://www.w3.org/2000/svg" width="'  # the first characters of every label
_PUBLIC = 0o644  # the permissions of a file that everybody may read
_MODULE = 4  # pixels, for one square of the QR code
_TEXT_HEIGHT = 30  # pixels, for both lines of text
_MIN_WIDTH = 240  # pixels; the 32 digits of the ID fit into it


def label_text(name: str) -> str:
    """Return what the QR code says: the name on one line, and the ID (32 hexadecimal digits) on the next."""
    return f"{name}\n{e4.id_of(name).hex()}"


def prepare_label(path: Path) -> None:
    """Make the folder for a label, and make sure that a label may be written to `path`.

    Only a label gives way to a label: an option that names the wrong file would destroy that file otherwise. Raises
    ToolError, before anything is done to a board.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.path.lexists(path):
            return
        is_label = stat.S_ISREG(path.lstat().st_mode)
        if is_label:
            with path.open("rb") as file:
                is_label = file.read(len(_BEGINNING)) == _BEGINNING.encode()
    except OSError as error:
        raise ToolError(f"the label {path} cannot be written: {error.strerror}; nothing was done") from None
    if not is_label:
        raise ToolError(f"{path} exists and is no label; it was left as it is, and nothing was done")


def write_label(path: Path, name: str) -> None:
    """Write the label of the client `name` as SVG, and make the folder for it. A label that is there gives way to it.

    Raises ToolError; then an old label is still there.
    """
    prepare_label(path)
    # XML has no way to write most control characters, and a label could not show them.
    shown = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in name)
    code = segno.make_qr(label_text(name), error="m")
    side = code.symbol_size(scale=_MODULE)[0]
    width = max(side, _MIN_WIDTH)
    drawn = io.BytesIO()
    code.save(drawn, kind="svg", scale=_MODULE, xmldecl=False, svgns=False, nl=False, omitsize=False)
    svg = (
        f'{_BEGINNING}{width}" height="{side + _TEXT_HEIGHT}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<g transform="translate({(width - side) // 2} 0)">{drawn.getvalue().decode()}</g>\n'
        f'<g font-family="monospace" text-anchor="middle">\n'
        f'<text x="{width // 2}" y="{side + 8}" font-size="14">{escape(shown)}</text>\n'
        f'<text x="{width // 2}" y="{side + 22}" font-size="10">{e4.id_of(name).hex()}</text>\n'
        "</g>\n</svg>\n"
    )
    try:
        write_file(path, svg.encode(), _PUBLIC, overwrite=True)
    except OSError as error:
        raise ToolError(f"the label {path} cannot be written: {error.strerror}. The board is provisioned.") from None
