"""Commands that inspect a board, put our files on it, reset it, and take its identity off.

The command `e4 board` itself, which runs a virtual board, is in `virtual_board/cli.py`.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from e4_tools.board.deploy import DeployOptions, Plan, carry_out, checkout_version, plan_for
from e4_tools.board.inspection import BoardInfo, NodeInfo, inspect_board, inspect_node
from e4_tools.board.ports import InspectedPort, Port, find_ports, inspect_ports
from e4_tools.board.raw_repl import Board
from e4_tools.board.wipe import fill_free_flash, wipe_board
from e4_tools.cli.shared.options import board_port
from e4_tools.cli.shared.output import Report, reports
from e4_tools.errors import NoMicroPython, NoSuchPort, PortInUse, ToolError
from e4_tools.paths import IS_INSTALLED

_OF_OTHERS = f"another version than this {'installation' if IS_INSTALLED else 'checkout'}'s"
# Nobody edits the `main.py` in an installed package, so it must not replace one that somebody has written.
_DEFAULT_MAIN = "a chat, if the board has no main.py" if IS_INSTALLED else "main.py of this checkout"
_UNFILLED = (
    "The blocks of flash that held the keys were erased. The file system may have put copies elsewhere in the years "
    "before, and passwords are in blocks that it has not used again. --fill uses all free blocks once; "
    "e4 flash --erase erases everything."
)
_FILLED = (
    "All free blocks were written with random data and given back. What cannot be checked from here: blocks that the "
    "file system keeps to itself, and what was ever copied elsewhere. e4 flash --erase erases the whole flash."
)


@click.command(epilog="\b\nExamples:\n  e4 ports\n  e4 ports socket://127.0.0.1:5555 --json")
@click.argument("devices", metavar="[PORT]...", nargs=-1)
@reports
def ports(report: Report, devices: tuple[str, ...]) -> None:
    """List the boards that are found: chip, MicroPython, and whether our files are on them.

    Looks at USB serial ports and at links named *.port, here and in build, to virtual boards; or at each PORT that is
    given. What runs on the boards is stopped and started anew; messages that wait in their queues are lost.
    """
    wanted = [Port(device, "") for device in devices] or find_ports()
    report.say(ports=[])
    for found in inspect_ports(wanted):
        report.add("ports", _port_facts(found), _port_line(found))
    if not wanted:
        report.say("No board is plugged in, or its USB driver is missing. e4 board starts a virtual one.")


def _port_facts(found: InspectedPort) -> dict[str, object]:
    facts = {"port": found.port.device, "what": found.port.what}
    if found.board is None:
        return {**facts, "problem": str(found.problem)}
    return {**facts, "chip": found.board.chip, **asdict(found.board)}


def _port_line(found: InspectedPort) -> str:
    board = found.board
    if board is None:
        return ": ".join(part for part in (found.port.device, found.port.what, _problem(found.problem)) if part)
    return f"{found.port.device}: {board.chip}, MicroPython {board.micropython}, {_ours(board)}, {board.mac}"


def _problem(error: ToolError | None) -> str:
    """Return in a few words why no board was found at a port.

    `e4 flash` is named only where no MicroPython answers; elsewhere it might erase the keys of a board in use.
    """
    if isinstance(error, NoSuchPort):
        return "there is no such port"
    if isinstance(error, PortInUse):
        return "in use by another program, such as an open e4 console; what is there cannot be asked"
    if isinstance(error, NoMicroPython):
        return "no MicroPython answers (e4 flash installs it, if no other program uses the port)"
    return str(error)


def _ours(board: BoardInfo) -> str:
    if not board.ours:
        return "nothing of ours"
    version = f"E4 {board.version or 'of unknown version'}"
    return version if board.version == checkout_version() else f"{version} ({_OF_OTHERS})"


@click.command(
    epilog="\b\nExamples:\n  e4 deploy\n  e4 deploy --main sensor.py\n  e4 deploy --port /dev/ttyUSB0 --dry-run"
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and do nothing.")
@click.option("--source", is_flag=True, help="Send .py files. They need 5 times the memory to load.")
@click.option("--lines", is_flag=True, help="Let tracebacks name the lines of our modules too. They take 8 % more.")
@click.option("--keep-main", is_flag=True, help="Leave the board's main.py as it is, if it has one.")
@click.option(
    "--main",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Your application: this file becomes the board's main.py. [default: {_DEFAULT_MAIN}]",
)
@reports
@board_port
def deploy(  # noqa: PLR0913 (one parameter for each option)
    report: Report, port: str, dry_run: bool, source: bool, lines: bool, keep_main: bool, main: Path | None
) -> None:
    """Bring library, application, boot.py and main.py on a board up to date, and reset it.

    Only what differs is sent, and checked on the board before it takes the place of what was there. If this is cut
    short, the board has the old version or the new one, and running it again finishes the work. Keys and configuration
    on the board stay.
    """
    if keep_main and main is not None:
        raise click.UsageError("--main and --keep-main exclude each other")
    keep_main = keep_main or (IS_INSTALLED and main is None)
    with Board(port) as board:
        plan = plan_for(board, DeployOptions(source, keep_main, main, lines))
        report.say(
            files=len(plan.files),
            write=plan.write,
            remove=plan.remove,
            leftovers=plan.leftovers,
            bytes=plan.size,
            version=checkout_version(),
        )
        if "main.py" not in plan.files:
            report.say("The board's main.py stays as it is. --main FILE sends another one.")
        if dry_run:
            _tell_plan(report, port, plan)
            return
        carry_out(board, plan, lambda path, size: report.say(f"  {path}, {size} bytes"))
        board.reset()
    done = f"{len(plan.write)} of {len(plan.files)} files were changed" if plan.has_changes else "all files were there"
    report.say(f"{port} has E4 {checkout_version()}: {done}. It has been reset.")


def _tell_plan(report: Report, port: str, plan: Plan) -> None:
    for path in plan.write:
        there = " (on the board already, under a temporary name)" if path in plan.staged else ""
        report.say(f"  write  {path}, {len(plan.files[path])} bytes{there}")
    for path in (*plan.remove, *plan.leftovers):
        report.say(f"  remove {path}")
    what = f"{plan.size} bytes would be sent" if plan.has_changes else "there is nothing to do"
    report.say(f"{port}: {what}. Nothing was changed.", dry_run=True)


@click.command(epilog="\b\nExamples:\n  e4 status\n  e4 status --port build/my.port --json")
@reports
@board_port
def status(report: Report, port: str) -> None:
    """Tell what a board is, what is on it, who it is, and what is wrong with it. No secret is read.

    What runs on the board is stopped and started anew; messages that wait in its queue are lost.
    """
    with Board(port) as board:
        what = inspect_board(board)
        member = inspect_node(board) if what.ours else NodeInfo()
    report.say(**{**asdict(what), "chip": what.chip, "node": asdict(member) if what.ours else None})
    report.say(f"board          {what.machine}, {what.mac}")
    report.say(f"MicroPython    {what.micropython}, {what.heap_free} bytes of memory free")
    if what.flash_size:
        report.say(f"flash          {what.flash_free} of {what.flash_size} bytes free")
    report.say(f"our files      {_ours(what)}" + (f", {member.backend} loops" if member.backend else ""))
    if what.ours:
        _tell_node(report, member)


def _tell_node(report: Report, member: NodeInfo) -> None:
    if member.name:
        report.say(f"name           {member.name}, ID {member.id}")
        report.say(f"listens on     {member.receiving_topic or 'nothing: it has no keys'}")
        report.say(f"broker         {member.broker}")
        report.say(f"topics         {_topics(member)}")
    for problem in member.problems:
        report.say(f"problem        {problem}")


def _topics(member: NodeInfo) -> str:
    """Return how many topics and how many topic filters a node has. A filter has no key of its own."""
    filters = sum("+" in topic or "#" in topic for topic in member.topics)
    topics = len(member.topics) - filters
    parts = [f"{topics}, with a key for {len(member.topics_with_key)}"] if topics or not filters else []
    if filters:
        parts.append(
            f"{filters} wildcard {'filters' if filters > 1 else 'filter'}, whose topics have keys of their own"
        )
    return "; ".join(parts)


@click.command(epilog="\b\nExamples:\n  e4 reset\n  e4 reset --port /dev/ttyUSB0")
@reports
@board_port
def reset(report: Report, port: str) -> None:
    """Reset a board, as its button does: boot.py and main.py run, and what was stopped is started again.

    Keys and files stay. A deployment that was cut short in its last step is finished.
    """
    with Board(port) as board:
        board.reset()
    report.say(f"{port} has been reset. e4 console --reset resets it and shows its start.", port=port)


@click.command(epilog="\b\nExamples:\n  e4 wipe\n  e4 wipe --fill --yes --port /dev/ttyUSB0")
@click.option("--yes", is_flag=True, help="Do not ask whether you mean it.")
@click.option("--fill", is_flag=True, help="Then fill the free flash once, so that old blocks are used again.")
@reports
@board_port
def wipe(report: Report, port: str, yes: bool, fill: bool) -> None:
    """Remove keys and configuration from a board, say what its flash may still hold, and reset it.

    Our files stay. C2 still trusts the name: tell it that this board is gone.
    """
    if not yes and not click.confirm(f"Remove all keys from the board at {port}?", err=True):
        raise ToolError("nothing was done")
    with Board(port) as board:
        removed = wipe_board(board)
        report.say(f"Removed: {', '.join(removed) or 'nothing, there were no keys'}.", removed=removed)
        if fill:
            report.say("Filling the free flash; that takes a minute or two on a board ...")
            fill_free_flash(board, lambda _: click.echo(".", nl=False, err=True))
            click.echo(err=True)
        board.reset()
    left = _FILLED if fill else _UNFILLED
    report.say(left, filled=fill, left=left)


board_commands = [ports, deploy, status, reset, wipe]
