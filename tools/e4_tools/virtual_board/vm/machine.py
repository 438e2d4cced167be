"""A stand-in for the module `machine`. It has resets, sleep, a clock, a watchdog, and pins that keep their level."""

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
_INPUT_ONLY = (34, 35, 36, 37, 38, 39)  # pins that cannot be outputs
_MISSING = (20, 24, 28, 29, 30, 31)  # numbers that no pin of an ESP32 has

_frequency = 160_000_000  # Hz


def reset():
    """Restart the board as its reset button does. This never returns."""
    _link.reset("hard")


def soft_reset():
    """Restart the interpreter, once user code has ended by the SystemExit that this raises."""
    raise SystemExit


def reset_cause():
    """Return the cause of the last reset, one of the constants whose names end in _RESET."""
    return _link.config["cause"]


def wake_reason():
    """Return TIMER_WAKE after a deep sleep, and 0 otherwise."""
    return TIMER_WAKE if reset_cause() == DEEPSLEEP_RESET else 0


def unique_id():
    """Return the 6 bytes that identify this board."""
    return bytes.fromhex(_link.config["unique_id"])


def freq(hz=None):
    """Return the clock frequency in Hz, or set it to `hz`. This does not change the speed of a virtual board."""
    global _frequency  # noqa: PLW0603 (there is one processor)
    if hz is None:
        return _frequency
    if hz % 1_000_000 or hz // 1_000_000 not in _MHZ:
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    _frequency = hz
    return None


def idle():
    """Wait for 1 ms, so that other processes can run."""
    time.sleep_ms(1)


def lightsleep(time_ms=0):
    """Sleep for `time_ms` milliseconds. With 0, sleep until Ctrl-C."""
    if time_ms:
        time.sleep_ms(time_ms)
        return
    while True:
        time.sleep(60)


def deepsleep(time_ms=0):
    """Switch the board off, and start it again after `time_ms` milliseconds. This never returns.

    With 0, the board starts again when its power has been cut and restored.
    """
    _link.reset(f"sleep {time_ms}")


def disable_irq():
    """Return a state for `enable_irq`. A virtual board has no interrupts that could be disabled."""
    return 0


def enable_irq(state):
    """Do nothing, because `disable_irq` has disabled nothing."""


class RTC:
    """The clock, and 2048 bytes of memory. The memory survives resets and a deep sleep, but not a power cut."""

    def init(self, date):
        """Set the clock to a date, as `datetime` does."""
        self.datetime(date)

    def datetime(self, date=None):
        """Return the time of the clock, or set it.

        A date is (year, month, day, weekday, hour, minute, second, microsecond). The weekday is 0 on Monday. It is
        ignored when the clock is set.
        """
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
        """Return the bytes of the memory, or replace them by `data`. Raises ValueError for more than 2048 bytes."""
        if data is None:
            return _link.rtc_memory()
        data = bytes(memoryview(data))
        if len(data) > _RTC_MEMORY_MAX:
            raise ValueError("buffer too long")
        return _link.rtc_memory(data)


def _host_microseconds():
    """Return the Unix time of the host in microseconds."""
    return time.time_ns() // 1000


class WDT:
    """The watchdog. Once it is started, the board restarts if `feed` is not called every `timeout` milliseconds."""

    def __init__(self, id=0, timeout=5000):  # noqa: A002 (the board's name for it)
        if id != 0:
            raise ValueError
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        self._timeout = timeout
        self.feed()

    def feed(self):
        """Begin the time of the watchdog anew."""
        _, feeds = _link.read_watchdog()
        _link.write_watchdog(self._timeout, (feeds + 1) & 0xFFFFFFFF)


class Pin:
    """A GPIO pin. Reading an input gives 1 with PULL_UP and otherwise 0. Reading an output gives what was written."""

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
        """Configure the pin. A mode or pull of -1 leaves the setting as it is.

        Raises ValueError for an unknown mode, and for an output on a pin that can only be an input.
        """
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
        """Return the level, 0 or 1, or set it. Setting the level of an input has no effect."""
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
