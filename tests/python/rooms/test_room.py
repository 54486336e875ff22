"""A room without any SDK, with the SDK's own Rooms as witnesses: what they receive is what we sent, and the reverse."""

import array
import asyncio
import hashlib
import itertools
import math
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from livekit import rtc

import greenroom

from .support.venue import Venue, until


async def connect(venue: Venue, identity: str = "ours") -> greenroom.Room:
    room = await greenroom.Room.connect(venue.server.url, venue.token(identity))
    await venue.announce(identity)
    return room


async def both(venue: Venue) -> tuple[greenroom.Room, rtc.Room]:
    """A room of ours and one of the SDK's, which know each other."""
    ours, theirs = await connect(venue), await venue.connect("theirs")
    await until("the SDK knows us", lambda: "ours" in theirs.remote_participants)
    await until("we know the SDK", lambda: "theirs" in ours.participants and ours.participants["theirs"].is_active)
    return ours, theirs


async def event_of(events: greenroom.RoomEvents, kind: str) -> greenroom.RoomEvent:
    """The next event of a type."""

    async def find() -> greenroom.RoomEvent:
        async for event in events:
            if event.type == kind:
                return event
        raise AssertionError(f"the events ended without {kind}")

    return await asyncio.wait_for(find(), 15)


async def test_who_is_there_and_what_they_may(venue: Venue) -> None:
    ours, theirs = await both(venue)
    async with ours:
        events = ours.events()
        assert (ours.info.name, ours.local.identity) == (venue.name, "ours")
        assert ours.local.sid == theirs.remote_participants["ours"].sid
        assert (ours.participants["theirs"].kind, ours.disconnected) == ("standard", None)
        await venue.set_grant("theirs", True)
        changed = await event_of(events, "permissions_changed")
        assert isinstance(changed, greenroom.PermissionsChangedEvent)
        assert changed.participant.permissions is not None
        assert changed.participant.permissions.can_manage_agent_session
        await ours.set_attributes({"a.b_c": "1"})
        await until("they see it", lambda: theirs.remote_participants["ours"].attributes.get("a.b_c") == "1")
        assert ours.local.attributes == {"a.b_c": "1"}
        await ours.set_metadata("hello")
        await until("they see it", lambda: theirs.remote_participants["ours"].metadata == "hello")
        await theirs.disconnect()
        left = await event_of(events, "participant_left")
        assert isinstance(left, greenroom.ParticipantLeftEvent)
        assert left.participant.identity == "theirs"
    assert ours.disconnected is not None
    assert ours.disconnected.reason == "client_initiated"


async def test_packets_both_ways(venue: Venue) -> None:
    ours, theirs = await both(venue)
    got: list[tuple[bytes, str | None]] = []
    theirs.on("data_received", lambda packet: got.append((bytes(packet.data), packet.topic)))
    async with ours:
        events = ours.events()
        await ours.publish(b"\x00\xff reliable", topic="t", to=["theirs"])
        await until("they have it", lambda: (b"\x00\xff reliable", "t") in got)
        # What is lossy may be lost, but not for ever.
        for _ in range(50):
            await ours.publish(b"lossy", topic="t", reliable=False)
            await asyncio.sleep(0)
        await until("they have one", lambda: (b"lossy", "t") in got)
        await theirs.local_participant.publish_data(b"\x01 back", topic="u", destination_identities=["ours"])
        data = await event_of(events, "data")
        assert data == greenroom.DataEvent(from_="theirs", topic="u", reliable=True, payload=b"\x01 back")


