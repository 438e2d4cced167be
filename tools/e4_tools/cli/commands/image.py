"""The command that makes an image for the flash of boards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

import e4
from e4_tools.board.compile import Target, check_compilable, compile_module
from e4_tools.board.deploy import checkout_version, files_for
from e4_tools.cli.shared.key_choice import KeyChoice, key_options
from e4_tools.cli.shared.options import ledger_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.settings import Settings, optional_settings_options
from e4_tools.errors import ToolError
from e4_tools.image.micropython_image import FirmwareImage, find_image, read_image
from e4_tools.provisioning.factory import TableRow, check_topics, read_table, rows_left
from e4_tools.provisioning.image_factory import ImageFactory, ImageMaker, secret_name
from e4_tools.provisioning.ledger import Ledger

_PATH = click.Path(path_type=Path)
_MEGABYTE = 1024 * 1024
_SIZES = ("2MB", "4MB", "8MB", "16MB", "32MB", "64MB", "128MB")
_FOLDER = "images"
_MAIN = "main.py"
_OLDEST = (1, 27)  # the first version of MicroPython that our files are made for
_EXAMPLES = """\b
Examples:
  e4 image                                       MicroPython here or in build, and our files
  e4 image --provision alice --in-store --broker 192.0.2.10 --wifi MyNetwork --topic sensors/lab
  e4 image ESP32_GENERIC_C3-20251209-v1.27.0.bin --flash-size 8MB --add lib --out c3.bin
  e4 image --factory fleet.csv --in-store --broker 192.0.2.10 --wifi MyNetwork --topic sensors/all --trim
"""


@dataclass(frozen=True)
class _ImageOptions:
    """The options that say neither what goes into the configuration nor where the ID key comes from."""

    name: str | None
    factory: Path | None
    out: Path | None
    flash_size: str | None
    added: tuple[Path, ...]
    trim: bool
    lines: bool
    force: bool
    replace: bool
    ledger: Path


@click.command(epilog=_EXAMPLES)
@click.argument("firmware", type=_PATH, required=False)
@click.option("--provision", "name", metavar="NAME", help="Put the identity of this client into the image.")
@click.option("--factory", type=_PATH, metavar="CSV", help="Make an image with an identity for each name in a table.")
@click.option(
    "--out", type=_PATH, help="The file, or with --factory the folder. [default: e4-CHIP.bin, NAME.secret.bin, images]"
)
@click.option("--flash-size", type=click.Choice(_SIZES), help="How much flash the board has. [default: as in FIRMWARE]")
@click.option(
    "--add",
    "added",
    type=_PATH,
    multiple=True,
    help="A file of yours, or a folder with all in it; a main.py takes the place of ours. Repeatable.",
)
@click.option("--trim", is_flag=True, help="Leave out the erased flash at the end, about half of the file.")
@click.option("--lines", is_flag=True, help="Let tracebacks name the lines of our modules too. They take 8 % more.")
@click.option("--force", is_flag=True, help="Overwrite a file that is another board's image, or none.")
@click.option("--replace", is_flag=True, help="Let a name that was begun with a board have an image, with a new key.")
@optional_settings_options
@key_options
@ledger_option
@reports
def image(report: Report, firmware: Path | None, settings: Settings | None, keys: KeyChoice, **options: Any) -> None:
    """Make a file for the whole flash of a chip: MicroPython and our files, and perhaps an identity.

    FIRMWARE is an image of MicroPython as it is downloaded. Without it the only file ESP32_GENERIC-*.bin here or in
    build is taken. e4 flash writes the result to a board and verifies it.

    With --provision or --factory, name, ID key, WiFi, broker and topics are in the image too, as e4 provision would
    write them. The options, and the questions for secrets, are the same. Such a file is as secret as the key: only you
    can read it, and its name ends in .secret.bin. Each one is for one board. The ledger notes the name as begun. e4
    flash, or e4 prove, has the board prove its key, and the ledger then notes it as issued.

    Running this again makes the same images again, with the same keys; names that were issued are left out.
    """
    chosen = _ImageOptions(**options)
    _check_usage(chosen, settings, keys)
    read = read_image(firmware if firmware is not None else find_image())
    maker = _maker(read, chosen)
    report.say(
        f"{read.path}: MicroPython {read.micropython} for {read.chip}, {maker.flash_size // _MEGABYTE} MB of flash",
        firmware=str(read.path),
        micropython=read.micropython,
        chip=read.chip,
        flash_size=maker.flash_size,
        version=maker.version,
    )
    if settings is None:
        _make_plain(report, maker, chosen)
    elif chosen.factory is not None:
        _make_all(report, maker, chosen, chosen.factory, settings, keys)
    else:
        _make_one(report, maker, chosen, settings, keys)


def _check_usage(chosen: _ImageOptions, settings: Settings | None, keys: KeyChoice) -> None:
    if chosen.name is not None and chosen.factory is not None:
        raise click.UsageError("--provision and --factory exclude each other")
    has_identity = chosen.name is not None or chosen.factory is not None
    if has_identity and settings is None:
        raise click.UsageError("--wifi and --broker are missing")
    if not has_identity and settings is not None:
        raise click.UsageError("--wifi goes with --provision or --factory")
    if chosen.factory is not None and not keys.keeps_many:
        raise click.UsageError("--factory needs --in-store or --keys")
    if chosen.name is not None and settings is not None and not settings.topics:
        raise click.UsageError("--topic is missing")


def _maker(firmware: FirmwareImage, chosen: _ImageOptions) -> ImageMaker:
    """Return what makes the images. Raises ToolError if MicroPython is too old, or our files do not compile."""
    version = firmware.micropython
    if version is None:
        raise ToolError(f"{firmware.path} is firmware for an {firmware.chip}, but no MicroPython; nothing was done")
    if _numbers(version) < _OLDEST:
        oldest = ".".join(map(str, _OLDEST))
        raise ToolError(f"{firmware.path} is MicroPython {version}; {oldest} or later is needed, and nothing was done")
    target = Target.for_esp32(firmware.architecture, chosen.lines)
    files = files_for(target)
    check_compilable(files, target)
    files.update(_read_added(chosen.added, files, target))
    size = int(chosen.flash_size.removesuffix("MB")) * _MEGABYTE if chosen.flash_size else firmware.flash_size
    return ImageMaker(firmware, files, checkout_version(), size, chosen.trim, chosen.force)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def _read_added(paths: Iterable[Path], ours: dict[str, bytes], target: Target) -> dict[str, bytes]:
    """Return the user's own files by their paths on the board. Raises ToolError."""
    added: dict[str, bytes] = {}
    for path in paths:
        files = sorted(found for found in path.rglob("*") if found.is_file()) if path.is_dir() else [path]
        for file in files:
            name = file.relative_to(path.parent).as_posix()
            if "__pycache__" in file.parts:
                continue
            if name in added or name.startswith("e4.") or (name in ours and name != _MAIN):
                raise ToolError(f"{file} cannot be added: the board has a file {name} already; nothing was done")
            try:
                added[name] = file.read_bytes()
            except OSError as error:
                raise ToolError(f"{file} cannot be read: {error.strerror}; nothing was done") from None
            if name == _MAIN:
                compile_module(file, target)  # An error in it would only show when the board starts.
    return added


