"""What is no such argument: for every parameter of every public call, one of a wrong kind is `InvalidArgument`.

The parameters are read off the signatures, so a new call or parameter is tested as soon as it is there.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
from livekit import rtc

import greenroom
import greenroom.livekit
from greenroom import audio, sync


class Wrong:
    """Of no kind that any parameter takes, and its text is nothing to show."""

    def __repr__(self) -> str:
        return "a-secret"


# What a required parameter gets while another is tested.
FITS = {
    "text": "hi",
    "url": "ws://127.0.0.1:9",
    "token": "token",
    "topic": "topic",
    "payload": b"x",
    "data": b"x",
    "track": "TR_x",
    "metadata": "x",
    "attributes": {},
    "provisional_success": True,
    "host": "127.0.0.1",
    "port": 9,
    "sound": b"\0\0",
    "noise": "white",
    "snr": 10,
    "event": "closed",
    "callback": print,
    "agent_identity": "agent",
}
# Parameters that take any object, or objects of the SDK whose calls check them with tests of their own.
ANY = {
    "room",
    "agent_session",
    "session",
    "transport",
    "audio_input",
    "audio_output",
    "audio",
    "frame",
    "msg",
    "options",
}
ANY |= {"sound", "samples"}
FUNCTIONS = [
    greenroom.start,
    greenroom.open,
    greenroom.in_process,
    greenroom.attach,
    greenroom.join,
    greenroom.gate,
    greenroom.credentials,
    audio.capture,
    audio.playback,
    audio.noisy,
    greenroom.Room.connect,
    greenroom.livekit.host,
    greenroom.livekit.RemoteSession.from_room,
]
CLASSES = [
    greenroom.Session,
    greenroom.Room,
    greenroom.LocalAudioTrack,
    audio.Capture,
    audio.Playback,
    greenroom.livekit.RemoteSession,
]
# Made by calling them.
MADE = [greenroom.livekit.TcpSessionTransport, greenroom.livekit.RoomSessionTransport]
# Taken by something else: another module's twin of a function above, values, and what needs no arguments.
ELSEWHERE = {"audio", "livekit", "sync", "Session", "Room", "LocalAudioTrack", "Gate", "Speech", "Opening"}


def parameters(function: Any) -> Iterator[str]:
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name not in ("self", "cls") and parameter.name not in ANY and not parameter.name.startswith("_"):
            yield parameter.name


def methods(cls: type) -> Iterator[Any]:
    for name, method in inspect.getmembers(cls, inspect.isfunction):
        if not name.startswith("_"):
            yield method


def cases() -> Iterator[Any]:
    for function in [*FUNCTIONS, *MADE]:
        for name in parameters(function):
            yield pytest.param(function, name, id=f"{function.__qualname__}-{name}")
    for cls in CLASSES:
        for method in methods(cls):
            for name in parameters(method):
                yield pytest.param(method, name, id=f"{method.__qualname__}-{name}")


@pytest.mark.parametrize(("function", "name"), list(cases()))
async def test_argument_of_a_wrong_kind_is_invalid(function: Any, name: str) -> None:
    arguments: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name == "self":
            arguments["self"] = object.__new__(owner(function))
        elif parameter.name == "room" and function not in (greenroom.credentials, greenroom.start):
            arguments["room"] = rtc.Room()
        elif parameter.default is inspect.Parameter.empty and parameter.name not in ANY:
            arguments[parameter.name] = FITS[parameter.name]
        elif parameter.default is inspect.Parameter.empty:
            arguments[parameter.name] = FITS.get(parameter.name, object())
    arguments[name] = Wrong()
    with pytest.raises(greenroom.InvalidArgument, match="Wrong") as failure:
        await called(function, arguments)
    assert "a-secret" not in str(failure.value)


async def called(function: Any, arguments: dict[str, Any]) -> None:
    result = function(**arguments)
    if inspect.isawaitable(result):
        await result


def owner(method: Any) -> type:
    """The class of a method."""
    return next(cls for cls in CLASSES if getattr(cls, method.__name__, None) is method)


def test_every_public_call_is_in_the_table() -> None:
    known = {function.__qualname__.split(".")[0] for function in FUNCTIONS} | ELSEWHERE
    for module in (greenroom, audio, greenroom.livekit):
        for name in module.__all__:
            what = getattr(module, name)
            takes = inspect.isfunction(what) and inspect.signature(what).parameters
            assert not takes or name in known, (
                f"{module.__name__}.{name} takes arguments: say in this table what they are"
            )
    # Their arguments go through those above.
    for twin in ("start", "open", "join", "capture", "playback"):
        assert callable(getattr(sync, twin))
