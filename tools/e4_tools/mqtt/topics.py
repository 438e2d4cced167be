"""Topics to publish on, as opposed to topic filters to subscribe to."""

from __future__ import annotations

import e4
from e4_tools.errors import ToolError


def check_publishable(topic: str) -> None:
    """Refuse what MQTT does not let anybody publish on (MQTT 3.1.1 section 4.7). Raises ToolError, E4Error."""
    e4.names.topic_bytes(topic)
    if "\0" in topic:
        raise ToolError("a topic has no NUL in it; nothing was done")
    if set(topic) & set("#+"):
        raise ToolError(
            f"{topic} is a topic filter: boards may subscribe to it, but a key belongs to one topic, without # and +; "
            "nothing was done"
        )
