"""Small helpers for all portable tests: a check for exceptions, a clock, and repeatable random numbers."""


def raises(error, function, *arguments):
    """Call `function`, and return the exception that it raises. The exception must be exactly of the class `error`."""
    try:
        result = function(*arguments)
    except Exception as caught:
        if type(caught) is not error:
            raise
        return caught
    raise AssertionError("{} expected, {!r} returned".format(error.__name__, result))


def finish(steps):
    """Run a generator to its end, and return what it returns. Our generators yield while they wait for something."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Clock:
    """A clock that shows the Unix time that the test sets as `now`."""

    def __init__(self, now=1774894944):
        self.now = now

    def __call__(self):
        return self.now


class Dice:
    """Repeatable random numbers, the same on every interpreter."""

    def __init__(self, seed=1):
        self._state = seed

    def below(self, n):
        self._state = (self._state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self._state >> 8) % n

    def bytes(self, n):
        return bytes(self.below(256) for _ in range(n))
