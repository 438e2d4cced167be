"""Programs that tools send to boards.

They must be small enough for a board to compile. Taking documentation and annotations out of them must not change what
they do.
"""

from __future__ import annotations

import ast
import re
import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from e4_tools.board import paths_on_board
from e4_tools.board.board_code import CHANGE_FILES, code_to_ask, code_to_call, read_program, read_result
from e4_tools.board.compile import Target, compile_module
from e4_tools.board.raw_repl import Board, BoardError, GarbledResult
from e4_tools.paths import ROOT
from firmware import config
from helpers.boards import BoardMaker

_TOOLS = ROOT / "tools" / "e4_tools"
_PROGRAMS = sorted(
    path
    for folder in ("board/scripts", "dev/on_board", "provisioning/on_board")
    for path in (_TOOLS / folder).glob("*.py")
)
# A program may have so many bytes of text. A board compiles it in one piece, beside everything that is already in its
# memory.
_LARGEST = 4096


def test_all_programs_are_found() -> None:
    assert CHANGE_FILES in _PROGRAMS and len(_PROGRAMS) > 5


@pytest.mark.parametrize("path", _PROGRAMS, ids=lambda path: path.stem)
def test_a_board_can_compile_a_program(path: Path, tmp_path: Path) -> None:
    text = read_program(path)
    assert len(text) < _LARGEST
    (tmp_path / path.name).write_text(text)
    compile_module(tmp_path / path.name, Target("xtensawin", 31, True))


def test_documentation_and_annotations_stay_on_the_host(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        '"""Of the module."""\n\n'
        "count: int = 3  # of what\nlater: str\n\n"
        'def empty() -> None:\n    """Of an empty function."""\n\n'
        'class Kind:\n    """Of a class."""\n    size: int\n\n'
        '    def method(self, text: str = "# kept") -> str:\n        """Of a method."""\n'
        '        return text + """"no docstring\n"""\n'
    )
    text = read_program(program)
    assert "Of a" not in text and "Of the" not in text and "of what" not in text
    assert "int" not in text and "str:" not in text and "->" not in text
    names: dict[str, object] = {}
    exec(text, names)  # noqa: S102 (This is the program above.)
    assert names["count"] == 3 and names["empty"]() is None  # type: ignore[operator]
    assert names["Kind"]().method() == '# kept"no docstring\n'  # type: ignore[operator]


def test_values_go_to_the_board_and_come_back() -> None:
    values = ("text '\"\n\x04é", b"\0\xff", 2**40, None, True, [1, "2"], ("a",), {"k": [None]})
    called = ast.parse(code_to_call("f", *values), mode="eval").body
    assert isinstance(called, ast.Call)
    assert tuple(map(ast.literal_eval, called.args)) == values
    assert code_to_ask("f", 1) == "print([f(1)])"
    for value in values:
        assert read_result(f"[{value!r}]\r\n") == read_result(f"I (57) wifi: state\r\n[{value!r}]\r\n") == value
    for printed in ("", "[1", "1", "[1, 2]", "[1]\nlater", "[f()]"):
        with pytest.raises(ValueError):
            read_result(printed)


def test_a_program_is_sent_once_and_again_after_another_one(make_board: BoardMaker, tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(
        "_calls = []\n\n\ndef count(text):\n    _calls.append(text)\n    return len(_calls), text\n\n\n"
        "def fail():\n    raise ValueError('on purpose')\n"
    )
    other.write_text("def count(text):\n    print('not a result', end='')\n")
    with Board(make_board().device) as board:
        assert board.ask(one, "count", "é\n", shape=(int, str), doing="a test") == (1, "é\n")
        assert board.ask(one, "count", b"\0", shape=(int, bytes), doing="a test") == (2, b"\0")
        with pytest.raises(BoardError, match="on purpose"):
            board.ask(one, "fail", shape=str, doing="a test")
        assert board.ask(one, "count", "", shape=(int, str), doing="a test") == (3, "")
        with pytest.raises(GarbledResult, match="a test: this board answered what was not expected"):
            board.ask(other, "count", "", shape=(int, str), doing="a test")
        assert board.ask(one, "count", "", shape=(int, str), doing="a test") == (1, "")
        seen: list[bytes] = []
        board.call(other, "count", "", doing="a test", printed=seen.append)
        assert b"".join(seen) == b"not a result"


def test_the_host_knows_the_paths_that_code_on_boards_has() -> None:
    assert (config.CONFIG_PATH, config.KEYS_PATH) == (paths_on_board.CONFIG_PATH, paths_on_board.KEYS_PATH)
    named = set(re.findall(r'"(/e4\.[a-z]+)"', (ROOT / "boot.py").read_text()))
    assert named == {paths_on_board.UPDATE_PATH}
    assert f'path + "{paths_on_board.TEMPORARY}"' in (ROOT / "boot.py").read_text()
    provision = (_TOOLS / "provisioning" / "on_board" / "provision.py").read_text()
    assert f'"{paths_on_board.PENDING_PATH}"' in provision


def test_a_board_with_files_of_the_first_version_can_still_be_described(monkeypatch: pytest.MonkeyPatch) -> None:
    old_library, old_config = ModuleType("e4"), ModuleType("firmware.config")
    old_library.blocks = SimpleNamespace(BACKEND="viper")  # type: ignore[attr-defined]
    old_config.load = lambda: SimpleNamespace(name=None, problems=[])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "e4", old_library)
    monkeypatch.delitem(sys.modules, "e4.loops")
    monkeypatch.setitem(sys.modules, "firmware.config", old_config)
    monkeypatch.setitem(sys.modules, "firmware", SimpleNamespace(config=old_config, __name__="firmware"))
    program = runpy.run_path(str(_TOOLS / "board" / "scripts" / "describe_node.py"))
    assert program["describe_node"]() == {"backend": "viper", "name": None, "problems": []}
