"""The table in docs/configuration.md says what the code does with `/e4.json`, no more and no less."""

from __future__ import annotations

import ast
import copy
import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from firmware.config import Config
from helpers.boards import ROOT

_DOCUMENT = (ROOT / "docs" / "configuration.md").read_text()
_MINIMAL: dict[str, Any] = {"name": "alice", "wifi": {"ssid": "x"}, "broker": {"host": "y"}, "topics": []}
_NEEDED = "needed"
# What to try a text with, where any text will not do.
_TEXTS = {"time_server": "ntp.example"}


@dataclass(frozen=True)
class Row:
    """An entry as the table has it."""

    entry: str
    type: str
    default: str
    limits: str

    @property
    def attribute(self) -> str:
        """The name that `Config` gives it."""
        group, _, entry = self.entry.rpartition(".")
        return {"wifi.password": "wifi_password"}.get(self.entry, f"queue_{entry}" if group == "queue" else entry)

    def span(self) -> tuple[int, int]:
        """The least and the greatest number, apart from 0 where it means "none"."""
        found = re.fullmatch(r"(?:0, or )?(\d+) to (\d+)", self.limits)
        assert found, self.entry
        return int(found[1]), int(found[2])


def _rows() -> list[Row]:
    rows = []
    for line in _DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            assert len(cells) == 6, line
            rows.append(Row(cells[0].strip("`"), cells[1], cells[2].split("`")[1], cells[3]))
    return rows


ROWS = _rows()
_NUMBERS = [row for row in ROWS if row.type.startswith("number")]


def _problems(*settings: tuple[str, Any]) -> list[str]:
    """Return what is wrong with the minimal configuration and these entries."""
    return list(Config(_with(*settings)).problems)


def _with(*settings: tuple[str, Any]) -> dict[str, Any]:
    config = copy.deepcopy(_MINIMAL)
    for entry, value in settings:
        *groups, name = entry.split(".")
        group = config
        for part in groups:
            group = group.setdefault(part, {})
        group[name] = value
    return config


def _without(entry: str) -> dict[str, Any]:
    config = copy.deepcopy(_MINIMAL)
    *groups, name = entry.split(".")
    group = config
    for part in groups:
        group = group[part]
    del group[name]
    return config


