"""Makes a board a member of a fleet with nothing but `mpremote`.

    mpremote run --no-follow set_up_board.py repl

The package `e4-node` must be on the board. This program asks for the settings and the ID key over the serial port, has
the board application check them, and writes them. Then it starts the board anew. Passwords and keys are not echoed.

`mpremote run` alone sends nothing to the board that is typed. `--no-follow` leaves the program running, and `repl`
connects the keyboard to it. When `repl` begins, it sends Ctrl-B, and that is how this program knows that somebody can
answer.

An ID key that the board makes is shown once, so that it can be entered in C2, and is then removed from the screen. It
is in no file but the board's key store.
"""

import binascii
import json
import os
import select
import sys
import time

import machine
import network

import e4
from firmware import config
from firmware.console import character_start

_CTRL_B = 0x02
_REPL_MS = 5000  # how long `repl` may take to connect the keyboard
_KEY_SIZE = 32  # bytes
_ERASE_LINE = "\r\x1b[2K"
_WITHOUT_KEYBOARD = """\
Nothing was changed: nobody can type here. Run this program so, and with no other command between the two:

    mpremote run --no-follow set_up_board.py repl
"""

_typed = sys.stdin.buffer if hasattr(sys.stdin, "buffer") else sys.stdin


def set_up() -> None:
    """Ask for everything, write it and reset the board. With Ctrl-C nothing is changed."""
    if not _is_connected():
        print(_WITHOUT_KEYBOARD)
        return
    try:
        entries = _ask_settings()
        name = entries["name"]
        keep = _ask_what_to_keep(name)
        key = None if keep else _ask_key(name)
    except KeyboardInterrupt:
        print("\nEnded; nothing was changed. The board starts anew.")
    else:
        made = b"" if keep or key else _make_key()
        if _write(entries, key or made or None):
            if made:
                _show(name, made)
            print("{} is set up and starts. Its commands arrive on {}".format(name, _receiving_topic(entries)))
    print("Ctrl-] ends mpremote.")
    time.sleep_ms(200)  # Otherwise the reset would cut off what is still on its way to the terminal.
    machine.reset()


def _is_connected() -> bool:
    """Wait for the Ctrl-B of `mpremote repl`, and return False if it does not come in time."""
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN)
    end = time.ticks_add(time.ticks_ms(), _REPL_MS)
    while True:
        left = time.ticks_diff(end, time.ticks_ms())
        if left <= 0 or not poller.poll(left):
            return False
        if _read_byte() == _CTRL_B:
            return True


def _read_byte() -> int:
    """Wait for a byte that is typed, and return it."""
    return _typed.read(1)[0]  # type: ignore[return-value]  # The stream is one of bytes.


def _ask(question: str, echo: bool = True) -> str:
    """Return a line that is typed. Control characters in it are ignored."""
    sys.stdout.write(question + ": ")
    while True:
        line = bytearray()
        while True:
            byte = _read_byte()
            if byte in b"\r\n":
                break
            if byte in b"\x08\x7f":
                if line:
                    line = line[: character_start(line)]
                    sys.stdout.write("\b \b" if echo else "")
            elif byte >= 0x20:
                line.append(byte)
                if echo:
                    sys.stdout.buffer.write(bytes((byte,)))
        print()
        try:
            return bytes(line).decode()
        except UnicodeError:
            sys.stdout.write("That was no UTF-8. Once more: ")


def _ask_settings() -> dict:
    """Return the entries of `/e4.json`, without anything that the board application finds wrong."""
    print("\nThis sets up the board. Ctrl-C ends it without a change.")
    while True:
        entries = _ask_once()
        checked = config.Config(entries)
        problems = checked.problems if entries else ["the entries that were added are no JSON object"]
        if not problems:
            if checked.ca and not _exists(checked.ca):
                problems.append("there is no {} on the board: mpremote cp ca.der :{}".format(checked.ca, checked.ca))
            try:
                e4.id_of(checked.name)
            except e4.E4Error as error:
                problems.append(str(error))
        if not problems:
            return entries
        print("\nThis cannot be used:")
        for problem in problems:
            print("   ", problem)
        print("Once more, please.")


