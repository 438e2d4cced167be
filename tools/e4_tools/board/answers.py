"""Checking what a board answers before anything is done with it.

A board may run other firmware, be damaged, or belong to an attacker. So whoever asks states the shape of the answer. A
shape is one of these:

    str, bytes, bool        a value of exactly this type
    int                     a whole number from 0 to 2 ** 64
    [shape]                 a list, each of whose items has that shape
    (shape, shape, ...)     a tuple with these items
    {str: shape}            a dictionary from text to that shape, with any names
    Entries(...)            a dictionary whose names are known
    OrNone(shape)           None, or a value of that shape
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

_LARGEST_NUMBER = 2**64


@dataclass(frozen=True)
class Entries:
    """A dictionary with names that are known: each of `required`, and perhaps some of `optional`.

    Entries with other names are left out of the result, because a later version of our files may answer more.
    """

    required: dict[str, Any]
    optional: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OrNone:
    """None, or a value of a shape."""

    shape: Any


def accept(value: Any, shape: Any, where: str = "the answer") -> Any:
    """Return a value that has a shape, without its unknown entries.

    Raises ValueError, whose reason does not quote the value; `where` is how it names the value.
    """
    if isinstance(shape, OrNone):
        return None if value is None else accept(value, shape.shape, where)
    if isinstance(shape, Entries):
        return _accept_entries(value, shape, where)
    if isinstance(shape, list):
        _check_type(value, list, where)
        return [accept(item, shape[0], f"item {index} of {where}") for index, item in enumerate(value)]
    if isinstance(shape, tuple):
        _check_type(value, tuple, where)
        if len(value) != len(shape):
            raise ValueError(f"{where} has {len(value)} items, and not {len(shape)}")
        pairs = zip(value, shape, strict=True)
        return tuple(accept(item, wanted, f"item {index} of {where}") for index, (item, wanted) in enumerate(pairs))
    if isinstance(shape, dict):
        _check_type(value, dict, where)
        return {
            accept(name, str, f"a name in {where}"): accept(item, shape[str], f"an entry of {where}")
            for name, item in value.items()
        }
    _check_type(value, shape, where)
    if shape is int and not 0 <= value <= _LARGEST_NUMBER:
        raise ValueError(f"{where} is a number below 0 or above 2 ** 64")
    return value


def _accept_entries(value: Any, shape: Entries, where: str) -> dict[str, Any]:
    _check_type(value, dict, where)
    missing = [name for name in shape.required if name not in value]
    if missing:
        raise ValueError(f"{where} lacks {', '.join(missing)}")
    known = {**shape.required, **shape.optional}
    return {name: accept(value[name], wanted, f"{name} in {where}") for name, wanted in known.items() if name in value}


def _check_type(value: Any, wanted: type, where: str) -> None:
    # `isinstance` would take True for a number, because bool is a subclass of int. So the types must be the same.
    if type(value) is not wanted:
        raise ValueError(f"{where} is of the type {type(value).__name__}, and not {wanted.__name__}")
