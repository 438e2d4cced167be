"""Which topics can be published on. Topic filters, with + and #, can only be subscribed to."""

from __future__ import annotations

import e4
from e4_tools.errors import ToolError


def check_publishable(topic: str) -> None:
    """Refuse a topic that MQTT does not allow to publish on (MQTT 3.1.1 section 4.7).

    Raises ToolError for a NUL or a topic filter, and E4Error for a topic that E4 does not accept.
    """
    e4.names.topic_bytes(topic)
    if "\0" in topic:
        raise ToolError("a topic has no NUL in it; nothing was done")
    if set(topic) & set("#+"):
        raise ToolError(
            f"{topic} is a topic filter: boards may subscribe to it, but a key belongs to one topic, without # and +; "
            "nothing was done"
        )
