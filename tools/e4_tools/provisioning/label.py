"""A label for a board: a QR code, and its name and ID to read."""

from __future__ import annotations

import io
from pathlib import Path
from xml.sax.saxutils import escape

import segno

import e4
from e4_tools.errors import ToolError

_MODULE = 4  # pixels
_TEXT_HEIGHT = 30
_MIN_WIDTH = 240  # the ID, 32 digits of 10 pixels, fits


def label_text(name: str) -> str:
    """Return what the QR code says: name and ID (32 hexadecimal digits), a line each."""
    return f"{name}\n{e4.id_of(name).hex()}"


def write_label(path: Path, name: str) -> None:
    """Write the label as SVG. Raises ToolError."""
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
