"""What the README shows is tried as it stands there."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

import e4
from helpers.boards import ROOT

_README = (ROOT / "README.md").read_text()


def _block_after(heading: str) -> str:
    """Return the first indented block under a heading."""
    section = _README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"(?:^    .*\n|^\n)+", section[section.index("    ") :], re.MULTILINE)
    assert found
    return "\n".join(line[4:] for line in found[0].splitlines())


def test_the_library_in_ten_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    id_key, topic_key, topic = b"i" * 32, b"t" * 32, "sensors/lab"
    names: dict[str, Any] = {"id_key": id_key, "topic_key": topic_key, "topic": topic}
    names["payload"] = e4.protect(b"what arrives", topic_key, int(time.time()))
    exec(_block_after("The library in ten lines"), names)  # noqa: S102 (our own README)
    assert names["message"] == b"what arrives"
    assert e4.unprotect(names["command"], id_key, int(time.time())) == e4.commands.set_topic_key(topic_key, topic)
    assert e4.unprotect(names["answer"], topic_key, int(time.time())) == b"21.5 C"
