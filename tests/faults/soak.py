"""A soak test: boards get messages and faults for any time, while lost messages and the heap are watched.

    python -m faults.soak --minutes 10 --seed 1

The program prints the free heap of each board over time. The last line has the numbers of messages, faults, reconnects
and lost messages, and the heap at the beginning and at the end. The exit code is 1 if a message was lost that QoS 1
should have delivered, if a board restarted, or if a heap shrank. The figures are written to build/soak.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from faults import kinds
from faults.partner import Failure
from faults.proxy import TO_BOARD, TO_BROKER, Fault, FaultProxy
from faults.rig import BOUND, Rig
from helpers.boards import make_image
from helpers.mosquitto import Mosquitto

BOARDS = 3
# No further message is sent while so many messages to a board have not arrived.
_OUTSTANDING = 8
# Messages per second to each board. If a message were so late that more than a client remembers had come since, the
# client could refuse it as a copy. A high rate would make that happen.
_RATE = 40
# The largest message has about so many bytes.
_LARGEST = 1500
# Each fault lasts for a random time between these two, in seconds, and the pause before it is as long.
_PAUSE = (0.2, 1.5)
# The medians of a heap that does not change may differ by so many bytes.
_NOISE = 1024
# The curve of the heap is printed with so many rows.
_ROWS = 12

_GENTLE: dict[str, Callable[[random.Random], Fault]] = {
    "delay": lambda source: kinds.delay(source.uniform(0.05, 0.5)),
    "stall": lambda source: kinds.stall(source.randrange(200)),
    "truncate": lambda source: kinds.truncate(source.randrange(200)),
    "duplicate": lambda _: kinds.duplicate(),
    "trickle": lambda source: kinds.trickle(source.uniform(0.05, 0.9)),
}


@dataclass
class Result:
    """The figures of a soak test."""

    messages: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    reconnects: int = 0
    restarts: int = 0
    lost: list[str] = field(default_factory=list)
    # For each board, pairs of the seconds since the start and the bytes free at that time.
    heap: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    # Messages that waited in the queue of a board during an outage until the board gave them up for later ones. They
    # are not lost: the board has reported them.
    gave_way: int = 0
    # All lines that each board has printed.
    said: dict[str, list[str]] = field(default_factory=dict)

    def first_and_last(self, name: str) -> tuple[int, int]:
        """Return the free heap of a board at the beginning and at the end.

        Both are medians of a third of the reports, because single reports differ too much.
        """
        free = [bytes_free for _, bytes_free in self.heap[name]]
        third = max(1, len(free) // 3)
        return int(median(free[:third])), int(median(free[-third:]))

    @property
    def worst(self) -> tuple[int, int]:
        """The free heap at the beginning and at the end, of the board whose heap shrank most."""
        return max((self.first_and_last(name) for name in self.heap), key=lambda pair: pair[0] - pair[1])

    @property
    def passed(self) -> bool:
        first, last = self.worst
        return not (self.lost or self.failures or self.restarts) and first - last <= _NOISE

    def line(self) -> str:
        first, last = self.worst
        return (
            f"messages {self.messages}, faults {self.faults.total()}, reconnects {self.reconnects}, "
            f"lost {len(self.lost)}, heap first {first} last {last}"
        )


def _cause(rig: Rig, source: random.Random) -> None:
    """Cause one fault of any kind after which QoS 1 must still deliver everything."""
    kind = source.choice([*_GENTLE, "half-open", "reset", "refuse", "wifi"])
    if kind in _GENTLE:
        direction = source.choice((TO_BOARD, TO_BROKER))
        if kind == "duplicate":
            # A broker that gets a second CONNECT forgets the session, and with it the messages on their way.
            direction = TO_BOARD
        rig.proxy.apply(kind, _GENTLE[kind](source), direction)
    elif kind == "half-open":
        rig.proxy.half_open()
    elif kind == "reset":
        rig.proxy.reset()
    elif kind == "refuse":
        rig.proxy.refuse()
        rig.proxy.reset(count=False)
        time.sleep(source.uniform(0.1, 1.5))
        rig.proxy.listen()
    else:
        rig.board.wifi(False)
        time.sleep(source.uniform(0.3, 1.5))
        rig.board.wifi(True)
        rig.proxy.faults["wifi"] += 1


def _torment(rig: Rig, source: random.Random, end: float, stopped: threading.Event) -> None:
    """Cause faults until the time `end`. After each of them the connection has a while without faults."""
    while time.monotonic() < end and not stopped.is_set():
        time.sleep(source.uniform(*_PAUSE))
        _cause(rig, source)
        time.sleep(source.uniform(*_PAUSE))
        heal(rig.proxy)


def heal(through: FaultProxy) -> None:
    """End all faults. A connection that has one is reset, because its stream may be spoilt."""
    present = through.present()
    if present is not None and any(flow.fault is not None for flow in present.flows.values()):
        through.reset(count=False)


def _converse(rig: Rig, source: random.Random, end: float) -> None:
    """Send messages of all sizes from both sides until the time `end`. Then check that all have arrived."""
    stopped = threading.Event()
    faults = threading.Thread(target=_torment, args=(rig, random.Random(source.random()), end, stopped))  # noqa: S311
    faults.start()
    try:
        while time.monotonic() < end:
            rig.ask(int(source.triangular(0, _LARGEST, 0)))
            time.sleep(1 / _RATE)
            if source.random() < 0.05:
                rig.send()
            if not rig.until(lambda: len(rig.asked) - len(rig.got) < _OUTSTANDING, BOUND):
                raise Failure(f"{rig.name} takes nothing for {BOUND:.0f} s; it said last: {rig.last_words()}")
    finally:
        stopped.set()
        faults.join()
    rig.check()


def _converse_safely(rig: Rig, seed: int, end: float, result: Result) -> None:
    try:
        _converse(rig, random.Random(seed), end)  # noqa: S311 (no secret)
    except Exception as error:
        result.failures.append(f"{rig.name}: {error!r}")


def soak(minutes: float, seed: int, boards: int = BOARDS, leak: int = 0) -> Result:
    """Run a soak test. The application of the boards loses `leak` bytes of memory with each message, on purpose."""
    result = Result()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        image = make_image(folder)
        broker = Mosquitto(folder)
        broker.start()
        stack.callback(broker.stop)
        rigs = [Rig(f"soak{i}", image, folder, broker.port) for i in range(boards)]
        for rig in rigs:
            rig.leak = leak
            stack.enter_context(rig)
        begin = time.monotonic()
        threads = [
            threading.Thread(target=_converse_safely, args=(rig, seed * 1000 + i, begin + minutes * 60, result))
            for i, rig in enumerate(rigs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for rig in rigs:
            result.messages += rig.got.total() + rig.arrived.total()
            result.faults += rig.proxy.faults
            result.reconnects += rig.proxy.connections - 1
            result.restarts += rig.starts - 1
            result.gave_way += rig.gave_way
            result.lost += [f"{rig.name}: {what}" for what in rig.lost()]
            result.said[rig.name] = rig.console.lines
            result.heap[rig.name] = [(round(at - begin, 1), free) for at, free in rig.heap]
    return result


def print_curve(result: Result) -> None:
    """Print the free heap of each board over time."""
    names = list(result.heap)
    print("bytes free after a collection")
    print("seconds", *(f"{name:>9}" for name in names))
    longest = max(at for curve in result.heap.values() for at, _ in curve)
    for row in range(_ROWS):
        begin, end = longest * row / _ROWS, longest * (row + 1) / _ROWS
        cells = []
        for name in names:
            free = [value for at, value in result.heap[name] if begin <= at < end]
            cells.append(f"{int(median(free)):9}" if free else " " * 9)
        print(f"{end:7.0f}", *cells)


def write(result: Result, path: Path) -> None:
    """Write the figures to a file, as JSON."""
    first, last = result.worst
    figures = {
        "line": result.line(),
        "messages": result.messages,
        "faults": dict(result.faults),
        "reconnects": result.reconnects,
        "restarts": result.restarts,
        "lost": result.lost,
        "gave_way": result.gave_way,
        "heap_first": first,
        "heap_last": last,
        "heap": result.heap,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")


def main() -> None:
    """Run a soak from the command line."""
    parser = argparse.ArgumentParser(description="Boards, messages and faults for as long as one likes.")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()), help="to have the same faults again")
    parser.add_argument("--boards", type=int, default=BOARDS)
    parser.add_argument("--json", type=Path, default=Path("build", "soak.json"))
    options = parser.parse_args()
    print(f"{options.boards} boards for {options.minutes:g} minutes, seed {options.seed}", flush=True)
    result = soak(options.minutes, options.seed, options.boards)
    print_curve(result)
    for failure in (*result.failures, *result.lost):
        print(failure)
    print("faults:", ", ".join(f"{name} {count}" for name, count in sorted(result.faults.items())))
    print("put off by an outage, and gave way to later ones:", result.gave_way)
    write(result, options.json)
    if not result.passed:
        for name, lines in result.said.items():
            console = options.json.with_name(f"{name}.console")
            console.write_text("\n".join(lines) + "\n")
            print(f"what {name} said is in {console}")
    print(result.line())
    sys.exit(0 if result.passed else 1)


if __name__ == "__main__":
    main()
