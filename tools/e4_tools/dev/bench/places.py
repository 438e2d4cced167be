"""The places where figures are taken: the MicroPython VM, and a board at a serial port. Both run the same code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

from e4_tools.board.answers import accept
from e4_tools.board.board_code import CHANGE_FILES, DESCRIBE_LOADER, code_to_ask, read_program, read_result
from e4_tools.board.compile import LOADER_FACTS, Target, ask_target, module_file, package_files
from e4_tools.board.inspection import inspect_board
from e4_tools.board.raw_repl import Board
from e4_tools.errors import ToolError, clean_up_after
from e4_tools.paths import FIRMWARE, FROZEN, LIBRARY
from e4_tools.virtual_board.interpreter import BOARD_HEAP, find_micropython

_ON_BOARD = Path(__file__).with_name("on_board")
_FLASH = Path(__file__).parents[2] / "virtual_board" / "vm" / "flash.py"
_FOLDER = "/e4-bench"
_STATE = "/e4-bench-state"
_SECONDS = 900.0
_NEEDED = 900_000  # bytes of flash, most of it for 1,000 topics

_LEFT = "The folders of the measurement may still be on the board"
_FOLDERS = (_FOLDER, _STATE)
_INNER_FOLDERS = (f"{_FOLDER}/e4", f"{_FOLDER}/firmware", _STATE)


def _modules(target: Target) -> Iterator[tuple[str, bytes]]:
    """Yield the compiled modules of library and application, and those that measure them."""
    for name, data in package_files(LIBRARY / "e4", target):
        yield f"e4/{name}", data
    for name, data in package_files(FIRMWARE, target):
        yield f"firmware/{name}", data
    for source in sorted(_ON_BOARD.glob("bench_*.py")):
        yield module_file(source, target)


class Place(AbstractContextManager["Place"]):
    """Runs one snippet after another, each in a fresh interpreter, and returns what it prints as JSON.

    `name` is shown to people. `budgets` says which budgets are valid there, "vm" or "board".
    """

    name: str
    budgets: str

    @abstractmethod
    def run(self, code: str) -> Any:
        """Run a snippet whose last line of output is JSON. Raises ToolError."""

    def prepare(self, topics: int) -> str:
        """Return the code that brings up the file system of a state with so many topics."""
        return ""

    def start_from(self, topics: int, before: int) -> None:
        """Let the state with so many topics begin as a copy of the state with `before` topics."""


class Vm(Place):
    """The VM. It has modules that are compiled for it, and a littlefs in a file for each state."""

    name = "VM"
    budgets = "vm"

    def __init__(self) -> None:
        self._command = find_micropython()

    def __enter__(self) -> Vm:
        self._temporary = TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        question = read_program(DESCRIBE_LOADER) + code_to_ask("describe_loader")
        target = Target.from_facts(*accept(read_result(self._output(question, BOARD_HEAP)), LOADER_FACTS))
        modules = {**dict(_modules(target)), **dict([module_file(_FLASH, target)])}
        for path, data in modules.items():
            (self.folder / path).parent.mkdir(exist_ok=True)
            (self.folder / path).write_bytes(data)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._temporary.cleanup()

    def run(self, code: str, heap: str = BOARD_HEAP) -> Any:
        return json.loads(self._output(code, heap).splitlines()[-1])

    def _output(self, code: str, heap: str) -> str:
        """Run a snippet and return its output. Raises ToolError if the snippet fails."""
        done = self.attempt(code, heap)
        if done.returncode:
            raise ToolError(f"the VM failed: {(done.stdout + done.stderr).strip()[-500:]}")
        return done.stdout

    def attempt(self, code: str, heap: str = BOARD_HEAP) -> subprocess.CompletedProcess[str]:
        """Run a snippet that may fail, and return the finished process."""
        path = f"{self.folder}:.frozen:{FROZEN}"
        return subprocess.run(
            [*self._command, "-X", f"heapsize={heap}", "-c", code],
            cwd=self.folder,  # In the current folder it might find the sources instead of the compiled modules.
            env={**os.environ, "MICROPYPATH": path},
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def prepare(self, topics: int) -> str:
        """Return the code that mounts the littlefs of a state with so many topics, and keeps its device in `device`."""
        return f"import bench_flash; device = bench_flash.mount({str(self._image(topics))!r})\n"

    def start_from(self, topics: int, before: int) -> None:
        """Let the state with so many topics begin as a copy of the one with `before` topics."""
        if before:
            shutil.copyfile(self._image(before), self._image(topics))

    def _image(self, topics: int) -> Path:
        """Return the path of the flash image of the state with so many topics."""
        return self.folder / f"{topics}.flash"


class RealBoard(Place):
    """A board. All files go to folders of their own, which are removed at the end.

    A virtual board is the VM at the other end of a serial line, so the VM's budgets are valid there.
    """

    folder = _FOLDER  # on the board: the modules that measure
    seconds = _SECONDS  # that one snippet may take

    def __init__(self, port: str) -> None:
        self._port = port

    def __enter__(self) -> RealBoard:
        with Board(self._port) as board:
            _remove_folders(board, "removing what an interrupted measurement has left")
            what = inspect_board(board)
            self.name, self.budgets = ("virtual board", "vm") if what.virtual else ("board", "board")
            if what.flash_free is not None and what.flash_free < _NEEDED:
                free = f"the board has {what.flash_free} bytes of flash free"
                raise ToolError(f"{free}, and {_NEEDED} are needed. Nothing was changed.")
            target = ask_target(board)
            try:
                board.call(CHANGE_FILES, "make_folders", _INNER_FOLDERS, doing="making folders for the measurement")
                for path, data in _modules(target):
                    board.write_file(f"{_FOLDER}/{path}", data)
            except BaseException as error:
                clean_up_after(error, lambda: _remove_folders(board), _LEFT)
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._remove()
        else:
            clean_up_after(error, self._remove, _LEFT)

    def _remove(self) -> None:
        with Board(self._port) as board:
            _remove_folders(board)

    def run(self, code: str) -> Any:
        with Board(self._port, restart=False) as board:  # The board is reset at entry.
            said = board.run(f"import sys\nsys.path.insert(0, '{self.folder}')\n{code}", "measuring", self.seconds)
        try:
            return json.loads(said.splitlines()[-1])
        except (IndexError, ValueError, RecursionError):
            raise ToolError(f"the board's answer is garbled; is another program using {self._port}?") from None


def _remove_folders(board: Board, doing: str = "removing the folders of the measurement") -> None:
    """Remove the folders of a measurement from the board. `doing` names this step in errors."""
    board.call(CHANGE_FILES, "remove_folders", _FOLDERS, doing=doing)
