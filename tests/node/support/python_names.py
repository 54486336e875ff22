"""Prints what the Python package exports, as JSON, for parity.test.mjs."""

import dataclasses
import inspect
import json
import typing

import greenroom
import greenroom.audio
import greenroom.livekit


def parameters(function):
    """The parameters of a function with their defaults; null where there is none."""
    found = inspect.signature(function).parameters.values()
    absent = inspect.Parameter.empty
    return {p.name: None if p.default is absent else p.default for p in found if p.name != "self"}


def fields(cls):
    """The names of a dataclass' fields in JSON, and of its properties."""
    names = [field.metadata.get("json", field.name.rstrip("_")) for field in dataclasses.fields(cls)]
    return names + [name for name, value in vars(cls).items() if isinstance(value, property)]


def methods(cls):
    """The names of a class' public methods and properties, of its own."""
    kinds = (property, classmethod)
    return [
        name
        for name, value in vars(cls).items()
        if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, kinds))
    ]


exported = {name: getattr(greenroom, name) for name in greenroom.__all__}
classes = {name: value for name, value in exported.items() if inspect.isclass(value)}
rooms = {name: getattr(greenroom.livekit, name) for name in greenroom.livekit.__all__}
room_events = typing.get_args(greenroom.RoomEvent)
public = [name for name in vars(greenroom.Session) if not name.startswith("_")]
print(
    json.dumps(
        {
            "names": list(exported),
            "version": greenroom.__version__,
            "errors": {name: cls.code for name, cls in classes.items() if issubclass(cls, greenroom.GreenroomError)},
            "types": {name: fields(cls) for name, cls in classes.items() if dataclasses.is_dataclass(cls)},
            "events": {
                cls.__dataclass_fields__["type"].default: fields(cls)
                for name, cls in classes.items()
                if name.endswith("Event") and dataclasses.is_dataclass(cls) and cls not in room_events
            },
            "room_events": {cls.__dataclass_fields__["type"].default: fields(cls) for cls in room_events},
            "room_event_classes": [cls.__name__ for cls in room_events],
            "room": methods(greenroom.Room),
            "room_calls": {
                name: parameters(getattr(greenroom.Room, name))
                for name in (
                    "connect",
                    "publish",
                    "publish_audio",
                    "send_bytes",
                    "send_text",
                    "subscribe",
                    "receive",
                    "set_attributes",
                    "set_metadata",
                )
            },
            "session": {
                name: parameters(getattr(greenroom.Session, name))
                for name in public
                if inspect.isfunction(getattr(greenroom.Session, name))
            },
            "session_properties": [name for name in public if isinstance(getattr(greenroom.Session, name), property)],
            "gate": methods(greenroom.Gate),
            "audio": {
                "names": greenroom.audio.__all__,
                "functions": {name: parameters(getattr(greenroom.audio, name)) for name in ("capture", "playback")},
                "methods": {
                    name: [*methods(getattr(greenroom.audio, name)), *methods(greenroom.audio.Capture.__base__)]
                    for name in ("Capture", "Playback")
                },
                "types": {
                    name: fields(getattr(greenroom.audio, name)) for name in ("Device", "Position", "Recorded", "Frame")
                },
                "events": {
                    cls.__dataclass_fields__["type"].default: fields(cls)
                    for cls in typing.get_args(greenroom.audio.AudioEvent)
                },
            },
            "livekit": {
                "names": list(rooms),
                "methods": {name: methods(cls) for name, cls in rooms.items() if inspect.isclass(cls)},
            },
            "functions": {name: parameters(value) for name, value in exported.items() if inspect.isfunction(value)},
        },
        default=list,
    )
)
