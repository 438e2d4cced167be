"""Draws the figures that are ratios as bars, with a mark at each goal, as in `docs/bench.svg`."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from e4_tools.dev.bench.budgets import Budget
from e4_tools.dev.bench.figures import Figure

_ROW = 22  # pixels, as are all sizes here
_NAME = 250
_BARS = 330
_WIDTH = _NAME + _BARS + 70
_TOP = 46
_LARGEST = 4.0  # the largest ratio that is drawn to scale; a longer bar is cut off


def draw(rows: Sequence[tuple[Figure, Budget]], title: str) -> str:
    """Return an SVG drawing of figures that are ratios, of which less is better."""
    scale = _BARS / min(_LARGEST, max(max(figure.value, budget.goal or 0) for figure, budget in rows))
    height = _TOP + _ROW * len(rows) + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
        '<text x="10" y="37" fill="#555">1 is the raw AES calls alone; the line marks the goal; less is better</text>',
    ]
    for i, (figure, budget) in enumerate(rows):
        parts.extend(_row(_TOP + i * _ROW, figure, budget, scale))
    return "\n".join([*parts, "</svg>", ""])


def _row(top: int, figure: Figure, budget: Budget, scale: float) -> list[str]:
    """Return the elements of one bar with its label, its value and its goal."""
    length = min(figure.value * scale, _BARS)
    colour = "#2a7f62" if budget.reaches_goal(figure.value) else "#c17817"
    middle = top + 15
    row = [
        f'<text x="{_NAME - 8}" y="{middle}" text-anchor="end">{escape(_label(figure.name))}</text>',
        f'<rect x="{_NAME}" y="{top + 3}" width="{length:.1f}" height="{_ROW - 6}" fill="{colour}"/>',
        f'<text x="{_NAME + length + 8:.1f}" y="{middle}">{figure.value:.2f}</text>',
    ]
    if budget.goal is not None:
        x = _NAME + min(budget.goal * scale, _BARS)
        row.append(f'<path d="M{x:.1f} {top + 1}v{_ROW - 2}" stroke="#222" stroke-width="2"/>')
    return row


def _label(name: str) -> str:
    """Return the label of a bar, such as "siv encrypt, 256 bytes"."""
    what, _, size = name.partition("/")
    return f"{what.removesuffix('_over_floor').replace('_', ' ')}, {size} bytes"
