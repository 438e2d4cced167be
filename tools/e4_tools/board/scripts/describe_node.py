"""A function that tells the host which member of a fleet a board is, and what is wrong with it.

The host sends this module over the serial port and calls its function. It needs our files on the board: where they
are missing or damaged, an import here fails, and the host reports that. It reads no secret.
"""

import e4
from firmware import config

try:
    from e4 import loops
except ImportError:  # Boards with files of version 0.1.0 or older have the same module under this name.
    from e4 import blocks as loops  # type: ignore[attr-defined, no-redef]


def describe_node() -> dict[str, object]:
    """Return the facts of `NodeInfo` by name, apart from the ID, which the host computes from the name."""
    found = config.load()
    facts: dict[str, object] = {"backend": loops.BACKEND, "problems": found.problems, "name": found.name}
    if not found.name:
        return facts
    topics = [topic for topic in found.topics if isinstance(topic, str)]  # Others are named in the problems.
    facts["topics"] = topics
    facts["broker"] = "{}:{}".format(found.host, found.port)
    try:
        client = e4.Client(e4.id_of(found.name), None, e4.FileStore(config.KEYS_PATH), _clock)
        facts["receiving_topic"] = client.receiving_topic
        facts["topics_with_key"] = [topic for topic in topics if not _is_filter(topic) and client.holds_key(topic)]
    except e4.E4Error as error:
        found.problems.append("keys: {}".format(error))
    return facts


def _is_filter(topic: str) -> bool:
    """Tell whether a topic has wildcards. It stands for many topics then, which have keys of their own."""
    return "+" in topic or "#" in topic


def _clock() -> int:
    raise e4.ClockNotSet("a client that is only described needs no clock")
