"""Stand-in for `machine`: resets, sleep, clock, watchdog, and pins that only remember their level."""

import time

from host import link as _link
from micropython import const

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5
SLEEP = 2
DEEPSLEEP = 4
TIMER_WAKE = 4

_MHZ = (20, 40, 80, 160, 240)
_RTC_MEMORY_MAX = const(2048)
_DATE_FIELDS = const(8)
_PINS = const(40)
_INPUT_ONLY = (34, 35, 36, 37, 38, 39)
_MISSING = (20, 24, 28, 29, 30, 31)

_frequency = 160_000_000


def reset():
    """Restart the board as its reset button does. Never returns."""
    _link.reset("hard")


def soft_reset():
    """Restart the interpreter."""
    raise SystemExit


def reset_cause():
    """One of the _RESET constants."""
    return _link.config["cause"]


def wake_reason():
    """TIMER_WAKE after a deep sleep, otherwise 0."""
    return TIMER_WAKE if reset_cause() == DEEPSLEEP_RESET else 0


def unique_id():
    """6 bytes that belong to this board."""
    return bytes.fromhex(_link.config["unique_id"])


def freq(hz=None):
    """Read or set the clock frequency in Hz; setting it does not change the speed of a virtual board."""
    global _frequency  # noqa: PLW0603 (there is one processor)
    if hz is None:
        return _frequency
    if hz % 1_000_000 or hz // 1_000_000 not in _MHZ:
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _frequency = hz
    return None


def idle():
    """Give other work a chance."""
    time.sleep_ms(1)


def lightsleep(time_ms=0):
    """Sleep for `time_ms`, or, with 0, until interrupted."""
    if time_ms:
        time.sleep_ms(time_ms)
        return
    while True:
        time.sleep(60)


def deepsleep(time_ms=0):
    """Switch off, and start again after `time_ms` (0: when power is cut and restored). Never returns."""
    _link.reset(f"sleep {time_ms}")


def disable_irq():
    """A state for `enable_irq`; this board has no interrupts to disable."""
    return 0


def enable_irq(state):
    """Take back what `disable_irq` did."""


class RTC:
    """The clock, and 2048 bytes of memory that survive a deep sleep and resets, but no power cut."""

    def init(self, date):
        """Set the clock: (year, month, day, weekday, hour, minute, second, microsecond)."""
        self.datetime(date)

    def datetime(self, date=None):
        """Read or set the clock. The weekday is 0 on Monday, and ignored when setting."""
        if date is None:
            micros = _host_microseconds() + _link.rtc_offset()
            t = time.gmtime(micros // 1_000_000)
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], micros % 1_000_000)
        if len(date) != _DATE_FIELDS:
            raise ValueError(f"requested length {_DATE_FIELDS} but object has length {len(date)}")
        seconds = time.mktime((date[0], date[1], date[2], date[4], date[5], date[6], 0, 0, 0))
        _link.rtc_offset(seconds * 1_000_000 + date[7] - _host_microseconds())
        return None

    def memory(self, data=None):
        """Read or set the memory."""
        if data is None:
            return _link.rtc_memory()
        data = bytes(memoryview(data))
        if len(data) > _RTC_MEMORY_MAX:
            raise ValueError("buffer too long")
        return _link.rtc_memory(data)


def _host_microseconds():
    return time.time_ns() // 1000


class WDT:
    """The watchdog: once started, the board restarts if `feed` is not called every `timeout` milliseconds."""

    def __init__(self, id=0, timeout=5000):  # noqa: A002 (the board's name for it)
        if id != 0:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        self._timeout = timeout
        self.feed()

    def feed(self):
        """Start the time anew."""
        _, feeds = _link.read_watchdog()
        _link.write_watchdog(self._timeout, (feeds + 1) & 0xFFFFFFFF)


class Pin:
    """A GPIO. An input reads 0, or 1 with PULL_UP; an output reads what was written."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5

    _pins = {}  # noqa: RUF012 (one object for each pin)

    def __new__(cls, id, mode=-1, pull=-1, *, value=None):  # noqa: A002 (the board's name for it)
        if not isinstance(id, int) or id not in range(_PINS) or id in _MISSING:
            raise ValueError("invalid pin")
        pin = cls._pins.get(id)
        if pin is None:
            pin = cls._pins[id] = super().__new__(cls)
            pin._id = id
            pin._mode = Pin.IN
            pin._level = 0
        pin.init(mode, pull, value=value)
        return pin

    def init(self, mode=-1, pull=-1, *, value=None):
        """Configure the pin; -1 leaves a setting as it is. ValueError for an output on an input-only pin."""
        if mode not in (-1, None):
            if mode not in (Pin.IN, Pin.OUT, Pin.OPEN_DRAIN):
                raise ValueError("invalid pin mode")
            if mode != Pin.IN and self._id in _INPUT_ONLY:
                raise ValueError("pin can only be input")
            self._mode = mode
        if pull not in (-1, None) and self._mode == Pin.IN:
            self._level = 1 if pull == Pin.PULL_UP else 0
        if value is not None:
            self._level = 1 if value else 0

    def value(self, level=None):
        """Read or set the level."""
        if level is None:
            return self._level
        if self._mode != Pin.IN:
            self._level = 1 if level else 0
        return None

    __call__ = value

    def on(self):
        """Set the level to 1."""
        self.value(1)

    def off(self):
        """Set the level to 0."""
        self.value(0)

    def __repr__(self):
        return f"Pin({self._id})"
