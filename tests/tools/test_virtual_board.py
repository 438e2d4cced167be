"""The virtual board as its users see it: through mpremote, on the serial line, and after power cuts."""

import os
import re
import resource
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from mpremote.transport_serial import SerialTransport

from e4_tools.virtual_board import VirtualBoard, VirtualBoardError, find_micropython
from e4_tools.virtual_board.flash_image import FlashImage
from e4_tools.virtual_board.options import BoardOptions

try:
    find_micropython()
except VirtualBoardError as reason:
    pytest.skip(str(reason), allow_module_level=True)

MPREMOTE = Path(sys.executable).with_name("mpremote")
# A real board has about 165 KB free. On a machine with 64 bits the same objects take twice as much memory.
BOARD_FREE_HEAP = range(280_000, 340_000)
OWNER_ONLY = 0o600
PROMPT = b">>> "
CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = (bytes([code]) for code in range(1, 6))


class Terminal:
    """A serial terminal: sends keys to a board and keeps what the board prints."""

    def __init__(self, device: str) -> None:
        self._serial = serial.serial_for_url(device, timeout=0.05)
        self.seen = b""

    def type(self, keys: bytes) -> None:
        self._serial.write(keys)

    def expect(self, wanted: bytes, timeout: float = 5.0) -> bytes:
        """Read until `wanted` has arrived. Return everything up to its end, or fail after some seconds."""
        deadline = time.monotonic() + timeout
        while wanted not in self.seen:
            if time.monotonic() > deadline:
                pytest.fail(f"expected {wanted!r}, got {self.seen!r}")
            self.seen += self._serial.read(1)
            self.seen += self._serial.read(self._serial.in_waiting)
        end = self.seen.index(wanted) + len(wanted)
        found, self.seen = self.seen[:end], self.seen[end:]
        return found

    def prompt(self) -> None:
        """Get a new prompt of the friendly REPL."""
        self.type(b"\r" + CTRL_C + CTRL_B + b"print('at' 'prompt')\r")
        self.expect(b"\r\natprompt\r\n" + PROMPT)

    def ask(self, line: str) -> bytes:
        """Type one line at the prompt, and return what the board prints before the next prompt."""
        self.type(line.encode() + b"\r")
        self.expect(line.encode() + b"\r\n")
        return self.expect(PROMPT)[: -len(PROMPT)]

    def read_rest(self) -> bytes:
        """Return everything that has been printed and not been read yet."""
        time.sleep(0.1)
        rest, self.seen = self.seen + bytes(self._serial.read(1_000_000)), b""
        return rest

    def close(self) -> None:
        self._serial.close()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return tmp_path / "flash.img"


@pytest.fixture
def board(image: Path) -> Iterator[VirtualBoard]:
    with VirtualBoard(image, listen="127.0.0.1:0") as started:
        yield started


@pytest.fixture
def terminal(board: VirtualBoard) -> Iterator[Terminal]:
    opened = Terminal(board.device)
    yield opened
    opened.close()


