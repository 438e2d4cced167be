"""MQTT topic filters."""


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
