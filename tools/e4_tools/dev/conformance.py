"""Checks `lib/e4` against a file of test vectors, on CPython, on the MicroPython VM and on a board.

python -m e4_tools.dev.conformance VECTORS.json [--port PORT]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from e4_tools.board.board_code import CHANGE_FILES
from e4_tools.board.compile import Target, ask_target, module_file, package_files
from e4_tools.board.raw_repl import Board
from e4_tools.dev import conformance_cases
from e4_tools.errors import ToolError, cleaning_up, with_notes
from e4_tools.keys.passwords import derive_keys
from e4_tools.paths import LIBRARY
from e4_tools.printable import printable
from e4_tools.virtual_board.errors import VirtualBoardError
from e4_tools.virtual_board.interpreter import BOARD_HEAP, find_micropython

# Sections that run on CPython only, because Argon2 needs 64 MiB of memory.
_HOST_SECTIONS = ("passwords",)
# Sections of the public-key mode, which this version does not have.
_OTHER_MODE = ("public_key_mode",)
_FOLDER = "/e4-conformance"
_CASES = Path(conformance_cases.__file__)
_RUN_CASES = Path(__file__).with_name("on_board") / "run_cases.py"

Case = tuple[str, dict[str, Any]]
Runner = Callable[[str], str]


def load_vectors(path: Path) -> list[Case]:
    """Return the cases of a vector file. Raises ToolError for a file that is not a vector file."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ToolError(f"{path} cannot be read as JSON: {error}") from None
    sections = document.get("vectors") if isinstance(document, dict) else None
    if not isinstance(sections, dict) or not all(isinstance(cases, list) for cases in sections.values()):
        raise ToolError(f'{path} is no vector file: it has no "vectors" with a list for each section')
    known = (*conformance_cases.SECTIONS, *_HOST_SECTIONS, *_OTHER_MODE)
    unknown = [section for section in sections if section not in known]
    if unknown:
        raise ToolError(f"{path} has sections that this version does not know: {', '.join(unknown)}")
    found = [(section, case) for section, cases in sections.items() for case in cases]
    for section, case in found:
        wanted = ("password", "symmetric_key") if section in _HOST_SECTIONS else ()
        if not isinstance(case, dict) or not all(isinstance(case.get(name), str) for name in wanted):
            raise ToolError(f"{path} has an entry in its section {section} that is not a case of that section")
    return found


def run_all(where: str, cases: list[Case], run: Runner) -> tuple[int, int]:
    """Run the cases, and print those that fail and a closing line. Return how many have passed, and how many failed."""
    passed = failed = 0
    left_out: dict[str, int] = {}
    for number, (section, case) in enumerate(cases):
        if section not in conformance_cases.SECTIONS and not (where == "CPython" and section in _HOST_SECTIONS):
            left_out[section] = left_out.get(section, 0) + 1
            continue
        verdict = run(json.dumps([section, case]))
        if verdict == "ok":
            passed += 1
        else:
            failed += 1
            print(f"FAILED {section}, case {number}{_note(case)}: {printable(verdict)}")
    if left_out:
        print(f"{where}: not run here:", ", ".join(f"{n} of {section}" for section, n in left_out.items()))
    print(f"{where}: {passed} passed, {failed} failed", flush=True)
    return passed, failed


def _is_good(passed: int, failed: int) -> bool:
    """Tell whether at least one case ran and none has failed."""
    return passed > 0 and failed == 0


def _note(case: dict[str, Any]) -> str:
    """Return the note of a case in brackets, or no text if it has none."""
    return f" ({case['note']})" if "note" in case else ""


def _on_cpython(cases: list[Case]) -> bool:
    """Run the cases in this process, those of passwords included. Return whether they have passed."""
    passwords = [case["password"] for section, case in cases if section == "passwords"]
    if passwords:
        print(f"Deriving {len(passwords)} keys from passwords, about 10 seconds each ...", flush=True)
    derived = dict(zip(passwords, derive_keys(passwords), strict=True))

    def run(line: str) -> str:
        section, case = json.loads(line)
        if section != "passwords":
            return str(conformance_cases.run(line))
        return "ok" if derived[case["password"]].hex() == case["symmetric_key"] else "another key"

    return _is_good(*run_all("CPython", cases, run))


def _on_vm(cases: list[Case]) -> bool:
    """Run the cases on the MicroPython VM. Return whether they have passed."""
    command = [*find_micropython(), "-X", f"heapsize={BOARD_HEAP}", "-c", "import conformance_cases as c; c.serve()"]
    environment = {**os.environ, "MICROPYPATH": f"{LIBRARY}:{_CASES.parent}:.frozen"}
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as vm:
        if vm.stdin is None or vm.stdout is None:
            raise ToolError("the VM has no standard input")
        stdin, stdout = vm.stdin, vm.stdout

        def run(line: str) -> str:
            try:
                stdin.write(line + "\n")
                stdin.flush()
            except OSError:
                return "the VM ended"
            return stdout.readline().rstrip("\n") or "the VM ended"

        return _is_good(*run_all("VM", cases, run))


def _board_files(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield path and content of each compiled module that the run on a board needs."""
    for name, data in package_files(LIBRARY / "e4", target):
        yield f"{_FOLDER}/e4/{name}", data
    name, data = module_file(_CASES, target)
    yield f"{_FOLDER}/{name}", data


def _on_board(port: str, cases: list[Case]) -> bool:
    """Copy library and cases to a folder of their own on the board, run the cases there, and remove the folder."""
    with Board(port, restart=False) as board:
        target = ask_target(board)
        _remove_folder(board, "removing what an earlier run left")
        with cleaning_up(
            lambda: _remove_folder(board, "removing the test folder"), f"The folder {_FOLDER} may still be on the board"
        ):
            board.call(CHANGE_FILES, "make_folders", [f"{_FOLDER}/e4"], doing="making the test folder")
            for path, data in _board_files(target):
                board.write_file(path, data)
            started = board.ask(_RUN_CASES, "start", _FOLDER, shape=str, doing="importing the library")
            print("board:", printable(started), "bytes free", flush=True)

            def run(line: str) -> str:
                return str(board.ask(_RUN_CASES, "run_case", line, shape=str, doing="running a case"))

            return _is_good(*run_all("board", cases, run))


def _remove_folder(board: Board, doing: str) -> None:
    board.call(CHANGE_FILES, "remove_folders", [_FOLDER], doing=doing)


@click.command()
@click.argument("vectors", type=click.Path(path_type=Path))
@click.option("--port", help="A board: a serial device, or socket://HOST:PORT.")
def main(vectors: Path, port: str | None) -> None:
    """Run a vector file through the library under CPython, on the MicroPython VM and, with --port, on a board."""
    try:
        cases = load_vectors(vectors)
        good = _on_cpython(cases)
        try:
            good = _on_vm(cases) and good
        except VirtualBoardError as error:
            print("VM: not run:", error)
        if port:
            good = _on_board(port, cases) and good
    except ToolError as error:
        raise click.ClickException(with_notes(error)) from None
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