def _make_plain(report: Report, maker: ImageMaker, chosen: _ImageOptions) -> None:
    path = chosen.out or Path(f"e4-{maker.firmware.chip.lower()}.bin")
    made = maker.write(path)
    report.say(
        f"{path} is the flash of a board with E4 {maker.version}, {len(made)} bytes. Next: e4 flash {path}",
        image=str(path),
        bytes=len(made),
    )


def _make_one(report: Report, maker: ImageMaker, chosen: _ImageOptions, settings: Settings, keys: KeyChoice) -> None:
    name = chosen.name or ""
    e4.id_of(name)  # raises for a name that no client can have
    path = chosen.out or Path(secret_name(name))
    row = TableRow(name, ())
    maker.refuse_others(path, name)  # before secrets are asked for
    with Ledger(chosen.ledger) as ledger:
        ledger.refuse_image(name, chosen.replace)
        config = settings.ask(report)
        factory = ImageFactory(maker, config, keys.source(report, name, may_be_random=False), chosen.replace)
        factory.check([row])
        factory.issue(row, path, ledger)
    report.say(
        f"{path} is the flash of {name}, for one board, and as secret as its key. Next: e4 flash {path}",
        image=str(path),
        name=name,
    )


def _make_all(  # noqa: PLR0913 (what the command was given)
    report: Report, maker: ImageMaker, chosen: _ImageOptions, table: Path, settings: Settings, keys: KeyChoice
) -> None:
    rows = read_table(table)
    folder = chosen.out or Path(_FOLDER)
    report.say(images=[], unchanged=[])
    with Ledger(chosen.ledger) as ledger:
        wanted = rows_left(rows, ledger)
        config = settings.ask(report)
        check_topics(wanted, config)
        factory = ImageFactory(maker, config, keys.source(report, ""), chosen.replace)
        factory.check(wanted)
        _make_folder(folder)
        for row in wanted:
            path = folder / secret_name(row.name)
            if factory.issue(row, path, ledger):
                report.add("images", {"name": row.name, "image": str(path)}, f"{path} is the flash of {row.name}.")
            else:
                report.add("unchanged", row.name, f"{path} is as it was.")
    issued = len(rows) - len(wanted)
    left_out = f" {issued} names of the list were issued already." if issued else ""
    report.say(f"Each image is for one board, and as secret as its key.{left_out} Next, for each: e4 flash IMAGE")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ToolError(f"the folder for images, {folder}, cannot be made: {error.strerror}") from None


image_commands = [image]