def mpremote(board: VirtualBoard | str, *command: str | Path) -> str:
    """Run an mpremote command on a board and return its output. Fails if the command fails."""
    device = board if isinstance(board, str) else board.device
    arguments = [str(MPREMOTE), "connect", device, *map(str, command)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def execute(board: VirtualBoard, code: str) -> str:
    """Run code on a board after a soft reset, with the API of mpremote. Return its output."""
    transport = SerialTransport(board.device)
    try:
        transport.enter_raw_repl()
        return str(transport.exec(code).decode())
    finally:
        transport.exit_raw_repl()
        transport.close()


# These tests use mpremote.


def test_files_by_mpremote(board: VirtualBoard, tmp_path: Path) -> None:
    data = secrets.token_bytes(50_000)
    (tmp_path / "big.bin").write_bytes(data)
    mpremote(board, "cp", tmp_path / "big.bin", ":big.bin")
    mpremote(board, "cp", ":big.bin", tmp_path / "back.bin")
    assert (tmp_path / "back.bin").read_bytes() == data
    mpremote(board, "mkdir", "folder", "+", "cp", tmp_path / "big.bin", ":folder/copy")
    assert "50000 copy" in mpremote(board, "ls", "folder")
    mpremote(board, "rm", ":folder/copy", "+", "rmdir", "folder", "+", "rm", "big.bin")
    assert mpremote(board, "ls").split()[2:] == ["75", "boot.py"]


def test_tree_by_mpremote(board: VirtualBoard, tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("from .inner import value\n")
    (package / "inner" / "__init__.py").write_text("value = 42\n")
    mpremote(board, "cp", "-r", package, ":")
    assert mpremote(board, "exec", "import package; print(package.value)").strip() == "42"
    mpremote(board, "rm", "-r", ":package")
    assert "package" not in mpremote(board, "ls")


def test_code_by_mpremote(board: VirtualBoard, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("for i in range(3):\n    print('line', i)\n# " + "x" * 5000)
    assert mpremote(board, "run", script) == "line 0\nline 1\nline 2\n"
    assert mpremote(board, "eval", "6 * 7").strip() == "42"
    assert mpremote(board, "exec", "import sys; print(sys.platform)").strip() == "esp32"


def test_mpremote_mount(board: VirtualBoard, tmp_path: Path) -> None:
    (tmp_path / "mounted_module.py").write_text("print('imported from the host')\n")
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 8)
    code = "import mounted_module; print(sum(open('data.bin', 'rb').read()))"
    output = mpremote(board, "mount", tmp_path, "exec", code)
    assert "imported from the host" in output
    assert str(sum(range(256)) * 8) in output
    code = "f = open('out.bin', 'wb'); f.write(bytes(range(256))); f.close()"
    mpremote(board, "mount", tmp_path, "exec", code)
    assert (tmp_path / "out.bin").read_bytes() == bytes(range(256))


def test_small_commands_of_mpremote(board: VirtualBoard) -> None:
    assert re.search(r"VfsLfs2>\s+2097152", mpremote(board, "df"))
    mpremote(board, "soft-reset")
    mpremote(board, "reset")
    mpremote(board, "rtc", "--set")
    local = time.localtime()
    assert mpremote(board, "rtc").startswith(f"({local.tm_year}, {local.tm_mon}, ")


def test_failure_reaches_mpremote(board: VirtualBoard) -> None:
    arguments = [str(MPREMOTE), "connect", board.device, "exec", "1/0"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30, check=False)
    expected = 'Traceback (most recent call last):\n  File "<stdin>", line 1, in <module>\nZeroDivisionError'
    assert done.returncode == 1
    assert expected in done.stdout + done.stderr


def test_port_by_link_and_by_tcp(image: Path, tmp_path: Path) -> None:
    link = tmp_path / "ttyVirtual"
    with VirtualBoard(image, port=link, listen="127.0.0.1:0") as board:
        assert board.device == str(link)
        assert mpremote(board, "eval", "1 + 1").strip() == "2"
        assert board.socket_url is not None
        assert mpremote(board.socket_url, "eval", "2 + 2").strip() == "4"
        transport = SerialTransport(board.socket_url)
        transport.enter_raw_repl()
        assert transport.eval("[3] * 3") == [3, 3, 3]
        data = secrets.token_bytes(5000)
        transport.fs_writefile("over_tcp", data)
        assert transport.fs_readfile("over_tcp") == data
        transport.close()
    assert not link.is_symlink()


def test_raw_repl_without_raw_paste(board: VirtualBoard) -> None:
    transport = SerialTransport(board.device)
    transport.use_raw_paste = False
    transport.enter_raw_repl()
    assert transport.exec("print('plain')") == b"plain\r\n"
    transport.close()


# These tests are about the start of a board and its resets.


def test_boot_and_main(board: VirtualBoard, terminal: Terminal) -> None:
    write_files(board, {"boot.py": "print('this is boot')", "main.py": "print('this is main')"})
    terminal.prompt()
    terminal.type(CTRL_D)
    seen = terminal.expect(PROMPT)
    assert seen.index(b"MPY: soft reboot") < seen.index(b"this is boot") < seen.index(b"this is main")
    terminal.type(b"import machine; machine.reset()\r")
    seen = terminal.expect(PROMPT)
    assert b"soft reboot" not in seen
    assert b"this is main" in seen
    assert b"MicroPython v" in seen


def test_main_does_not_run_in_raw_mode(board: VirtualBoard) -> None:
    write_files(board, {"main.py": "print('this is main')"})
    assert execute(board, "print(__name__, dir())") == "__main__ ['__name__']\r\n"


def test_failing_main_leaves_the_repl(board: VirtualBoard, terminal: Terminal) -> None:
    write_files(board, {"main.py": "kept = 5\nraise ValueError('from main')"})
    terminal.prompt()
    terminal.type(CTRL_D)
    seen = terminal.expect(PROMPT)
    assert b'Traceback (most recent call last):\r\n  File "main.py", line 2, in <module>\r\n' in seen
    assert b"ValueError: from main\r\n" in seen
    assert terminal.ask("kept") == b"5\r\n"


def test_failing_boot_skips_main(board: VirtualBoard, terminal: Terminal) -> None:
    write_files(board, {"boot.py": "1/0", "main.py": "print('this is main')"})
    terminal.prompt()
    terminal.type(CTRL_D)
    seen = terminal.expect(PROMPT)
    assert b"ZeroDivisionError" in seen
    assert b"this is main" not in seen


def test_system_exit_of_main_resets(board: VirtualBoard, terminal: Terminal) -> None:
    main = "import os, sys\nif 'once' not in os.listdir():\n    open('once', 'w').close()\n    sys.exit()\n"
    main += "print('again')"
    write_files(board, {"main.py": main})
    terminal.prompt()
    terminal.type(CTRL_D)
    terminal.expect(b"MPY: soft reboot\r\nMPY: soft reboot\r\nagain\r\n")


def test_reset_causes(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    cause = "import machine as m; print(m.reset_cause() - m.{}_RESET)"
    assert terminal.ask(cause.format("PWRON")) == b"0\r\n"
    for action, name in (
        (b"import machine; machine.reset()\r", "HARD"),
        (CTRL_D, "SOFT"),
        (b"import machine; machine.deepsleep(100)\r", "DEEPSLEEP"),
    ):
        terminal.type(action)
        terminal.expect(PROMPT)
        assert terminal.ask(cause.format(name)) == b"0\r\n"


def test_watchdog_bites(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    feed = "import machine, time; w = machine.WDT(timeout=400)\r"
    terminal.type(feed.encode() + b"for _ in range(8): w.feed(); time.sleep(.1)\r\r\rprint('fed')\r")
    terminal.expect(b"\nfed\r\n")
    terminal.expect(b"MicroPython v")
    terminal.expect(PROMPT)
    assert terminal.ask("import machine; machine.reset_cause() == machine.WDT_RESET") == b"True\r\n"


def test_input_during_a_soft_reset_is_kept(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(CTRL_D + b"print('typed', 'early')\r")
    assert b"typed early\r\n" in terminal.expect(b"early\r\n" + PROMPT)


def write_files(board: VirtualBoard, files: dict[str, str]) -> None:
    transport = SerialTransport(board.device)
    transport.enter_raw_repl()
    for name, text in files.items():
        transport.fs_writefile(name, text.encode())
    transport.exit_raw_repl()
    transport.close()


# These tests are about the network.

_JOIN = (
    "import network, socket, time; w = network.WLAN(); w.active(True); w.connect('virtual', 'virtual-wifi'); "
    "time.sleep(0.5); w.isconnected(); s = socket.socket(); "
)


def test_a_socket_that_is_set_to_block_waits_for_ever(terminal: Terminal) -> None:
    """A virtual board behaves as an ESP32. The Unix port would keep the time-out, and hide what hangs on a board."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        terminal.prompt()
        terminal.ask(_JOIN.rstrip("; "))
        terminal.ask(f"s.connect(socket.getaddrinfo('127.0.0.1', {server.getsockname()[1]})[0][-1])")
        connection, _ = server.accept()
        with connection:
            terminal.ask("s.settimeout(0.2)")
            assert b"ETIMEDOUT" in terminal.ask("s.read(1)")
            terminal.ask("s.setblocking(True)")
            terminal.type(b"s.read(1)\r")
            time.sleep(1)
            connection.sendall(b"x")
            assert b"b'x'" in terminal.expect(PROMPT)


def test_names_resolve_only_with_wifi_and_a_name_server(board: VirtualBoard, terminal: Terminal) -> None:
    look = "socket.getaddrinfo('broker.test', 1883)[0][-1] == socket.getaddrinfo('127.0.0.1', 1883)[0][-1]"
    terminal.prompt()
    terminal.ask("import socket")
    assert b"OSError: -202" in terminal.ask(look)
    terminal.ask(_JOIN.rstrip("; "))
    assert terminal.ask(look) == b"True\r\n"
    board.name_server(False)
    terminal.type(look.encode() + b"\r")
    assert b"OSError: -202" in terminal.expect(PROMPT, 15)


# These tests are about Ctrl-C.


@pytest.mark.parametrize(
    "code",
    [
        "while True: pass",
        "import time; time.sleep(100)",
        _JOIN + "s.connect({address}); s.recv(1)",
        "import asyncio; asyncio.run(asyncio.wait_for(asyncio.Event().wait(), 100))",
        "import sys; sys.stdin.read(1)",
    ],
)
def test_ctrl_c_interrupts(terminal: Terminal, code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"socket.getaddrinfo('127.0.0.1', {server.getsockname()[1]})[0][-1]"
        terminal.prompt()
        terminal.type(CTRL_E)
        terminal.expect(b"=== ")
        terminal.type(b"print('run' 'ning'); " if code[0] == "i" else b"print('run' 'ning')\r")
        terminal.type(code.format(address=address).encode() + CTRL_D)
        terminal.expect(b"running\r\n")
        time.sleep(0.05)
        terminal.type(CTRL_C)
        assert b"KeyboardInterrupt" in terminal.expect(PROMPT)


def test_bursts_of_ctrl_c_do_no_harm(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(b"alive = 'still here'\r")
    terminal.expect(PROMPT)
    for code in (b"while True: pass\r\r", b"import time; time.sleep(100)\r"):
        terminal.type(code)
        time.sleep(0.2)
        for _ in range(20):
            terminal.type(CTRL_C)
            time.sleep(0.002)
        terminal.type(CTRL_C * 20)
        terminal.expect(b"KeyboardInterrupt")
    terminal.prompt()
    assert terminal.ask("alive") == b"'still here'\r\n"


def test_ctrl_c_can_be_caught_and_repeated(terminal: Terminal) -> None:
    terminal.prompt()
    code = "import time\rcount = 0\rwhile count < 2:\r try: time.sleep(100)\r"
    code += " except KeyboardInterrupt: count += 1\r"
    terminal.type(CTRL_E + code.encode() + CTRL_D)
    time.sleep(0.3)
    terminal.type(CTRL_C)
    time.sleep(0.3)
    terminal.type(CTRL_C)
    terminal.expect(PROMPT)
    assert terminal.ask("count") == b"2\r\n"


def test_kbd_intr_makes_ctrl_c_a_byte(terminal: Terminal) -> None:
    terminal.prompt()
    code = "import micropython as m, sys; m.kbd_intr(-1); c = sys.stdin.buffer.read(1); m.kbd_intr(3)"
    terminal.type(code.encode() + b"\r")
    time.sleep(0.2)
    terminal.type(CTRL_C)
    terminal.expect(PROMPT)
    terminal.type(b"c\r")
    terminal.expect(rb"b'\x03'")


# These tests are about the friendly REPL.


def test_keystrokes(terminal: Terminal) -> None:
    terminal.prompt()
    assert terminal.ask("1 + 1") == b"2\r\n"
    assert terminal.ask("None") == b""
    assert b"NameError" in terminal.ask("unknown")
    terminal.type(b"12x\b3\r")
    assert b"123\r\n" in terminal.expect(PROMPT)
    # The keys are: up to the previous line, left, and a character that is inserted there.
    terminal.type(b"\x1b[A\x1b[D9\r")
    assert b"1293\r\n" in terminal.expect(PROMPT)
    terminal.type(b"print('to be cancelled')" + CTRL_C)
    assert b"\r\nto be" not in terminal.expect(b"\r\n" + PROMPT)


def test_blocks_and_paste_mode(terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(b"for i in range(2):\rprint('number', i)\r\r\r\r")
    assert b"number 0\r\nnumber 1\r\n" in terminal.expect(b"number 1\r\n" + PROMPT)
    terminal.type(b"x = [1,\r2]\r")
    terminal.expect(b"... ")
    terminal.expect(PROMPT)
    assert terminal.ask("x") == b"[1, 2]\r\n"
    terminal.type(CTRL_E)
    terminal.expect(b"paste mode; Ctrl-C to cancel, Ctrl-D to finish\r\n=== ")
    terminal.type(b"if x:\r    print('pas' 'ted')\r\r    y = 3\r" + CTRL_D)
    terminal.expect(b"\r\npasted\r\n" + PROMPT)
    assert terminal.ask("y") == b"3\r\n"


def test_input_function(terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(b"name = input('who? ')\r")
    terminal.expect(b"\r\nwho? ")
    terminal.type(b"me\r")
    terminal.expect(PROMPT)
    assert terminal.ask("name") == b"'me'\r\n"


# These tests are about flash, power and the key-value store.


def test_power_cut_keeps_what_was_closed(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    code = (
        "import os\rn = 0\rwhile True:\r f = open('t', 'w')\r f.write('%d ' % n * 300)\r f.close()\r"
        " os.rename('t', 'state')\r print('done', n)\r n += 1\r"
    )
    for wait in (0.3, 0.11, 0.17):
        terminal.type(CTRL_E + code.encode() + CTRL_D)
        terminal.expect(b"done 3\r\n")
        time.sleep(wait)
        board.cut_power()
        reported = int(re.findall(rb"done (\d+)\r\n", b"done 3\r\n" + terminal.read_rest())[-1])
        terminal.type(b"lost, as there is no power")
        board.power_on()
        terminal.expect(PROMPT)
        value = terminal.ask("s = open('state').read(); print(len(set(s.split())), s.split()[0])").split()
        assert value[0] == b"1"
        assert int(value[1]) - reported in (0, 1)
        assert terminal.ask("import machine; machine.reset_cause()") == b"1\r\n"


def test_image_persists_and_is_private(image: Path) -> None:
    with VirtualBoard(image) as board:
        execute(board, "f = open('kept', 'w'); f.write('content'); f.close()")
    with VirtualBoard(image) as board:
        assert execute(board, "print(open('kept').read())") == "content\r\n"
    assert stat.S_IMODE(image.stat().st_mode) == OWNER_ONLY
    assert image.stat().st_size == 2 * 1024 * 1024


def test_damaged_image_is_not_formatted(image: Path) -> None:
    damaged = b"\xff" * 8192 + b"precious" + b"\xff" * (2 * 1024 * 1024 - 8200)
    image.write_bytes(damaged)
    with VirtualBoard(image) as board:
        terminal = Terminal(board.device)
        terminal.prompt()
        terminal.type(CTRL_D)
        assert b"corrupt" in terminal.expect(PROMPT)
        assert terminal.ask("import os; os.listdir('/')") == b"[]\r\n"
        terminal.close()
    assert image.read_bytes() == damaged


def test_image_in_use_is_refused(board: VirtualBoard, image: Path) -> None:
    with pytest.raises(VirtualBoardError, match="in use"):
        VirtualBoard(image).start()
    assert mpremote(board, "eval", "1").strip() == "1"


def test_key_value_store(board: VirtualBoard, image: Path) -> None:
    store = image.with_name("flash.img.nvs")
    execute(board, "import esp32; n = esp32.NVS('space'); n.set_i32('a', -5); n.set_blob('b', b'blob')")
    absent = "import esp32\ntry: esp32.NVS('space').get_i32('a')\nexcept OSError as e: print(e.args)"
    assert execute(board, absent) == "(-4354, 'ESP_ERR_NVS_NOT_FOUND')\r\n"
    assert not store.exists()
    execute(
        board,
        "import esp32; n = esp32.NVS('space'); n.set_i32('a', -5); n.set_blob('b', b'blob'); n.commit()",
    )
    board.cut_power()
    board.power_on()
    read = "import esp32; n = esp32.NVS('space'); b = bytearray(9); print(n.get_i32('a'), n.get_blob('b', b), b)"
    assert execute(board, read) == "-5 4 bytearray(b'blob\\x00\\x00\\x00\\x00\\x00')\r\n"
    assert stat.S_IMODE(store.stat().st_mode) == OWNER_ONLY
    long = "import esp32\ntry: esp32.NVS('sixteen_letters_')\nexcept OSError as e: print(e.args[0])"
    assert execute(board, long) == "-4361\r\n"


# These tests are about what the code of users finds on a virtual board.


def test_memory_is_a_boards(board: VirtualBoard) -> None:
    assert int(execute(board, "import gc; gc.collect(); print(gc.mem_free())")) in BOARD_FREE_HEAP


def test_host_is_invisible(board: VirtualBoard) -> None:
    code = "import os, vfs, sys\nprint(os.listdir('/'), sys.path, sys.argv)\n"
    code += f"try: os.stat({str(Path.cwd())!r})\nexcept OSError: print('no such place')\n"
    code += "print(hasattr(os, 'system'), hasattr(vfs, 'VfsPosix'), hasattr(os, 'getenv'))"
    expected = "['boot.py'] ['', '.frozen', '/lib'] []\r\nno such place\r\nFalse False False\r\n"
    assert execute(board, code) == expected


def test_frozen_modules(image: Path, tmp_path: Path) -> None:
    package = tmp_path / "frozen" / "umqtt"
    package.mkdir(parents=True)
    (package / "simple.py").write_text("class MQTTClient:\n    def connect(self):\n        raise OSError(7)\n")
    with VirtualBoard(image, frozen=tmp_path / "frozen") as board:
        code = "from umqtt.simple import MQTTClient\nimport os\nprint(os.listdir('/'))\n"
        assert execute(board, code) == "['boot.py']\r\n"
        code = "import sys, umqtt.simple as u\ntry: u.MQTTClient().connect()\n"
        code += "except OSError as e: print(u.__file__, e)"
        assert execute(board, code).startswith("umqtt/simple.py")
        assert int(execute(board, "import gc; gc.collect(); print(gc.mem_free())")) in BOARD_FREE_HEAP
        execute(
            board,
            "import os; os.mkdir('umqtt'); f = open('umqtt/simple.py', 'w'); f.write('mine = 1'); f.close()",
        )
        assert execute(board, "import umqtt.simple; print(umqtt.simple.mine)") == "1\r\n"


def test_wifi(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    terminal.ask("import network, time; w = network.WLAN(network.STA_IF)")
    assert b"OSError: Wifi Not Started" in terminal.ask("w.connect('virtual', 'virtual-wifi')")
    terminal.ask("w.active(True)")
    for credentials, status in (("'virtual', 'not-the-one'", 202), ("'elsewhere', 'virtual-wifi'", 201)):
        terminal.ask(f"w.connect({credentials}); time.sleep(.6)")
        assert terminal.ask("w.isconnected(), w.status()") == f"(False, {status})\r\n".encode()
    terminal.ask("w.connect('virtual', 'virtual-wifi'); time.sleep(.4)")
    assert terminal.ask("w.isconnected(), w.status(), w.ifconfig()[0]") == b"(True, 1010, '127.0.0.1')\r\n"
    board.wifi(False)
    assert terminal.ask("w.isconnected(), w.status()") == b"(False, 200)\r\n"
    board.wifi(True)
    terminal.ask("time.sleep(.6)")
    assert terminal.ask("w.isconnected()") == b"True\r\n"


def test_ntp(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    assert b"OSError: -202" in terminal.ask("import ntptime; ntptime.settime()")
    connect = "import network, time; w = network.WLAN(); w.active(True); w.connect('virtual', 'virtual-wifi')"
    terminal.ask(connect + "; time.sleep(.4)")
    terminal.ask("import machine; machine.RTC().datetime((2020, 1, 1, 0, 0, 0, 0, 0))")
    assert terminal.ask("machine.RTC().datetime()[:2]") == b"(2020, 1)\r\n"
    terminal.ask("ntptime.settime()")
    assert terminal.ask("machine.RTC().datetime()[0]") == f"{time.gmtime().tm_year}\r\n".encode()


def test_stand_ins_refuse_what_a_board_refuses(terminal: Terminal) -> None:
    terminal.prompt()
    terminal.ask("import machine, network")
    assert b"ValueError" in terminal.ask("machine.Pin(24)")
    assert b"ValueError" in terminal.ask("machine.Pin(34, machine.Pin.OUT)")
    assert b"AttributeError" in terminal.ask("machine.no_such_thing")
    assert b"TypeError" in terminal.ask("machine.Pin(2, colour=3)")
    assert b"ValueError" in terminal.ask("network.WLAN(0).config('no_such_thing')")
    assert terminal.ask("p = machine.Pin(2, machine.Pin.OUT, value=1); p.value()") == b"1\r\n"


# These tests are about the supervisor, the process that runs the interpreter of a virtual board.


def test_output_waits_for_a_slow_reader(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(b"for i in range(20000): print(i)\r\r\r\r")
    time.sleep(0.5)
    seen = terminal.expect(b"\r\n19999\r\n", timeout=10)
    assert re.findall(rb"^\d+", seen, re.MULTILINE)[-20000:] == [b"%d" % i for i in range(20000)]


def test_without_listener_the_board_runs_on(board: VirtualBoard) -> None:
    write_files(board, {"main.py": "for i in range(20000): print(i)\nopen('finished', 'w').close()"})
    mpremote(board, "soft-reset")
    board.cut_power()
    board.power_on()
    time.sleep(1)
    assert "finished" in mpremote(board, "ls")


def test_many_quick_sessions(board: VirtualBoard) -> None:
    for number in range(10):
        assert execute(board, f"print({number})") == f"{number}\r\n"


def test_command_line(image: Path, tmp_path: Path) -> None:
    link = tmp_path / "port"
    command = [
        sys.executable,
        "-m",
        "e4_tools.virtual_board",
        str(image),
        "--port",
        str(link),
        "--listen",
        "127.0.0.1:0",
    ]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == f"serial port: {link}"
        assert "socket://127.0.0.1:" in process.stdout.readline()
        terminal = Terminal(str(link))
        terminal.prompt()
        process.send_signal(signal.SIGUSR1)
        terminal.expect(PROMPT)
        terminal.close()
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        assert process.stdout is not None
        process.stdout.close()
    assert not link.is_symlink()


def test_crash_of_the_interpreter_resets_the_board(board: VirtualBoard, terminal: Terminal) -> None:
    terminal.prompt()
    terminal.type(b"import uctypes; uctypes.bytes_at(1, 1)\r")
    terminal.expect(b"MicroPython v")
    terminal.expect(PROMPT)
    assert terminal.ask("import machine; machine.reset_cause() == machine.WDT_RESET") == b"True\r\n"


def test_missing_interpreter_is_explained(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROPYTHON", "/no/such/interpreter")
    with pytest.raises(VirtualBoardError, match="/no/such/interpreter"):
        VirtualBoard(image).start()
    monkeypatch.setenv("MICROPYTHON", "false")
    with pytest.raises(VirtualBoardError, match="does not start"):
        VirtualBoard(image).start()


@pytest.mark.parametrize(
    "settings",
    [
        {"listen": "0.0.0.0:1234"},
        {"listen": "127.0.0.1:\N{SUPERSCRIPT TWO}"},
        {"listen": "127.0.0.1:" + "9" * 5000},
        {"wifi": "no-password-separator"},
        {"heap": "much"},
        {"heap": "9" * 5000 + "k"},
        {"frozen": Path("/no/such")},
    ],
)
def test_impossible_settings_are_refused(image: Path, settings: dict[str, object]) -> None:
    with pytest.raises(VirtualBoardError):
        VirtualBoard(image, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100000, '{"image": 1, "port": null, "frozen": null}', "{"])
def test_json_that_has_no_settings_is_refused(text: str) -> None:
    with pytest.raises(VirtualBoardError, match="no JSON with the options"):
        BoardOptions.from_json(text)


def test_a_network_may_have_a_name_that_is_no_utf8(image: Path) -> None:
    options = BoardOptions(image, wifi="caf\udce9:password")  # as Python decodes a command line that is Latin-1
    assert BoardOptions.from_json(options.to_json()) == options


def test_source_that_is_no_text_is_refused_and_the_board_lives_on(board: VirtualBoard) -> None:
    transport = SerialTransport(board.device)
    try:
        transport.enter_raw_repl()
        _, raised = transport.exec_raw(b"\xff\xfe\n")
        assert raised
        assert transport.exec(b"print(6 * 7)") == b"42\r\n"
    finally:
        transport.close()


def test_an_image_for_which_the_disk_has_no_room_is_made_once_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "board.flash"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        with pytest.raises(VirtualBoardError, match="cannot be made: File too large"):
            FlashImage(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    FlashImage(path).close()
    assert path.read_bytes() == b"\xff" * 2 * 1024 * 1024
