"""Each example runs on a virtual board, with a real broker, and does what its first lines say."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from e4_tools.board.console import BoardConsole
from e4_tools.board.raw_repl import Board
from helpers.boards import KEY, ROOT, BoardMaker, StartNode, write_main
from helpers.mosquitto import Mosquitto
from helpers.operator import Operator

EXAMPLES = ROOT / "examples"
TEMPERATURE = r"^\d+\.\d C$"


@pytest.fixture
def operator(tmp_path: Path, mosquitto: Mosquitto) -> Operator:
    """An operator whose key store knows alice, the board."""
    operator = Operator(tmp_path, mosquitto.port)
    key_file = tmp_path / "alice.key"
    key_file.touch(0o600)
    key_file.write_bytes(KEY)
    operator.e4("client", "add", "alice", "--key-file", str(key_file))
    return operator


def _grant(operator: Operator, *topics: str) -> None:
    for topic in topics:
        operator.e4("topic", "add", topic)
        operator.e4("grant", "alice", topic)


def _listen(operator: Operator, topic: str, count: int = 1) -> list[dict[str, Any]]:
    """Return the next messages on a topic, as the host unprotects them."""
    text = operator.text("listen", topic, "--count", str(count), "--timeout", "60", "--json")
    return [answer for answer in map(json.loads, text.splitlines()) if "message" in answer]


def _source(name: str, **values: int) -> str:
    """Return an example with other values of some of its constants, so that a test need not wait for minutes."""
    source = (EXAMPLES / f"{name}.py").read_text()
    for constant, value in values.items():
        source, count = re.subn(rf"^{constant} = \d+", f"{constant} = {value}", source, flags=re.MULTILINE)
        assert count == 1, constant
    return source


class _Listener:
    """An `e4 listen` in a process of its own, which ends after some messages. It has subscribed once this is made."""

    def __init__(self, operator: Operator, topic: str, count: int) -> None:
        self._output = operator.folder / "output"
        self._process = operator.start("listen", topic, "--count", str(count), "--timeout", "120")
        deadline = time.monotonic() + 60
        while not self._output.exists() or "Listening on" not in self._output.read_text():
            assert time.monotonic() < deadline, "e4 listen does not begin"
            time.sleep(0.1)

    def messages(self) -> list[str]:
        """Return the messages that it heard, once that is all."""
        self._process.join(150)
        text = self._output.read_text()
        assert self._process.exitcode == 0, text
        return re.findall(r"^\d\d:\d\d:\d\d [\w/]+: (.*)$", text, re.MULTILINE)


def test_the_sensor_publishes_what_it_reads(start_node: StartNode, mosquitto: Mosquitto, operator: Operator) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _source("sensor", PERIOD_S=1), ready=False)
    console.expect("topic key not found: sensors/lab$", 40)
    _grant(operator, "sensors/lab")
    console.expect(r"> published \d+\.\d C$")
    (heard,) = _listen(operator, "sensors/lab")
    assert re.match(TEMPERATURE, heard["message"])


def test_the_switch_obeys_and_answers(start_node: StartNode, mosquitto: Mosquitto, operator: Operator) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _source("switch"), ready=False)
    console.expect("subscribed to MQTT topic lamps/lab/set", 40)
    _grant(operator, "lamps/lab/set", "lamps/lab/state")
    listener = _Listener(operator, "lamps/lab/state", 3)
    for message, state in (("on", "on"), ("toggle", "off"), ("up", None), ("on", "on")):
        operator.e4("send", "lamps/lab/set", message)
        console.expect(f"> the lamp is {state}$" if state else "neither on, off nor toggle: up")
    assert listener.messages() == ["on", "off", "on"]


def test_the_asynchronous_sensor_publishes_means_and_takes_a_period(
    start_node: StartNode, mosquitto: Mosquitto, operator: Operator
) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _source("async_sensor"), ready=False)
    console.expect("subscribed to MQTT topic sensors/lab/period", 40)
    _grant(operator, "sensors/lab", "sensors/lab/period")
    operator.e4("send", "sensors/lab/period", "soon")
    console.expect("no number of seconds from 1 to 86400: soon")
    operator.e4("send", "sensors/lab/period", "2")
    console.expect("> the period is 2 s")
    console.expect("< sensors/lab/period 2")
    for heard in _listen(operator, "sensors/lab", 2):
        assert re.match(TEMPERATURE, heard["message"])


def test_the_deep_sleeper_sends_once_each_time_it_wakes(
    start_node: StartNode, mosquitto: Mosquitto, operator: Operator
) -> None:
    operator.e4("topic", "add", "sensors/lab")
    listener = _Listener(operator, "sensors/lab", 2)
    source = _source("deep_sleeper", SLEEP_S=4, AWAKE_MS=12000)
    _, console = start_node("alice", KEY, mosquitto.port, source, ready=False)
    console.expect("not sent on sensors/lab: topic key not found", 40)
    console.expect("not all was done in time", 40)
    console.expect("> sleeping for 4 s")
    operator.e4("grant", "alice", "sensors/lab")  # the command waits at the broker until the board wakes
    for _ in range(2):
        console.expect("> the broker has the reading", 60)
        console.expect("> sleeping for 4 s")
    heard = listener.messages()
    assert len(heard) == 2
    assert all(re.match(TEMPERATURE, message) for message in heard)


def _block(number: int) -> str:
    """Return a whole application in docs/application.md."""
    document = (ROOT / "docs" / "application.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", document, re.DOTALL)
    whole = [block for block in blocks if "import Node" in block]
    return str(whole[number])


def test_the_first_application_of_the_document(start_node: StartNode, mosquitto: Mosquitto, operator: Operator) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _block(0), ready=False)
    console.expect(r"subscribed to MQTT topic sensors/\+/limit", 40)
    _grant(operator, "sensors/7/limit", "sensors/lab")
    listener = _Listener(operator, "sensors/lab", 1)
    operator.e4("send", "sensors/7/limit", "30")
    assert listener.messages() == ["limit is now 30"]


def test_the_asynchronous_application_of_the_document(
    start_node: StartNode, mosquitto: Mosquitto, operator: Operator
) -> None:
    _, console = start_node("alice", KEY, mosquitto.port, _block(1), ready=False, topics=["sensors/lab"])
    console.expect("^topic key not found: sensors/lab$", 40)
    console.expect("subscribed to MQTT topic sensors/lab", 40)
    _grant(operator, "sensors/lab")
    operator.e4("send", "sensors/lab", "hello")
    console.expect("^sensors/lab b'hello'$")


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_an_example_on_a_board_that_is_not_provisioned_says_so(name: str, make_board: BoardMaker) -> None:
    board = make_board()
    write_main(board, _source(name))
    with Board(board.device) as serial:
        serial.reset()
    with BoardConsole("board", board.device) as console:
        console.expect("This board is not ready:", 20)
        console.expect("the board is not provisioned")
        console.expect("Provision it over this serial port")


def test_the_examples_are_listed_in_their_readme() -> None:
    readme = (EXAMPLES / "README.md").read_text()
    for path in EXAMPLES.glob("*.py"):
        assert f"`{path.name}`" in readme, path.name
