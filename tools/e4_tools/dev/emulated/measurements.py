"""What the emulated board is held against without a network: vectors of the Go client, and the budgets for boards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from e4_tools.board.raw_repl import Board
from e4_tools.dev import conformance
from e4_tools.dev.bench import figures
from e4_tools.dev.bench.budgets import Budgets, Verdict
from e4_tools.dev.bench.figures import Figure
from e4_tools.dev.bench.places import Place, RealBoard
from e4_tools.dev.emulated.board_flash import FOLDER
from e4_tools.dev.emulated.report import Report
from e4_tools.printable import printable

_RUN_CASES = Path(conformance.__file__).with_name("on_board") / "run_cases.py"
_ROUNDS = 3
_BUDGETED = "ESP32"
_TOPICS = 10
_SECONDS = 2400.0  # for one measurement


class EmulatedPlace(RealBoard):
    """The emulated board as a place where figures are taken. The modules that measure are in its flash already."""

    name = "emulated board"
    budgets = "board"
    folder = FOLDER
    seconds = _SECONDS

    def __enter__(self) -> EmulatedPlace:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the modules where they are: the flash is thrown away."""


def check_vectors(report: Report, port: str, vectors: Path, chip: str) -> None:
    """Run the cases of a vector file on the board. Raises ToolError."""
    cases = conformance.load_vectors(vectors)
    click.echo(f"The library against {vectors.name}")
    with Board(port, restart=False) as board:
        started = board.ask(_RUN_CASES, "start", FOLDER, shape=str, doing="importing the library")
        click.echo(f"      {printable(started)} bytes free")

        def run_case(line: str) -> str:
            return str(board.ask(_RUN_CASES, "run_case", line, shape=str, doing="running a case"))

        passed, failed = conformance.run_all(f"{chip}, emulated", cases, run_case)
    report.count(passed, failed)
    if not passed + failed:
        report.note(f"{vectors.name} has cases that a board can run", False)


def check_figures(report: Report, port: str, chip: str) -> None:
    """Take the figures that the budgets for boards hold and that can be taken in the emulator. Raises ToolError.

    The budgets are those of an ESP32. Figures of other chips are printed only.
    """
    click.echo("Figures against their budgets")
    place = EmulatedPlace(port)
    budgets = Budgets(place.budgets)
    for figure in _measure(place):
        budget = budgets.of(figure)
        if budget is not None and chip == _BUDGETED:
            good = budget.verdict(figure.value) is not Verdict.WORSE
            report.note(figure.name, good, f"{figure.value:.5g}, budget {budget.limit:g}")
        else:
            click.echo(f"      {figure.name}: {figure.value:.5g}")
    if chip != _BUDGETED:
        report.leave_out(f"a verdict on the figures: the budgets are those of an {_BUDGETED}, and this is an {chip}")
    report.leave_out("times with 1,000 topics: to write so many takes hours in the emulator, whose flash is slow")


def _measure(place: Place) -> Iterator[Figure]:
    yield from figures.measure_node_heap(place)
    yield from figures.measure_times(place, _ROUNDS)
    yield from _measure_heap_of_library(place)


def _measure_heap_of_library(place: Place) -> Iterator[Figure]:
    """Yield the heap that a client holds with one topic, and what each further one adds."""
    heap = []
    for before, topics in ((0, 1), (1, _TOPICS)):
        place.run(f"import bench_topics as b\nb.run('grow', {before}, {topics})")
        heap.append(place.run("import bench_topics as b\nb.run('heap')")["heap"])
    yield Figure("heap_held", heap[0])
    yield Figure("heap_held_per_topic", (heap[1] - heap[0]) / (_TOPICS - 1))
