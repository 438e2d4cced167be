"""Everything that goes to a board compiles for every kind of ESP32."""

import pytest

from e4_tools.compile import Target, board_files


@pytest.mark.parametrize("architecture", ["xtensawin", "rv32imc"])
def test_for_an_esp32(architecture: str) -> None:
    files = dict(board_files(Target(architecture, 31, True)))
    assert {"lib/e4/client.mpy", "lib/e4/_viper.mpy", "firmware/node.mpy", "boot.py", "main.py"} <= set(files)
    assert not [path for path in files if "/" in path and not path.endswith(".mpy")]


def test_for_a_board_without_native_code_the_machine_code_stays_source() -> None:
    files = dict(board_files(Target("", 31, True)))
    assert "lib/e4/_viper.py" in files  # it does not compile there, and e4.blocks then takes the plain loops
    assert "lib/e4/_plain.mpy" in files


def test_for_another_mpy_version_sources_are_sent() -> None:
    target = Target.from_reply("10502 2147483647")  # MicroPython 1.16: another .mpy version
    assert not target.loads_mpy
    assert all(path.endswith(".py") for path in dict(board_files(target)))


def test_what_boards_reply() -> None:
    assert Target.from_reply("11014 2147483647") == Target("xtensawin", 31, True)
    assert Target.from_reply("2822 9223372036854775807") == Target("x64", 63, True)
    assert Target.from_reply("0 2147483647").loads_mpy is False