def _ask_once() -> dict:
    """Return the entries as they were typed. They are empty if those that are typed as JSON are no JSON object."""
    entries: dict = {
        "name": _ask("Name of the board"),
        "wifi": {
            "ssid": _ask("WiFi network"),
            "password": _ask("WiFi password (not shown; empty: an open network)", False) or None,
        },
        "broker": _ask_broker(),
        "topics": [],
    }
    while topic := _ask("Topic to subscribe to (empty: no more)"):
        entries["topics"].append(topic)
    text = _ask('More entries of /e4.json, such as {"watchdog": 30} (empty: none)')
    try:
        more = json.loads(text or "{}")
        for entry, value in more.items():
            if isinstance(value, dict) and isinstance(entries.get(entry), dict):
                entries[entry].update(value)
            else:
                entries[entry] = value
    except (ValueError, AttributeError):
        return {}
    return entries


def _ask_broker() -> dict:
    host, _, port = _ask("Broker, as HOST or HOST:PORT").partition(":")
    broker: dict = {"host": host}
    if port:
        broker["port"] = int(port) if port.isdigit() else port
    user = _ask("User at the broker (empty: none)")
    if user:
        broker.update({"user": user, "password": _ask("Password at the broker (not shown)", False)})
    ca = _ask("CA certificate of the broker, as a path on the board (empty: no TLS)")
    if ca:
        broker["ca"] = ca
    return broker


def _ask_what_to_keep(name: str) -> bool:
    """Tell whether the board keeps its ID key. If it does not, it forgets all its keys, after a confirmation."""
    if not _exists(config.KEYS_PATH):
        return False
    try:
        _client(name, None, e4.FileStore(config.KEYS_PATH))
        if _ask("The board holds an ID key of {}. Keep it (yes or no)".format(name)) == "yes":
            return True
    except e4.E4Error:
        print("The board holds keys, and not those of {}.".format(name))
    while _ask('Type "forget" to have it forget its ID key and all topic keys, or press Ctrl-C') != "forget":
        pass
    return False


def _ask_key(name: str) -> bytes:
    """Return the ID key that is typed, or an empty one if the board shall make it."""
    while True:
        digits = _ask("ID key, 64 hexadecimal digits (not shown; empty: the board makes one)", False).strip()
        if not digits:
            return b""
        try:
            key = binascii.unhexlify(digits)
            _client(name, key, e4.MemoryStore())
            return key
        except (ValueError, e4.E4Error):
            print("That is no ID key.")


def _make_key() -> bytes:
    """Return a random key. The random numbers of an ESP32 come from noise only while its radio is on."""
    network.WLAN(network.STA_IF).active(True)
    time.sleep_ms(100)
    return os.urandom(_KEY_SIZE)


def _show(name: str, key: bytes) -> None:
    """Show a key until Enter is pressed, and remove it from the screen."""
    print("\nThis is the ID key of {}, shown only now. Enter it in C2: e4 client add {} --ask".format(name, name))
    print("Then press Enter; the key is removed from the screen.")
    sys.stdout.write(binascii.hexlify(key).decode())
    while _read_byte() not in b"\r\n":
        pass
    print(_ERASE_LINE)


def _write(entries: dict, key: bytes | None) -> bool:
    """Write configuration and key, and return False if that fails. Without a key, the board keeps the one it holds."""
    written = config.CONFIG_PATH + ".new"
    try:
        # The configuration comes first, because it takes more room in flash than the keys, and takes its place last.
        with open(written, "w") as file:
            json.dump(entries, file)
        store = e4.FileStore(config.KEYS_PATH, key is not None)
        _client(entries["name"], key, store, entries.get("receiving_topic"))
        while store.tidy(16):  # This overwrites the keys that were replaced.
            pass
        os.rename(written, config.CONFIG_PATH)
        return True
    except (OSError, e4.E4Error) as error:
        print("\nThe board could not be set up, and has the configuration that it had before:", error)
        if _exists(written):
            os.remove(written)
        return False


def _client(name: str, key: bytes | None, store, receiving_topic: str | None = None) -> e4.Client:
    return e4.Client(e4.id_of(name), key, store, time.time, receiving_topic)


def _receiving_topic(entries: dict) -> str:
    return entries.get("receiving_topic") or e4.receiving_topic(e4.id_of(entries["name"]))


def _exists(path: str) -> bool:
    try:
        os.stat(path)
        return True
    except OSError:
        return False


set_up()
