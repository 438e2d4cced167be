"""Chooses which of the many points of a proof are tried."""


class Sample:
    """Takes `limit` of `points` points, evenly spread; a limit of 0 takes all.

    Of the points taken, only those are tried that belong to part number `shard[0]` (from 0) of `shard[1]` parts. The
    other parts belong to other processes.
    """

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