@pytest.mark.parametrize("compress", [True, False])
async def test_streams_of_4_mib_both_ways(venue: Venue, compress: bool) -> None:
    ours, theirs = await both(venue)
    # Half of it is the same again, so that there is something to compress.
    sent = os.urandom(2 << 20) * 2
    checksum = hashlib.sha256(sent).hexdigest()
    got: asyncio.Future[tuple[str, str, str]] = asyncio.get_running_loop().create_future()

    async def read(reader: rtc.ByteStreamReader, who: str) -> None:
        data = b"".join([chunk async for chunk in reader])
        got.set_result((who, reader.info.name, hashlib.sha256(data).hexdigest()))

    tasks = set()
    theirs.register_byte_stream_handler(
        "files", lambda reader, who: tasks.add(asyncio.ensure_future(read(reader, who)))
    )
    async with ours:
        streams = ours.receive("files")
        with pytest.raises(greenroom.InvalidArgument):
            ours.receive("files")
        await ours.send_bytes(sent, topic="files", name="a.bin", to=["theirs"], compress=compress)
        assert await asyncio.wait_for(got, 60) == ("ours", "a.bin", checksum)
        sending = asyncio.ensure_future(
            theirs.local_participant.send_bytes(sent, topic="files", name="b.bin", destination_identities=["ours"])
        )
        stream = await asyncio.wait_for(anext(streams), 30)
        assert (stream.info.from_, stream.info.name, stream.info.is_text) == ("theirs", "b.bin", False)
        back = await asyncio.wait_for(stream.read(), 60)
        assert hashlib.sha256(back).hexdigest() == checksum
        await sending


async def test_text_both_ways(venue: Venue) -> None:
    ours, theirs = await both(venue)
    got: list[str] = []

    async def read(reader: rtc.TextStreamReader) -> None:
        got.append(await reader.read_all())

    tasks = set()
    theirs.register_text_stream_handler("chat", lambda reader, _: tasks.add(asyncio.ensure_future(read(reader))))
    async with ours:
        chat = ours.receive("chat")
        await ours.send_text("grüß dich 🎙", topic="chat", attributes={"a": "b"})
        await until("they have it", lambda: got == ["grüß dich 🎙"])
        await theirs.local_participant.send_text("zurück", topic="chat")
        stream = await asyncio.wait_for(anext(chat), 15)
        assert (stream.info.is_text, await stream.read_text()) == (True, "zurück")


RATE = 48_000


