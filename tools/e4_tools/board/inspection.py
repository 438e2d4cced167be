"""What a board says about itself. Works on any MicroPython, whether it has files of ours or not; no secret is read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import e4
from e4_tools.board.deploy import VERSION_PATH
from e4_tools.board.raw_repl import Board, BoardError
from e4_tools.errors import ToolError

VIRTUAL = "Virtual ESP32"  # how the machine's name of a virtual board begins

_ASK = """
import gc, json, os, sys
gc.collect()
def there(path):
    try:
        os.stat(path)
        return True
    except OSError:
        return False
i = {'heap_free': gc.mem_free(), 'micropython': '.'.join(str(n) for n in sys.implementation[1][:3])}
i['machine'] = getattr(sys.implementation, '_machine', None) or os.uname()[4]
try:
    s = os.statvfs('/')
    i['flash_size'], i['flash_free'] = s[1] * s[2], s[1] * s[4]
except OSError:
    pass
try:
    import machine
    i['mac'] = ':'.join('%02x' % b for b in machine.unique_id())
except (ImportError, AttributeError):
    pass
i['provisioned'] = there('/e4.keys') or there('/e4.json')
i['ours'] = there('/lib/e4') or there('/firmware')
try:
    with open('/VERSION') as f:
        i['version'] = f.read().strip()
except OSError:
    pass
print(json.dumps(i))
""".replace("VERSION", VERSION_PATH)

_ASK_NODE = """
import json, e4
from e4 import blocks
from firmware import config
c = config.load()
i = {'backend': blocks.BACKEND, 'problems': c.problems, 'name': c.name}
if c.name:
    i['topics'] = c.topics
    i['broker'] = '%s:%s' % (c.host, c.port)
    try:
        client = e4.Client(e4.id_of(c.name), None, e4.FileStore(config.KEYS_PATH), None)
        i['receiving_topic'] = client.receiving_topic
        i['topics_with_key'] = [t for t in c.topics if '+' not in t and '#' not in t and client.holds_key(t)]
    except e4.E4Error as error:
        i['problems'].append('keys: ' + str(error))
print(json.dumps(i))
"""


@dataclass(frozen=True)
class About:
    """A board. Sizes are in bytes, and None where the board does not say."""

    machine: str
    micropython: str
    heap_free: int
    provisioned: bool
    ours: bool
    version: str | None = None
    mac: str | None = None
    flash_size: int | None = None
    flash_free: int | None = None

    @property
    def chip(self) -> str:
        """The chip, as MicroPython names it after "with" in the machine's name."""
        return self.machine.rpartition(" with ")[2]

    @property
    def virtual(self) -> bool:
        """Tell whether this is a virtual board."""
        return self.machine.startswith(VIRTUAL)


@dataclass(frozen=True)
class Node:
    """What our files on a board say. `problems` are lines for everything that keeps it from being a member."""

    backend: str | None = None
    name: str | None = None
    id: str | None = None
    receiving_topic: str | None = None
    broker: str | None = None
    topics: list[str] = field(default_factory=list)
    topics_with_key: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def about(board: Board) -> About:
    """Ask a board what it is. Raises ToolError."""
    return About(**_answer(board, _ASK, "asking the board what it is"))


def node(board: Board) -> Node:
    """Ask our files on a board about its identity. What is missing or broken is in `problems`. Raises PortError."""
    try:
        said = _answer(board, _ASK_NODE, "asking our files on the board")
    except BoardError as error:
        return Node(problems=[f"our files on the board do not work ({error.reply}): deploy them again"])
    name = said.get("name")
    return Node(id=e4.id_of(name).hex() if name else None, **said)


def _answer(board: Board, code: str, doing: str) -> dict[str, Any]:
    said = board.run(code, doing)
    try:
        answer = json.loads(said)
    except ValueError:
        raise ToolError(f"{doing}: the answer is garbled; is another program using {board.port}?") from None
    return dict(answer)
