"""Everything that goes to a board compiles for every kind of ESP32."""

import os
import subprocess
from pathlib import Path

import pytest

from e4_tools.board.board_code import DESCRIBE_LOADER, code_to_ask, read_program, read_result
from e4_tools.board.compile import Target, board_files, compile_module
from e4_tools.errors import ToolError
from e4_tools.virtual_board import VirtualBoardError, find_micropython


@pytest.mark.parametrize("architecture", ["xtensawin", "rv32imc"])
def test_for_an_esp32(architecture: str) -> None:
    files = dict(board_files(Target(architecture, 31, True)))
    assert {"lib/e4/client.mpy", "lib/e4/_loops_viper.mpy", "firmware/node.mpy", "boot.py", "main.py"} <= set(files)
    assert not [path for path in files if "/" in path and not path.endswith(".mpy")]
    useless = ("_loops_plain", "_const", "_posix", "manifest")
    assert not [path for path in files if any(word in path for word in useless)]


def test_for_a_board_without_native_code_there_is_no_machine_code() -> None:
    files = dict(board_files(Target("", 31, True)))
    assert "lib/e4/_loops_plain.mpy" in files
    assert not [path for path in files if "_loops_viper" in path]


def _run_on_vm(code: str, folder: Path) -> str:
    """Run code on the VM with our modules from a folder. Return what it prints, tracebacks included."""
    try:
        command = [*find_micropython(), "-c", code]
    except VirtualBoardError as error:
        pytest.skip(f"no VM: {error}")
    environment = {**os.environ, "MICROPYPATH": f"{folder}/lib:{folder}:.frozen"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_nothing_is_left_of_const(tmp_path: Path) -> None:
    """mpy-cross must replace every call of `const` by its value. A board has no such function, so a call would fail."""
    for path, data in board_files(Target("xtensawin", 31, True)):
        if path.endswith(".mpy"):
            assert b"_const" not in data, path
    source = tmp_path / "wrong.py"
    source.write_text("from e4._const import const\n_X = const(len(str()))\n")
    with pytest.raises(ToolError, match="not a constant"):
        compile_module(source, Target("xtensawin", 31, True))


def _put(target: Target, folder: Path) -> None:
    for path, data in board_files(target):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)


def test_modules_for_a_board_of_another_kind_fail_at_once(tmp_path: Path) -> None:
    # The VM runs on another CPU than this one.
    _put(Target("xtensawin", 63, True), tmp_path)
    assert "ImportError: no module named 'e4._loops_plain'" in _run_on_vm("import e4", tmp_path)


def test_lines_are_named_on_request(tmp_path: Path) -> None:
    raises = "import sys, e4\ntry:\n e4.id_of('')\nexcept e4.InvalidName as error:\n sys.print_exception(error)"
    question = read_program(DESCRIBE_LOADER) + code_to_ask("describe_loader")
    target = Target.from_facts(*read_result(_run_on_vm(question, tmp_path)))
    for lines in (False, True):
        _put(Target(target.architecture, target.small_int_bits, True, lines), tmp_path)
        said = _run_on_vm(raises, tmp_path)
        where = 'File "names", line 1, in' if not lines else 'File "lib/e4/names.py", line '
        assert where in said and ("line 1, in" not in said) == lines, said


def test_for_another_mpy_version_sources_are_sent() -> None:
    # MicroPython 1.16 reports this number. It loads another version of .mpy files.
    target = Target.from_facts(10502, 2147483647)
    assert not target.loads_mpy
    files = dict(board_files(target))
    assert all(path.endswith(".py") for path in files)
    # The board tries both, and uses the one that it can compile.
    assert {"lib/e4/_loops_viper.py", "lib/e4/_loops_plain.py"} <= set(files)


def test_what_boards_reply() -> None:
    assert Target.from_facts(11014, 2147483647) == Target("xtensawin", 31, True)
    assert Target.from_facts(2822, 9223372036854775807) == Target("x64", 63, True)
    assert Target.from_facts(0, 2147483647).loads_mpy is False
