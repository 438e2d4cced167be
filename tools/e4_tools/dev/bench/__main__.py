"""The program of `make bench`. It takes the figures, prints them, and compares them with their budgets.

python -m e4_tools.dev.bench [--port PORT] [--exact]
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from e4_tools.dev.bench import echo, figures
from e4_tools.dev.bench.budgets import Budget, Budgets, Verdict
from e4_tools.dev.bench.drawing import draw
from e4_tools.dev.bench.figures import Figure
from e4_tools.dev.bench.places import Place, RealBoard, Vm
from e4_tools.errors import ToolError, with_notes
from e4_tools.paths import BUILD, ROOT
from e4_tools.virtual_board.errors import VirtualBoardError

_ROUNDS = 25
_MESSAGE_ROUNDS = 3
_REPEATS = 30
_JSON = BUILD / "bench.json"
_SOAK = BUILD / "soak.json"
_SVG = ROOT / "docs" / "bench.svg"  # The figures of the VM. Those of a board belong to its owner.
_BUILD_SVG = BUILD / "bench.svg"
_STYLES = {Verdict.GOOD: "", Verdict.NOISE: "", Verdict.WORSE: "bold red", Verdict.UNKNOWN: "dim"}

_LEGEND = """\
floor: one raw CBC and one raw ECB call over the same bytes. spread: how far the middle half of the repeated runs lies
apart. beyond_2n: bytes of heap above twice the message. bytes and heap are in bytes; all else are ratios or counts."""

Row = tuple[Figure, Budget | None, Verdict]


def _exact(place: Place) -> Iterator[Figure]:
    """Yield the figures that do not depend on how busy the machine is."""
    yield from figures.sizes()
    yield from figures.heap_per_call(place)
    yield from figures.measure_node_heap(place)
    yield from figures.measure_topics(place, 0)


def _all(place: Place) -> Iterator[Figure]:
    """Yield all figures that can be taken at this place."""
    yield from figures.measure_times(place, _ROUNDS)
    yield from figures.measure_node_heap(place)
    yield from figures.measure_topics(place, _REPEATS)
    if not isinstance(place, Vm):
        return
    yield from figures.imports(place)
    try:
        yield from echo.messages(_MESSAGE_ROUNDS)
    except ToolError as error:
        click.echo(f"Messages per second were NOT measured: {error}")
    yield from figures.sizes()


def _print_each(measured: Iterator[Figure]) -> Iterator[Figure]:
    """Yield the figures, and print each one at once, because on a board they take minutes."""
    click.echo("Measuring. The figures of 1,000 topics take some minutes.")
    for figure in measured:
        click.echo(f"  {figure.name}: {_number(figure.value)}")
        yield figure


def _judge(measured: Iterable[Figure], budgets: Budgets) -> Iterator[Row]:
    """Yield each figure with its budget and the verdict."""
    for figure in measured:
        budget = budgets.of(figure)
        yield figure, budget, Verdict.UNKNOWN if budget is None else budget.verdict(figure.value)


def _print(rows: list[Row], where: str) -> None:
    """Print the table of the figures and its legend."""
    table = Table("figure", "value", "spread", "goal", "budget", "", title=f"On the {where}")
    for figure, budget, verdict in rows:
        goal = _number(budget.goal) if budget and budget.goal is not None else ""
        if budget and not budget.reaches_goal(figure.value):
            goal += " missed"
        limit = f"{_number(budget.limit)} ± {_number(budget.noise)}" if budget else ""
        spread = _number(figure.spread) if figure.spread else ""
        table.add_row(figure.name, _number(figure.value), spread, goal, limit, verdict.value, style=_STYLES[verdict])
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    click.echo(_LEGEND)


def _number(value: float) -> str:
    """Return a number as text: whole numbers as they are, others with two decimals."""
    return str(int(value)) if value == int(value) else f"{value:.2f}"


def _record(rows: list[Row], where: str) -> None:
    """Write the figures to build/bench.json."""
    entries = {
        figure.name: {
            "value": figure.value,
            "spread": figure.spread,
            "budget": budget.limit if budget else None,
            "goal": budget.goal if budget else None,
            "verdict": verdict.value,
        }
        for figure, budget, verdict in rows
    }
    _JSON.parent.mkdir(exist_ok=True)
    _JSON.write_text(json.dumps({"place": where, "figures": entries}, indent=1) + "\n")


def _draw(rows: list[Row], where: str, path: Path) -> None:
    """Draw the ratios over the floor to the file `path`, if there are any."""
    bars = [(figure, budget) for figure, budget, _ in rows if "_over_floor/" in figure.name and budget is not None]
    if bars:
        path.parent.mkdir(exist_ok=True)
        click.echo(f"The picture: {path}")
        path.write_text(draw(bars, f"Time of AES-SIV and of a whole client call, on the {where}"))


def print_last_soak(path: Path = _SOAK) -> None:
    """Print the line with which the last `make soak` has ended."""
    line = json.loads(path.read_text()).get("line") if path.exists() else None
    click.echo(f"The last soak: {line}" if line else "No soak was run here yet: make soak MINUTES=10")


def _print_verdict(rows: list[Row]) -> bool:
    """Print the closing line. Return whether every budget is kept."""
    worse = [(figure, budget) for figure, budget, verdict in rows if verdict is Verdict.WORSE]
    unknown = sum(verdict is Verdict.UNKNOWN for _, _, verdict in rows)
    click.echo(f"{len(rows)} figures, {len(worse)} worse than their budget, {unknown} without one")
    for figure, budget in worse:
        if budget is not None and figure.spread > budget.noise:
            click.echo(f"WORSE: {figure.name}; but its spread is that of a busy machine: run it again on a quiet one")
        else:
            click.echo(
                f"WORSE: {figure.name}; make it better, or change tools/e4_tools/dev/bench/budgets.toml on purpose"
            )
    return bool(rows) and not worse


@click.command()
@click.option("--port", help="A board: a serial device, or socket://HOST:PORT. Without it, the VM.")
@click.option(
    "--exact", is_flag=True, help="Only what no other program on this machine can disturb: sizes, heap, flash."
)
def main(port: str | None, exact: bool) -> None:
    """Measure time, heap, flash and code, and fail if one is worse than its budget."""
    if port and exact:
        raise click.UsageError("--exact is for the VM")
    try:
        with ExitStack() as stack:
            if port:
                place: Place = stack.enter_context(RealBoard(port))
                measured = list(_print_each(_all(place)))
            else:
                place = stack.enter_context(Vm())
                measured = list(_exact(place) if exact else _all(place))
    except VirtualBoardError as error:
        click.echo(f"NOTHING was measured: {error}")
        sys.exit(1)
    except ToolError as error:
        raise click.ClickException(with_notes(error)) from None
    rows = list(_judge(measured, Budgets(place.budgets)))
    _print(rows, place.name)
    if not exact:
        _record(rows, place.name)
        print_last_soak()
    good = _print_verdict(rows)
    if not exact:  # The picture in the documents only shows figures that keep their budgets.
        _draw(rows, place.name, _SVG if good and isinstance(place, Vm) else _BUILD_SVG)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    # Exit through SystemExit, so that the folder of the measurement is removed from the board.
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):  # Windows does not have SIGHUP.
            signal.signal(getattr(signal, ending), lambda number, _: sys.exit(128 + number))
    main()
