"""The bench: it fails when a budget is exceeded, and its drawing shows what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from e4_tools.dev.bench import __main__ as bench
from e4_tools.dev.bench import budgets, figures, places
from e4_tools.dev.bench.budgets import Budget, Budgets, Verdict
from e4_tools.dev.bench.drawing import draw
from e4_tools.dev.bench.figures import Figure
from e4_tools.errors import ToolError
from e4_tools.virtual_board import VirtualBoard
from helpers.board_files import on_board
from helpers.boards import BoardMaker


def test_a_figure_fails_only_beyond_its_noise() -> None:
    less = Budget(limit=1.5, noise=0.1, goal=None, more_is_better=False)
    assert [less.verdict(value) for value in (0.5, 1.5, 1.59, 1.61)] == [
        Verdict.GOOD, Verdict.GOOD, Verdict.NOISE, Verdict.WORSE,
    ]  # fmt: skip
    more = Budget(limit=0.8, noise=0.1, goal=None, more_is_better=True)
    assert [more.verdict(value) for value in (0.9, 0.75, 0.6)] == [Verdict.GOOD, Verdict.NOISE, Verdict.WORSE]


@pytest.mark.parametrize("text", ["speed = 1", "[speed]\nvm = 'x'", "[speed", "a = " + "[" * 5000, "\xff"])
def test_a_file_of_budgets_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "budgets.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ToolError, match=r"budgets\.toml"):
        Budgets("vm", path)


def test_every_size_has_a_budget_and_the_modules_are_all_there() -> None:
    measured = list(figures.sizes())
    known = Budgets("vm")
    assert [figure.name for figure in measured if known.of(figure) is None] == []
    assert {"bytes_deployed/lib/e4/siv.mpy", "bytes_deployed/firmware/node.mpy"} <= {figure.name for figure in measured}
    modules = sum(figure.value for figure in measured if figure.name.endswith(".mpy"))
    assert measured[-1] == Figure("bytes_deployed/total_mpy", modules)


def test_growth_past_a_budget_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = tmp_path / "budgets.toml"
    tight.write_text('"bytes_deployed/lib/e4/siv.mpy" = { vm = 100 }\n"*" = { vm = 1000000 }\n')
    monkeypatch.setattr(bench, "_exact", lambda place: figures.sizes())
    monkeypatch.setattr(bench, "Budgets", lambda place: budgets.Budgets(place, tight))
    done = CliRunner().invoke(bench.main, ["--exact"])
    assert done.exit_code == 1
    assert "1 worse than their budget" in done.output
    assert "WORSE: bytes_deployed/lib/e4/siv.mpy" in done.output


def _on(board: VirtualBoard) -> Result:
    return CliRunner().invoke(bench.main, ["--port", board.device])


def test_on_a_board_it_leaves_nothing_behind(
    make_board: BoardMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = make_board()
    before = on_board(board, "import os; print(sorted(os.listdir('/')))")
    for name, value in (("_ROUNDS", 2), ("_REPEATS", 5)):
        monkeypatch.setattr(bench, name, value)
    for name in ("_JSON", "_SVG", "_BUILD_SVG"):
        monkeypatch.setattr(bench, name, tmp_path / name)
    done = _on(board)
    recorded = json.loads((tmp_path / "_JSON").read_text())
    assert recorded["place"] == "virtual board" and (tmp_path / "_BUILD_SVG").exists()
    assert {"siv_encrypt_over_floor/1024", "heap_held", "command_1000_over_10_topics"} <= set(recorded["figures"])
    assert (
        recorded["figures"]["heap_held"]["verdict"] == "good" and f"{len(recorded['figures'])} figures" in done.output
    )
    assert on_board(board, "import os; print(sorted(os.listdir('/')))") == before


def test_a_board_that_cannot_be_measured_is_left_as_it_was(
    make_board: BoardMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = make_board()
    on_board(
        board, "import os\nwith open('/big', 'wb') as f:\n for _ in range(1_200_000 // 4096): f.write(bytes(4096))"
    )
    before = on_board(board, "import os; print(sorted(os.listdir('/')))")
    done = _on(board)
    assert done.exit_code == 1 and "900000 are needed. Nothing was changed" in done.output
    monkeypatch.setattr(places, "_NEEDED", 0)
    monkeypatch.setattr(places, "_modules", lambda target: [("x.mpy", bytes(2_000_000))])
    done = _on(board)
    assert done.exit_code == 1 and "writing /e4-bench/x.mpy" in done.output
    assert on_board(board, "import os; print(sorted(os.listdir('/')))") == before
    board.stop()
    done = _on(board)
    assert done.exit_code == 1 and "nothing was changed" in done.output


def test_the_drawing_has_a_bar_for_each_ratio() -> None:
    budget = Budget(limit=1.5, noise=0.1, goal=1.25, more_is_better=False)
    rows = [(Figure("siv_encrypt_over_floor/256", 1.2), budget), (Figure("protect_over_floor/64", 9.0), budget)]
    drawn = ElementTree.fromstring(draw(rows, "Ratios <here>"))  # noqa: S314 (The drawing is our own.)
    name = "{http://www.w3.org/2000/svg}"
    bars = [float(bar.attrib["width"]) for bar in drawn.findall(f"{name}rect")][1:]
    assert len(bars) == 2 and 0 < bars[0] < bars[1] < 650
    texts = [text.text for text in drawn.findall(f"{name}text")]
    assert "Ratios <here>" in texts and "1.20" in texts and "9.00" in texts
