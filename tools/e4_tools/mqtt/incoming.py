"""Messages that have arrived and wait to be read, as many as there is room for."""

from __future__ import annotations

import threading
import time
from collections import deque

_MOST = 4096  # messages that may wait
_LARGEST = 16 * 1024 * 1024  # bytes of all payloads that may wait


class IncomingMessages:
    """A queue between the thread in which messages arrive and another one. What finds no room is counted."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._size = 0
        self._changed = threading.Condition()
        # The number of messages that came while there was no room.
        self.dropped = 0

    def add(self, topic: str, payload: bytes) -> None:
        """Take a message that has arrived, or count it as dropped."""
        with self._changed:
            if len(self._waiting) >= _MOST or self._size + len(payload) > _LARGEST:
                self.dropped += 1
            else:
                self._waiting.append((topic, payload))
                self._size += len(payload)
                self._changed.notify()

    def get(self, seconds: float) -> tuple[str, bytes] | None:
        """Return topic and payload of the oldest message, or None if none comes within so many seconds."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._waiting:
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
            topic, payload = self._waiting.popleft()
            self._size -= len(payload)
            return topic, payload