def _names_that_the_code_reads() -> set[str]:
    """Return the names of entries and groups, without the groups they are in: what methods are called with."""
    tree = ast.parse((ROOT / "firmware" / "entries.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    first = [call.args[0] for call in calls if call.args]
    texts = [argument.value for argument in first if isinstance(argument, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and re.fullmatch("[a-z_]+", text)}


def test_the_table_has_every_entry_that_the_code_reads() -> None:
    documented = {part for row in ROWS for part in row.entry.split(".")}
    assert documented == _names_that_the_code_reads()


def test_an_entry_that_the_code_does_not_read_is_refused() -> None:
    assert _problems(("unheard_of", 1)) == ['"unheard_of" is not a known entry']
    for group in ("wifi", "broker", "queue"):
        assert _problems((f"{group}.unheard_of", 1)) == [f'"{group}.unheard_of" is not a known entry']


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.entry)
def test_every_entry_of_the_table_is_known(row: Row) -> None:
    assert not [problem for problem in _problems((row.entry, 1)) if "known entry" in problem]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.entry)
def test_the_default_is_the_code_s(row: Row) -> None:
    if row.default == _NEEDED:
        assert _problems() == []
        assert Config(_without(row.entry)).problems == [f'"{row.entry}" is missing']
        return
    default = json.loads(row.default)
    assert _problems((row.entry, default)) == []
    if hasattr(Config(_MINIMAL), row.attribute):
        assert getattr(Config(_MINIMAL), row.attribute) == default
    else:
        assert row.entry == "time_server"  # read into the list of time servers


def test_with_a_certificate_the_port_is_another() -> None:
    (port,) = [line for line in _DOCUMENT.splitlines() if line.startswith("| `broker.port`")]
    assert f"with `broker.ca` `{Config(_with(('broker.ca', '/e4.ca'))).port}`" in port


@pytest.mark.parametrize("row", _NUMBERS, ids=lambda row: row.entry)
def test_numbers_have_the_limits_of_the_table(row: Row) -> None:
    least, most = row.span()
    for good in (least, most):
        assert _problems((row.entry, good)) == []
        assert getattr(Config(_with((row.entry, good))), row.attribute) == good
    for bad in (least - 1, most + 1, True, "1"):
        assert _problems((row.entry, bad)) == [f'"{row.entry}" is not a number from {least} to {most}']
    assert (_problems((row.entry, None)) == []) == row.type.endswith("or null")


@pytest.mark.parametrize("row", [row for row in ROWS if row.type.startswith("text")], ids=lambda row: row.entry)
def test_texts_are_texts(row: Row) -> None:
    pairs = {"broker.user": [("broker.password", "p")], "broker.password": [("broker.user", "u")]}.get(row.entry, [])
    assert _problems((row.entry, _TEXTS.get(row.entry, "text")), *pairs) == []
    for bad in ("", 1, ["text"]):
        assert _problems((row.entry, bad), *pairs)
    if row.type.endswith("or null"):
        assert _problems((row.entry, None)) == []
    if pairs:
        assert _problems((row.entry, "text"))


@pytest.mark.parametrize("row", [row for row in ROWS if row.type == "true or false"], ids=lambda row: row.entry)
def test_flags_are_true_or_false(row: Row) -> None:
    assert _problems((row.entry, True)) == _problems((row.entry, False)) == []
    for bad in (1, 0, None, "true"):
        assert _problems((row.entry, bad)) == [f'"{row.entry}" is neither true nor false']


def test_every_type_has_been_tried() -> None:
    tried = {"text", "text or null", "number", "number or null", "true or false", "list of texts"}
    assert {row.type for row in ROWS} == tried
    assert [row.entry for row in ROWS if row.type == "list of texts"] == ["topics", "time_servers"]


def test_topics_have_the_limits_of_the_table() -> None:
    assert _problems(("topics", ["a", "sensors/+/limit", "x" * 512]), ("status_topic", "x" * 512)) == []
    for bad in ("x" * 513, "", "a#", 1):
        assert _problems(("topics", [bad]))
    for entry in ("status_topic", "receiving_topic"):
        for bad in ("x" * 513, "a/+", "#"):
            assert _problems((entry, bad)) == [f'"{entry}" is no topic']


def test_patience_leaves_time_for_a_handshake_of_tls() -> None:
    assert _problems(("broker.ca", "/ca"), ("broker.patience", 3)) == []
    assert _problems(("broker.ca", "/ca"), ("broker.patience", 2)) == [
        '"broker.patience" is not a number from 3 to 300'
    ]


def test_time_servers_have_the_limits_of_the_table() -> None:
    assert _problems(("time_servers", [f"host{i}:123" for i in range(8)])) == []
    assert _problems(("time_servers", [f"host{i}" for i in range(9)]))
    assert _problems(("time_servers", ["same", "same"]))
    assert _problems(("time_servers", ["one"]), ("time_server", "two"))
    assert _problems(("time_servers", []))
    assert _problems(("time_servers", []), ("time_from_commands", True)) == []


def test_the_example_is_whole_and_right() -> None:
    found = re.search(r"```json\n(.*?)```", _DOCUMENT, re.DOTALL)
    assert found
    example = json.loads(found[1])
    assert Config(example).problems == []
    entries = {f"{group}.{entry}" for group, values in example.items() if isinstance(values, dict) for entry in values}
    entries |= {entry for entry, value in example.items() if not isinstance(value, dict)}
    assert entries == {row.entry for row in ROWS} - {"time_server"}
