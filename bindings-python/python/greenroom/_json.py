"""From the JSON of the core to the dataclasses of this package: one rule for all of them.

A field is filled from the key of its name, without a trailing underscore (`from_`), or from the key
that its metadata names under `json`; a key that ends in `_ms` is milliseconds and becomes seconds.
Lists become tuples. In a union of dataclasses `type` selects one. Speech is base64. Keys that a
class has no field for are left out.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

from greenroom import _speech
from greenroom import events as _events
from greenroom import types as _types
from greenroom.events import Event, UnknownEvent
from greenroom.types import Item, UnknownItem

_T = TypeVar("_T")
_Convert = Callable[[Any], Any]


def build(cls: type[_T], data: Mapping[str, Any]) -> _T:
    """The dataclass `cls` from a JSON object."""
    given = {}
    for name, key, convert in _plan(cls):
        if key in data:
            given[name] = convert(data[key])
    return cls(**given)


def event(text: str) -> Event:
    """An event from its JSON text."""
    return _event(json.loads(text))


def item(data: Mapping[str, Any]) -> Item:
    """An item of a conversation from its JSON object."""
    if data["type"] not in _classes(Item):
        return UnknownItem(what=f"an item of the type {data['type']}, which this version does not know")
    built: Item = _tagged(Item)(data)
    return built


def _event(data: Mapping[str, Any]) -> Event:
    if data["type"] not in _classes(Event):
        what = f"an event of the type {data['type']}, which this version does not know"
        known = ("seq", "time", "earlier", "late", "raw")
        return UnknownEvent(what=what, **{key: data[key] for key in known if key in data})
    built: Event = _tagged(Event)(data)
    return built


def _plan(cls: type[Any]) -> list[tuple[str, str, _Convert]]:
    """For each field of a dataclass: its name, its key in JSON and what is done to the value."""
    plan = _plans.get(cls)
    if plan is None:
        plan = _plans[cls] = _make_plan(cls)
    return plan


_plans: dict[type[Any], list[tuple[str, str, _Convert]]] = {}


def _make_plan(cls: type[Any]) -> list[tuple[str, str, _Convert]]:
    hints = typing.get_type_hints(cls, localns={**vars(_types), **vars(_events), "Speech": _speech.Speech})
    plan = []
    for field in dataclasses.fields(cls):
        key = field.metadata.get("json", field.name.removesuffix("_"))
        convert = _seconds if key.endswith("_ms") else _converter(hints[field.name])
        plan.append((field.name, key, convert))
    return plan


def _converter(hint: Any) -> _Convert:
    """What turns JSON into a value of the type `hint`."""
    if hint is _speech.Speech:
        return _speech.decode
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return lambda data: build(hint, data)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        convert = _converter(args[0])
        return lambda values: tuple(convert(value) for value in values)
    if origin in (typing.Union, types.UnionType):
        if hint == Event:
            return _event
        if hint == Item:
            return item
        convert = _converter(next(arg for arg in args if arg is not types.NoneType))
        return lambda value: None if value is None else convert(value)
    return _same


@cache
def _classes(union: Any) -> dict[str, type[Any]]:
    """The dataclasses of a union by what `type` says."""
    classes = {}
    for cls in typing.get_args(union):
        tag = next(field.default for field in dataclasses.fields(cls) if field.name == "type")
        classes[str(tag)] = cls
    return classes


def _tagged(union: Any) -> _Convert:
    return lambda data: build(_classes(union)[data["type"]], data)


def _same(value: Any) -> Any:
    return value


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
