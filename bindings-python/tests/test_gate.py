"""What the gate and the hosts are told, without a server."""

import asyncio
import importlib.metadata

import pytest
from livekit import rtc

import greenroom
from greenroom.livekit import RoomSessionTransport


async def test_what_cannot_be_meant_is_told():
    room = rtc.Room()
    for options, words in [
        ({"policy": ["boss"]}, "policy is a list"),
        ({"policy": {"boss": "drive"}}, r"'boss' are 'drive'; pass a list of 'observe', 'drive', 'io'"),
        ({"policy": {"boss": ["fly"]}}, "'boss'"),
        ({"policy": greenroom.Policy(default=["fly"])}, "'default'"),
        ({"policy": greenroom.Policy(hidden="boss")}, "hidden is 'boss'; pass a list"),
        ({"policy": greenroom.Policy(hidden=[1])}, "hidden"),
        ({"run_input": "drop"}, "run_input is 'drop'; it must be 'queue' or 'refuse'"),
    ]:
        with pytest.raises(greenroom.InvalidArgument, match=words):
            greenroom.gate(room, **options)
        with pytest.raises(greenroom.InvalidArgument, match=words):
            RoomSessionTransport(room, **options)
    greenroom.gate(room).close()


async def test_anything_else_than_a_room_is_refused():
    for what in (lambda: greenroom.gate(object()), RoomSessionTransport(object()).start, lambda: greenroom.attach("r")):
        with pytest.raises(greenroom.InvalidArgument, match=r"takes a livekit\.rtc\.Room"):
            await what()


@pytest.mark.parametrize(
    ("version", "lacking", "error", "words"),
    [
        (None, "livekit", greenroom.SdkMissing, r'livekit is not installed .*pip install "greenroom\[livekit\]"'),
        (
            "1.0.25",
            "Participant.permissions",
            greenroom.SdkTooOld,
            r"livekit 1\.0\.25 has no rtc\.Participant\.permissions, which 1\.1\.2 has: .*-U livekit-agents",
        ),
        ("1.0.0", "Room.register_byte_stream_handler", greenroom.SdkTooOld, "register_byte_stream_handler"),
        ("2.0.0", "LocalParticipant.stream_bytes", greenroom.Unsupported, r"livekit 2\.0\.0 has no .*stream_bytes"),
    ],
)
async def test_sdk_that_lacks_something_is_named_with_the_fix(monkeypatch, version, lacking, error, words):
    room = rtc.Room()
    pretend(monkeypatch, version)
    if "." in lacking:
        owner, name = lacking.split(".")
        monkeypatch.delattr(getattr(rtc, owner), name)
    else:
        monkeypatch.delattr(rtc, "Room")
    with pytest.raises(error, match=words):
        greenroom.gate(room)
    with pytest.raises(error, match=words):
        await greenroom.attach(room)
    with pytest.raises(error, match=words):
        await RoomSessionTransport(room).start()


async def test_sdk_of_any_number_takes_a_gate_if_it_has_what_is_needed(monkeypatch):
    for version in ("1.1.2", "1.1.20", "2.0.0", "0.0.1"):
        pretend(monkeypatch, version)
        greenroom.gate(rtc.Room()).close()


async def test_host_where_the_sdk_s_own_cannot_be_left_out_names_the_release_and_the_gate(monkeypatch):
    from greenroom import _livekit

    session_class = _livekit._session_class()

    async def start(self, agent, *, room=None):
        """As livekit-agents 1.6.8 has it."""

    session = session_class()
    monkeypatch.setattr(session_class, "start", start)
    pretend(monkeypatch, "1.6.8", "livekit-agents")
    with pytest.raises(greenroom.SdkTooOld, match=r"1\.6\.8 has no `session_host=` .*1\.6\.9.*greenroom\.gate"):
        await greenroom.livekit.host(session, rtc.Room())


def pretend(monkeypatch, version, package="livekit"):
    """Have the metadata of a package say that this version is installed, or None."""
    real = importlib.metadata.version

    def installed(name):
        if name != package:
            return real(name)
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", installed)


def test_a_gate_needs_the_event_loop_of_the_agent():
    with pytest.raises(greenroom.InvalidArgument, match="no event loop"):
        greenroom.gate(object())


async def test_a_room_belongs_to_one_event_loop():
    room = rtc.Room()
    with greenroom.gate(room):

        async def elsewhere():
            await RoomSessionTransport(room).start()

        with pytest.raises(greenroom.InvalidArgument, match="another event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())
    await asyncio.to_thread(asyncio.run, RoomSessionTransport(room).start())


async def test_anything_else_than_an_agent_session_is_refused():
    with pytest.raises(greenroom.InvalidArgument, match=r"takes a livekit\.agents\.AgentSession"):
        await greenroom.livekit.host(object(), rtc.Room())


async def test_a_room_of_the_console_takes_a_gate():
    """Where an agent runs without a room, as under `greenroom.start`, the SDK gives it a stand-in."""
    from livekit.agents.ipc.mock_room import create_mock_room

    room = create_mock_room()
    with greenroom.gate(room) as gate:
        room.register_byte_stream_handler("lk.agent.session", lambda *_: None)
        assert gate.status()["requests"] == 0
        await room.local_participant.send_bytes(b"\x1a\x00", topic="lk.agent.session")
    assert room.register_byte_stream_handler("files", lambda *_: None)