def tones() -> Iterator[bytes]:
    """A sine of 440 Hz at a quarter of full scale, in parts of 10 ms."""
    for at in itertools.count(step=RATE // 100):
        places = range(at, at + RATE // 100)
        yield array.array("h", (round(8192 * math.sin(2 * math.pi * 440 * n / RATE)) for n in places)).tobytes()


def level(samples: "array.array[int]") -> float:
    """How loud the sine of 440 Hz is in samples, as a share of full scale."""
    turn = 2 * math.pi * 440 / RATE
    sine = sum(sample * math.sin(turn * n) for n, sample in enumerate(samples))
    cosine = sum(sample * math.cos(turn * n) for n, sample in enumerate(samples))
    return 2 * math.hypot(sine, cosine) / len(samples) / 32768


async def hears_it(frames: AsyncIterator[bytes]) -> None:
    """Reads until half a second of it is the tone."""

    async def listen() -> None:
        samples: array.array[int] = array.array("h")
        async for data in frames:
            samples.frombytes(data)
            if len(samples) >= RATE // 2:
                if 0.2 < level(samples) < 0.3:
                    return
                samples = array.array("h")
        raise AssertionError("the audio ended")

    await asyncio.wait_for(listen(), 30)


async def test_audio_both_ways(venue: Venue) -> None:
    ours, theirs = await both(venue)
    coming: asyncio.Queue[rtc.Track] = asyncio.Queue()
    theirs.on("track_subscribed", lambda track, *_: coming.put_nowait(track))

    async def sing(capture: "rtc.AudioSource | greenroom.LocalAudioTrack") -> None:
        for data in tones():
            await capture.capture_frame(rtc.AudioFrame(data, RATE, 1, RATE // 100))

    async with ours:
        events = ours.events()
        track = await ours.publish_audio("song")
        singing = asyncio.ensure_future(sing(track))
        at_theirs = rtc.AudioStream(await asyncio.wait_for(coming.get(), 15), sample_rate=RATE)
        await hears_it(event.frame.data.tobytes() async for event in at_theirs)
        await at_theirs.aclose()
        muted: list[str] = []
        theirs.on("track_muted", lambda participant, _: muted.append(participant.identity))
        await track.mute()
        await until("they see it", lambda: muted == ["ours"])
        singing.cancel()
        await track.clear_queue()
        await track.wait_for_playout()
        await track.unpublish()
        with pytest.raises(greenroom.InvalidArgument, match="not published"):
            await track.capture_frame(greenroom.audio.Frame(data=bytes(960), rate=RATE))

        source = rtc.AudioSource(RATE, 1)
        song = rtc.LocalAudioTrack.create_audio_track("theirs", source)
        await theirs.local_participant.publish_track(song)
        published = await event_of(events, "track_published")
        assert isinstance(published, greenroom.TrackPublishedEvent)
        assert (published.participant.identity, published.track.name) == ("theirs", "theirs")
        assert ours.participants["theirs"].tracks == (published.track,)
        singing = asyncio.ensure_future(sing(source))
        stream = await ours.subscribe(published.track)
        assert (stream.from_, stream.track, stream.rate) == ("theirs", published.track, RATE)
        await hears_it(frame.data async for frame in stream)
        singing.cancel()
        await theirs.local_participant.unpublish_track(song.sid)
        await event_of(events, "track_unpublished")
        await asyncio.wait_for(ended(stream), 15)
        with pytest.raises(greenroom.InvalidArgument, match="no other participant publishes"):
            await ours.subscribe(published.track)


async def ended(stream: greenroom.AudioStream) -> None:
    async for _ in stream:
        pass


async def test_a_wait_that_is_cancelled_loses_nothing(venue: Venue) -> None:
    ours, theirs = await both(venue)
    async with ours:
        streams = ours.receive("chat")
        for _ in range(3):
            with pytest.raises((asyncio.TimeoutError, TimeoutError)):
                await asyncio.wait_for(anext(streams), 0.01)
        await theirs.local_participant.send_text("still here", topic="chat")
        stream = await asyncio.wait_for(anext(streams), 15)
        assert await stream.read_text() == "still here"
        await streams.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(streams)
        # The topic is free again.
        ours.receive("chat")


async def test_a_room_that_is_deleted_says_so_to_all_who_wait(venue: Venue) -> None:
    ours = await connect(venue)
    async with ours:
        waiting = asyncio.ensure_future(anext(ours.receive("chat")))
        events = ours.events()
        await venue.delete()
        gone = await event_of(events, "disconnected")
        assert isinstance(gone, greenroom.DisconnectedEvent)
        assert gone.reason == "room_deleted"
        with pytest.raises(StopAsyncIteration):
            await asyncio.wait_for(waiting, 15)
        with pytest.raises(greenroom.AgentGone, match="room"):
            await ours.send_text("hi", topic="chat")


async def test_what_cannot_be_meant_is_refused(venue: Venue) -> None:
    with pytest.raises(greenroom.InvalidArgument, match=r"Room\.connect"):
        greenroom.Room()
    with pytest.raises(greenroom.PermissionDenied, match="refused the token"):
        await greenroom.Room.connect(venue.server.url, "nonsense")
    async with await connect(venue) as room:
        with pytest.raises(greenroom.TooLarge, match="over the 6"):
            await room.publish(bytes(70_000))
        with pytest.raises(greenroom.InvalidArgument, match="list of identities"):
            await room.publish(b"x", to="theirs")
    with pytest.raises(greenroom.SessionClosed):
        await room.publish(b"x")
    await room.close()


async def test_to_be_cancelled_while_joining_leaves_nothing(venue: Venue) -> None:
    witness = await venue.connect("witness")
    for seconds in (0.0, 0.005, 0.02, 0.04):
        joining = asyncio.ensure_future(greenroom.Room.connect(venue.server.url, venue.token("ours")))
        await asyncio.sleep(seconds)
        joining.cancel()
        await asyncio.wait({joining}, timeout=10)
        assert joining.done(), f"a join that was cancelled after {seconds} s hangs"
        if not joining.cancelled():
            await (await joining).close()
    await until("nobody is left", lambda: not witness.remote_participants)
