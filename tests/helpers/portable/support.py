"""The small tools of all portable tests: an expected exception, a clock, repeatable random numbers."""


def raises(error, function, *arguments):
    """Call `function`; return the exception, which must be exactly of this class."""
    try:
        result = function(*arguments)
    except Exception as caught:
        if type(caught) is not error:
            raise
        return caught
    raise AssertionError("{} expected, {!r} returned".format(error.__name__, result))


def finish(steps):
    """Take all steps of a generator that waits for something; return what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


class Clock:
    """A clock that shows what the test sets."""

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
