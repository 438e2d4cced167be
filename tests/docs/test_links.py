"""What the documents point at exists: links, headings, paths, targets of `make`, commands of `e4`, modules."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from e4_tools.cli import main
from helpers.boards import ROOT

_NOT_OURS = {".venv", "build", "node_modules"}
_DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in _NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
)
_each_document = pytest.mark.parametrize("document", _DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`([^`\n]+)`")
_FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:lib|firmware|tools|tests|docs|examples)(?:/[\w/.-]*)?")
_MAKE = re.compile(r"(?:^|&& )make ((?:[a-z]+ ?)+)")
_E4 = re.compile(r"(?:^|&& )e4 ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?")


def _slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _code_of(document: Path) -> list[str]:
    """Return what a document shows as code: each span, and each line of a block, indented or between fences."""
    text = document.read_text()
    lines = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    fenced = [line for block in _FENCED.findall(text) for line in block.splitlines()]
    return _CODE_SPAN.findall(text) + lines + fenced


def test_there_are_documents() -> None:
    names = {path.name for path in _DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "architecture.md"} <= names


@_each_document
def test_every_link_leads_somewhere(document: Path) -> None:
    for link in _LINK.findall(document.read_text()):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), link
        assert target.is_relative_to(ROOT), link
        if anchor:
            assert anchor in {_slug(heading) for heading in _HEADING.findall(target.read_text())}, link


@_each_document
def test_every_path_that_is_named_exists(document: Path) -> None:
    for code in _CODE_SPAN.findall(document.read_text()):
        if _PATH.fullmatch(code):
            assert (ROOT / code).exists(), code


@_each_document
def test_every_target_of_make_exists(document: Path) -> None:
    targets = set(re.findall(r"^\.PHONY: ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split())
    for code in _code_of(document):
        for words in _MAKE.findall(code):
            assert set(words.split()) <= targets, code


@_each_document
def test_every_command_of_e4_exists(document: Path) -> None:
    for code in _code_of(document):
        for name, following in _E4.findall(code):
            assert name in main.commands, code
            command = main.commands[name]
            if isinstance(command, click.Group) and following:
                assert following in command.commands, code


def _modules_named_in(section: str) -> set[str]:
    """Return what stands in the first column of the table under a heading of docs/architecture.md."""
    text = (ROOT / "docs/architecture.md").read_text().split(f"### {section}\n", 1)[1].split("\n#", 1)[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return set(_CODE_SPAN.findall("".join(rows)))


@pytest.mark.parametrize(
    ("section", "folder"), [("`lib/e4`: the library", "lib/e4"), ("`firmware`: the board application", "firmware")]
)
def test_the_architecture_names_every_module(section: str, folder: str) -> None:
    modules = {path.stem for path in (ROOT / folder).glob("*.py")} - {"__init__"}
    assert _modules_named_in(section) == modules


def test_the_architecture_names_every_package_of_the_tools() -> None:
    tools = ROOT / "tools/e4_tools"
    parts = {path.parent.name for path in tools.glob("*/__init__.py")} | {path.stem for path in tools.glob("*.py")}
    named = {name.split("/")[0] for name in _modules_named_in("`tools/e4_tools`: the command `e4`")}
    assert named == parts - {"__init__"}


def test_the_hooks_before_a_commit_run_what_make_lint_runs() -> None:
    parts = re.findall(r"^lint: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].split()
    hooks = re.findall(r"entry: make --no-print-directory (\w+)$", (ROOT / ".pre-commit-config.yaml").read_text(), re.M)
    assert hooks == parts
