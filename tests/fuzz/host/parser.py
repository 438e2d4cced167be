"""What the parsers of the host share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fuzz import mutation
from fuzz.parser import Parser


class FileParser(Parser):
    """A parser of a file. Whatever is in the file, it is the same afterwards."""

    path = Path("fuzz.file")

    def write(self, content: bytes, mode: int = 0o600) -> None:
        self.path.unlink(missing_ok=True)
        self.path.touch(mode)
        self.path.write_bytes(content)


def argument(dice: Any, samples: tuple[str, ...], most: int = 40) -> str:
    """Return text as a command line or the environment may hold it: without NUL, and bytes that are not UTF-8 as
    Python decodes them there."""
    text: str = mutation.mutate_text(dice, samples, most).replace("\0", "")
    if dice.below(12) == 0:
        at = dice.below(len(text) + 1)
        text = text[:at] + "\udcff" + text[at:]
    return text
