"""Which of many points of a proof are tried."""


class Sample:
    """Of `points`, takes `limit` (0: all), evenly spread; of these, every one that falls to part `shard[0]` of
    `shard[1]` parts."""

    def __init__(self, points, limit, shard):
        self._points = points
        self._limit = min(limit or points, points)
        self._part, self._parts = shard
        self._seen = 0

    def takes(self):
        """Tell whether the next point is to be tried."""
        before = self._seen * self._limit // self._points
        self._seen += 1
        return before != self._seen * self._limit // self._points and before % self._parts == self._part
