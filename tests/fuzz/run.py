"""Runs parsers on CPython and on the MicroPython VM, each part in a process of its own, and adds up what they print."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from e4_tools.paths import FROZEN, LIBRARY, ROOT, TOOLS
from e4_tools.virtual_board import find_micropython
from fuzz.report import Tally
from fuzz.table import TABLE

_HERE = Path(__file__).parent
_PIECE = 20000  # inputs that one process gets
_SILENCE_SECONDS = 180.0  # after which a process hangs
# The heap on which the VM runs a parser: the fuzzers themselves take a part of it.
_HEAP = "640k"
_MEMORY = Path("/dev/shm")  # a file system in memory, because the parsers write many small files


@dataclass(frozen=True)
class Part:
    """Some inputs of one parser, for one interpreter."""

    name: str
    on_vm: bool
    first: int
    count: int


def names(only: str, on_vm: bool) -> list[tuple[str, int]]:
    """Return the parsers whose name contains `only`, with their shares; for the VM, those that run there."""
    return [
        (name, share) for name, share, where in TABLE if only in name and (not on_vm or where.startswith("portable."))
    ]


def divide(inputs: int, only: str, on_vm: bool, first: int = 0) -> Iterator[Part]:
    """Divide a number of inputs among the parsers by their shares, and into parts."""
    chosen = names(only, on_vm)
    whole = sum(share for _, share in chosen)
    given, seen = 0, 0
    for name, share in chosen:
        seen += share
        left = inputs * seen // whole - given
        given += left
        start = first
        while left > 0:
            count = min(left, _PIECE)
            yield Part(name, on_vm, start, count)
            start, left = start + count, left - count


def run_parts(parts: list[Part], seed: int, processes: int) -> list[Tally]:
    """Run all parts, some at a time; return what has become of their inputs, by parser and interpreter."""
    tallies: dict[tuple[bool, str], Tally] = {}
    for part in parts:
        label = part.name + (" (MicroPython)" if part.on_vm else "")
        tallies.setdefault((part.on_vm, part.name), Tally(label))
    with ThreadPoolExecutor(processes) as pool:
        for part, lines in zip(parts, pool.map(lambda part: list(_run(part, seed)), parts), strict=True):
            tally = tallies[part.on_vm, part.name]
            ended = [tally.take(line) for line in lines]
            if True not in ended:
                tally.find(
                    f"a process has ended before the last of the inputs {part.first} to {part.first + part.count}"
                )
    return list(tallies.values())


def _run(part: Part, seed: int) -> Iterator[str]:
    """Run a part, and yield the lines that it prints, apart from its signs of life."""
    arguments = [str(seed), part.name, str(part.first), str(part.count)]
    # The folder of the tools holds a `cryptolib` for CPython, which must not hide the one of MicroPython.
    folders = (_HERE.parent, ROOT, LIBRARY, FROZEN) if part.on_vm else (_HERE.parent, ROOT, LIBRARY, TOOLS, FROZEN)
    path = os.pathsep.join(map(str, folders))
    if part.on_vm:
        command = [*find_micropython(), "-X", f"heapsize={_HEAP}", str(_HERE / "run_on_vm.py"), *arguments]
    else:
        command = [sys.executable, str(_HERE / "run_on_cpython.py"), *arguments]
    with tempfile.TemporaryDirectory(prefix="e4-fuzz-", dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "MICROPYPATH": path + ":.frozen", "PYTHONPATH": path, "HOME": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        )
        last = ""
        for line in _lines(process):
            if line.startswith('["at"'):
                last = line
            else:
                yield line
        if process.poll() is None:
            process.kill()
            yield f"it has been silent for {_SILENCE_SECONDS:.0f} s; the last that it said: {last}"
        process.wait()
        if process.returncode:
            yield f"its exit code is {process.returncode}; the last that it said: {last}"


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    """Yield the lines that a process prints, until it ends or is silent for too long."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line.rstrip("\n"))
        lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=_SILENCE_SECONDS)
        except queue.Empty:
            return
        if not line:
            process.wait()
            return
        yield line
