"""MQTT topic filters (MQTT 3.1.1 section 4.7)."""


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
    """Tell whether this is a valid topic filter: 1 to 512 bytes, `#` as the last level only, `+` as a whole level."""
    for level in topic_filter.split("/"):
        if len(level) > 1 and ("#" in level or "+" in level):
            return False
    try:
        # MQTT allows more bytes; E4 does not (`e4.names`).
        return 1 <= len(topic_filter.encode()) <= 512 and "#" not in topic_filter[:-1] and "\0" not in topic_filter
    except UnicodeError:  # JSON can express half of a character, which has no bytes.
        return False
