"""Checks of what callers pass where no type checker does.

Each raises `InvalidArgument` with the argument's name, what was found and what to give instead. Of
an argument that may be a secret only the type is told.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any

from greenroom.errors import InvalidArgument


def text(what: str, value: object) -> None:
    """Raise unless it is a str."""
    if not isinstance(value, str):
        raise _wrong(what, value, "a str")


def flag(what: str, value: object) -> None:
    """Raise unless it is a bool, or an int such as numpy's booleans become."""
    if not isinstance(value, (bool, int)) and type(value).__name__ not in ("bool_", "bool"):
        raise _wrong(what, value, "True or False")


def seconds(what: str, value: object) -> None:
    """Raise unless it is a finite number of seconds, 0 or more."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise InvalidArgument(f"{what} is {shown(value)}; it must be a number of seconds, 0 or more")


def timeout(what: str, value: object) -> None:
    """Raise unless it is a finite number; the native half checks that it is above 0."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise InvalidArgument(f"{what} is {shown(value)}; it must be a number of seconds above 0")


def whole(what: str, value: object) -> None:
    """Raise unless it is an int."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidArgument(f"{what} is {shown(value)}; it must be a whole number")


def number(what: str, value: object) -> None:
    """Raise unless it is a number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise InvalidArgument(f"{what} is {shown(value)}; it must be a number")


def path(what: str, value: object) -> None:
    """Raise unless it is the path of a file or a folder."""
    if not isinstance(value, (str, os.PathLike)):
        raise _wrong(what, value, "a path: a str or a pathlib.Path")


def texts(what: str, value: object) -> None:
    """Raise unless it is a collection of str, and no str itself."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Collection):
        raise _wrong(what, value, "a list of str")
    for one in value:
        text(f"an entry of {what}", one)


def text_mapping(what: str, value: object) -> None:
    """Raise unless it is a mapping of str to str."""
    if not isinstance(value, Mapping):
        raise _wrong(what, value, "a dict of str to str")
    for name, one in value.items():
        text(f"a name of {what}", name)
        text(f"{what}[{name!r}]", one)


def mapping(what: str, value: object) -> None:
    """Raise unless it is a mapping."""
    if not isinstance(value, Mapping):
        raise _wrong(what, value, "a dict")


def function(what: str, value: object) -> None:
    """Raise unless it can be called."""
    if not callable(value):
        raise _wrong(what, value, "a function")


def optional(check: Callable[[str, object], None], **values: Any) -> None:
    """Apply a check to those of the values that are not None."""
    for what, value in values.items():
        if value is not None:
            check(what, value)


def each(check: Callable[[str, object], None], **values: Any) -> None:
    """Apply a check to all of the values."""
    for what, value in values.items():
        check(what, value)


def shown(value: object) -> str:
    """A value that is no secret, for a message: of anything else than text and numbers its type."""
    return repr(value) if value is None or isinstance(value, (str, int, float)) else f"of type {type(value).__name__}"


def _wrong(what: str, value: object, wanted: str) -> InvalidArgument:
    return InvalidArgument(f"{what} is of type {type(value).__name__}; pass {wanted}")
