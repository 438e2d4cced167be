"""Programs for boards: files that are checked as all other code is, sent as text, and called by name.

A program is a module with functions. The host sends its text once over the serial port, and then calls its functions
with values that Python can write down and read back: text, bytes, numbers, None, lists, tuples and dictionaries.
"""

from __future__ import annotations

import ast
import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

# Text in which each backslash begins an escape that `repr` writes. Python warns of others, and prints them then.
_NOTATION = re.compile(r"""(?:[^\\]|\\[\\'"nrtxuU])*""")
_SCRIPTS = Path(__file__).with_name("scripts")
CHANGE_FILES = _SCRIPTS / "change_files.py"
DESCRIBE_BOARD = _SCRIPTS / "describe_board.py"
DESCRIBE_LOADER = _SCRIPTS / "describe_loader.py"
DESCRIBE_NODE = _SCRIPTS / "describe_node.py"
OVERWRITE_IDENTITY = _SCRIPTS / "overwrite_identity.py"


@cache
def read_program(path: Path) -> str:
    """Return the text of a program as boards get it: without comments, docstrings and annotations.

    They would take time on the serial line, and memory on the board, which compiles the text.
    """
    module = _Stripper().visit(ast.parse(path.read_text("utf-8"), path.name))
    return ast.unparse(ast.fix_missing_locations(module)) + "\n"


def code_to_ask(function: str, *arguments: object) -> str:
    """Return code that calls a function and prints its result in a form for `read_result`.

    The result is printed inside a list, because MicroPython then writes it piece by piece. Text of its whole `repr`
    would need a piece of the board's heap.
    """
    return f"print([{code_to_call(function, *arguments)}])"


def code_to_call(function: str, *arguments: object) -> str:
    """Return code that calls a function and prints nothing."""
    return f"{function}({', '.join(map(repr, arguments))})"


def read_result(printed: str) -> Any:
    """Return the result that code of `code_to_ask` printed. Raises ValueError if that is not what was printed.

    The result is on the last line. What precedes it may come from the board's network drivers, which print at any time.
    The text of the error does not quote what was printed, because that may be anything, secrets included.
    """
    line = printed.strip().rpartition("\n")[2]
    if not line.isprintable() or not _NOTATION.fullmatch(line):
        raise ValueError("its last line is not in the notation of results")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # They would quote what was printed.
            (result,) = ast.literal_eval(line)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise ValueError("its last line is no result") from None
    return result


class _Stripper(ast.NodeTransformer):
    """Takes docstrings and annotations out of a syntax tree. Comments are not part of the tree."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self._strip_docstring(node)
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self._strip_docstring(node)
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self._strip_docstring(node)
        node.returns = None
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.stmt | None:
        if node.value is None:
            return None
        return ast.Assign(targets=[node.target], value=node.value)

    def _strip_docstring(self, node: ast.Module | ast.ClassDef | ast.FunctionDef) -> None:
        if ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
        self.generic_visit(node)
        if not node.body and not isinstance(node, ast.Module):
            node.body.append(ast.Pass())
