"""Does what `e4 flash` needs of `python -m esptool` (5.x). The chip and its flash are files in a folder.

The variable FAKE_CHIP names the folder. Its file `chip` has the name of the chip, such as ESP32-S3, and `flash` is the
content of its flash. The chip says that it has as much flash as that file, or as the file `size` names, such as 8MB.
As the real esptool, this one refuses unknown commands and options, a `--chip` that is not the
chip in the folder, and an image that is for another chip or does not fit.

If the folder has a file `worn`, one byte that is written becomes wrong, as in worn flash. Writing then fails, unless
the folder also has a file `unnoticed`.
"""

import argparse
import os
import sys
from pathlib import Path

_IDS = {"ESP32": 0, "ESP32-S2": 2, "ESP32-C3": 5, "ESP32-S3": 9, "ESP32-C6": 13}
# The offset in flash of the bootloader. On the other chips it is 0.
_BOOTLOADER = {"ESP32": 0x1000, "ESP32-S2": 0x1000}
MAC = "24:0a:c4:12:34:56"


def fail(text: str) -> None:
    print(f"\nA fatal error occurred: {text}")
    sys.exit(2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--chip", default="auto")
    parser.add_argument("--port", required=True)
    parser.add_argument("--baud", type=int)
    parser.add_argument("--after", choices=["hard-reset", "soft-reset", "no-reset", "no-reset-stub", "watchdog-reset"])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("flash-id")
    for name in ("write-flash", "verify-flash"):
        command = commands.add_parser(name)
        command.add_argument("address", type=lambda text: int(text, 0))
        command.add_argument("file", type=Path)
        if name == "write-flash":
            command.add_argument("--erase-all", action="store_true")
    return parser.parse_args()


def write(wanted: argparse.Namespace, folder: Path, chip: str) -> None:
    flash, data = bytearray((folder / "flash").read_bytes()), wanted.file.read_bytes()
    # The real one looks at an image only where the chip looks for its bootloader.
    at_bootloader = wanted.address == _BOOTLOADER.get(chip, 0)
    if at_bootloader and (data[0] != 0xE9 or int.from_bytes(data[12:14], "little") != _IDS[chip]):
        fail(f"'{wanted.file}' is not an {chip} image. Use the force argument to flash anyway.")
    if wanted.address + len(data) > len(flash):
        fail(f"File '{wanted.file}' (length {len(data)}) will not fit in {len(flash)} bytes of flash.")
    if wanted.erase_all:
        flash[:] = b"\xff" * len(flash)
    flash[wanted.address : wanted.address + len(data)] = data
    if (folder / "worn").exists():
        flash[wanted.address + 100] ^= 1
    (folder / "flash").write_bytes(flash)
    print(f"Wrote {len(data)} bytes at {wanted.address:#010x}.")
    if (folder / "worn").exists() and not (folder / "unnoticed").exists():
        fail("MD5 of file does not match data in flash!")
    print("Hash of data verified.")


def verify(wanted: argparse.Namespace, folder: Path) -> None:
    data = wanted.file.read_bytes()
    if (folder / "flash").read_bytes()[wanted.address : wanted.address + len(data)] != data:
        print("Verification failed (digest mismatch).")
        fail("Verification failed.")
    print("Verification successful (digest matched).")


def main() -> None:
    wanted, folder = arguments(), Path(os.environ["FAKE_CHIP"])
    print(f"esptool v5.6.0\nSerial port {wanted.port}:\nConnecting....")
    if not (folder / "chip").exists():
        fail("Failed to connect to Espressif device: No serial data received.")
    chip = (folder / "chip").read_text()
    if wanted.chip not in ("auto", chip.lower().replace("-", "")):
        fail(f"This chip is {chip}, not {wanted.chip.upper()}. Wrong chip argument?")
    print(f"Connected to {chip} on {wanted.port}:\nChip type:          {chip}-D0WD-V3 (revision v3.1)")
    print(f"MAC:                {os.environ.get('FAKE_MAC', MAC)}")
    if wanted.command == "flash-id":
        size = folder / "size"
        kilobytes = (folder / "flash").stat().st_size // 1024
        text = f"{kilobytes // 1024}MB" if kilobytes >= 1024 else f"{kilobytes}KB"
        text = size.read_text() if size.exists() else text
        print(f"Detected flash size: {text}")
    elif wanted.command == "write-flash":
        write(wanted, folder, chip)
    elif wanted.command == "verify-flash":
        verify(wanted, folder)


main()
