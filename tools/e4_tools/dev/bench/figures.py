"""Takes the figures. It runs the code that measures, and computes the figures from what that code prints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from e4_tools.board.compile import Target, board_files
from e4_tools.dev.bench.places import Place, Vm

_FEW = 10
_MANY = 1000
TOPICS = (1, _FEW, 100, _MANY)
_SIV_SIZES = (256, 1024, 4096)
_CLIENT_SIZES = (64, 256, 1024)
_ESP32 = Target.for_esp32("xtensawin")
_TURNS = 9
_TURNS_ON_BOARD = 3  # A board takes minutes for each turn.
_IMPORT_STEP = 512
_IMPORT_LIMIT = 64 * 1024


@dataclass(frozen=True)
class Figure:
    """One figure. `value` is the median of several measurements, and `spread` the width of their middle half."""

    name: str
    value: float
    spread: float = 0.0

    @classmethod
    def of(cls, name: str, measured: list[float]) -> Figure:
        """Return the figure of several measurements."""
        ordered = sorted(measured)
        quarter = len(ordered) // 4
        return cls(name, median(ordered), ordered[-1 - quarter] - ordered[quarter])


def sizes() -> Iterator[Figure]:
    """Yield the size in bytes of each file that `e4 deploy` sends to an ESP32, and of all `.mpy` files together."""
    total = 0
    for path, data in board_files(_ESP32):
        yield Figure(f"bytes_deployed/{path}", len(data))
        if path.endswith(".mpy"):
            total += len(data)
    yield Figure("bytes_deployed/total_mpy", total)


def measure_times(place: Place, rounds: int) -> Iterator[Figure]:
    """Yield the ratios of cipher, client and hash over their floors, and the heap that a call takes."""
    snippets = (
        f"run('siv', {_SIV_SIZES}, {rounds})",
        f"run('client', {_CLIENT_SIZES}, {rounds})",
        f"run('sha3', {rounds})",
    )
    for snippet in snippets:
        measured = place.run(f"import bench_speed\nbench_speed.{snippet}")
        yield from (Figure.of(name, measured[name]) for name in sorted(measured, key=_by_name_and_size))


def _by_name_and_size(name: str) -> tuple[str, int]:
    """Return a key by which figures are sorted: first by name, then by the number after the slash."""
    head, _, size = name.partition("/")
    return head, int(size or 0)


def heap_per_call(place: Place) -> Iterator[Figure]:
    """Yield the heap that a call takes. It does not depend on how busy the machine is."""
    return (figure for figure in measure_times(place, 1) if figure.name.startswith("heap_"))


def measure_node_heap(place: Place) -> Iterator[Figure]:
    """Yield the heap that the code of a whole node holds."""
    yield Figure("heap_held_by_node", place.run("import bench_topics\nbench_topics.run('node_heap')")["heap"])


def measure_topics(place: Place, repeats: int) -> Iterator[Figure]:
    """Yield what start, look-up, command, heap and flash cost while the client holds more and more topics.

    Each time is measured `repeats` times. With 0, no times are measured.
    """
    heap = {}
    flash: dict[str, dict[int, float]] = {}
    turns: dict[int, list[dict[str, float]]] = {}
    held = 0
    for wanted in TOPICS:
        place.start_from(wanted, held)
        _on(place, wanted, f"run('grow', {held}, {wanted})")
        held = wanted
        heap[held] = _on(place, held, "run('heap')")["heap"]
        if isinstance(place, Vm):
            for name, value in _on(place, held, f"run('flash_cost', {held}, 60, device.counters)").items():
                flash.setdefault(name, {})[held] = value
        elif held in (_FEW, _MANY):  # A board has one state at a time, so its times are measured while it has this one.
            turns[held] = [_on(place, held, f"run('times', {held}, {repeats})") for _ in range(_TURNS_ON_BOARD)]
    yield Figure("heap_held", heap[TOPICS[0]])
    yield Figure("heap_held_per_topic", (heap[TOPICS[-1]] - heap[TOPICS[0]]) / (TOPICS[-1] - TOPICS[0]))
    for name in ("bytes", "erases", "tidied_bytes", "tidied_erases"):
        for number, value in flash.get(name, {}).items():
            yield Figure(f"flash_{name}_per_command/{number}", value)
    if turns:
        yield from _compare([{_FEW: few, _MANY: many} for few, many in zip(turns[_FEW], turns[_MANY], strict=True)])
    elif repeats:
        states = (_FEW, _MANY)
        yield from _compare(
            [{held: _on(place, held, f"run('times', {held}, {repeats})") for held in states} for _ in range(_TURNS)]
        )


def _on(place: Place, topics: int, snippet: str) -> dict[str, float]:
    """Run a snippet of `bench_topics` on the state with so many topics, and return what it has measured."""
    found: dict[str, float] = place.run(f"{place.prepare(topics)}import bench_topics as b\nb.{snippet}")
    return found


def _compare(turns: list[dict[int, dict[str, float]]]) -> Iterator[Figure]:
    """Yield how much longer start, look-up and command take with many topics than with few."""
    for name in turns[0][_FEW]:
        ratios = [times[_MANY][name] / times[_FEW][name] for times in turns]
        yield Figure.of(f"{name}_{_MANY}_over_{_FEW}_topics", ratios)


def imports(vm: Vm) -> Iterator[Figure]:
    """Yield the free heap that the import of each module needs if the modules that it imports are loaded already."""
    for path in sorted(vm.folder.glob("e4/*.mpy")):
        name = "e4" if path.stem == "__init__" else f"e4.{path.stem}"
        yield Figure(f"heap_to_import/{name}", _find_heap_to_import(vm, name))


def _find_heap_to_import(vm: Vm, name: str) -> int:
    """Return the least free heap, in steps of half a KiB, with which a module can be imported."""
    low, high = 0, _IMPORT_LIMIT // _IMPORT_STEP
    while high - low > 1:
        middle = (low + high) // 2
        if vm.attempt(f"import bench_import\nbench_import.run({name!r}, {middle * _IMPORT_STEP})").returncode == 0:
            high = middle
        else:
            low = middle
    return high * _IMPORT_STEP
