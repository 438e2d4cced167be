"""MQTT topic filters."""

_MAX_FILTER = 512  # bytes, as for an E4 topic


def matches(topic_filter: str, topic: str) -> bool:
    """Tell whether a topic matches a topic filter (MQTT 3.1.1 section 4.7)."""
    if topic_filter[:1] in ("+", "#") and topic[:1] == "$":
        return False
    pattern = topic_filter.split("/")
    levels = topic.split("/")
    for i, level in enumerate(pattern):
        if level == "#":
            return True
        if i >= len(levels) or level not in ("+", levels[i]):
            return False
    return len(pattern) == len(levels)


def is_valid(topic_filter: str) -> bool:
    """Tell whether this is a topic filter: 1 to 512 bytes, `#` alone at the end, `+` alone in its level."""
    levels = topic_filter.split("/")
    for i, level in enumerate(levels):
        if ("#" in level and (level != "#" or i + 1 < len(levels))) or ("+" in level and level != "+"):
            return False
    return 1 <= len(topic_filter.encode()) <= _MAX_FILTER and "\0" not in topic_filter
