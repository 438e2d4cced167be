"""A label for a board: a QR code with the board's name and ID, and the same as text below it."""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import escape

import segno

import e4
from e4_tools.errors import ToolError

_MODULE = 4  # pixels, for one square of the QR code
_TEXT_HEIGHT = 30  # pixels, for both lines of text
_MIN_WIDTH = 240  # pixels; the 32 digits of the ID fit into it


def label_text(name: str) -> str:
    """Return what the QR code says: the name on one line, and the ID (32 hexadecimal digits) on the next."""
    return f"{name}\n{e4.id_of(name).hex()}"


def write_label(path: Path, name: str) -> None:
    """Write the label of the client `name` as SVG, and make the folder for it. Raises ToolError."""
    code = segno.make_qr(label_text(name), error="m")
    side = code.symbol_size(scale=_MODULE)[0]
    width = max(side, _MIN_WIDTH)
    drawn = io.BytesIO()
    code.save(drawn, kind="svg", scale=_MODULE, xmldecl=False, svgns=False, nl=False, omitsize=False)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{side + _TEXT_HEIGHT}">\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<g transform="translate({(width - side) // 2} 0)">{drawn.getvalue().decode()}</g>\n'
        f'<g font-family="monospace" text-anchor="middle">\n'
        f'<text x="{width // 2}" y="{side + 8}" font-size="14">{escape(name)}</text>\n'
        f'<text x="{width // 2}" y="{side + 22}" font-size="10">{e4.id_of(name).hex()}</text>\n'
        "</g>\n</svg>\n"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg, encoding="utf-8")
    except OSError as error:
        raise ToolError(f"the label {path} cannot be written: {error.strerror}. The board is provisioned.") from None
