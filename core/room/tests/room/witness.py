"""A Room of LiveKit's Python SDK that sends back what it gets: `witness.py URL TOKEN`. It leaves when its input closes.

A byte stream of the topic `files` comes back under the name of its SHA-256, compressed if it says so; a text of `words`
and a packet of `packets` come back as they are. All on the topic `echo`, to their sender.

Every half second of audio that it hears, it tells how loud 440 Hz is in it and how loud all is, in dBFS, in a packet of
the topic `heard`; and what becomes of a track, in one of `saw`. After a packet of `sing` it sings 440 Hz itself, until
one of `hush`.
"""

from __future__ import annotations

import array
import asyncio
import hashlib
import json
import math
import sys
from collections.abc import Coroutine
from typing import Any

from livekit import rtc

RATE = 48_000


def levels(samples: array.array[int]) -> tuple[float, float]:
    """The level of the sine of 440 Hz (Goertzel), and of everything as if it were one sine."""
    twice = 2 * math.cos(2 * math.pi * 440 / RATE)
    one = two = power = 0.0
    for sample in samples:
        one, two = sample + twice * one - two, one
        power += sample * sample
    tone = 2 * math.sqrt(max(one * one + two * two - twice * one * two, 1e-9)) / len(samples)
    whole = math.sqrt(2 * max(power, 1e-9) / len(samples))
    return 20 * math.log10(tone / 32768), 20 * math.log10(whole / 32768)


async def main(url: str, token: str) -> None:
    room = rtc.Room()
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def send_back(reader: rtc.ByteStreamReader, identity: str) -> None:
        data = b"".join([chunk async for chunk in reader])
        await room.local_participant.send_bytes(
            data,
            topic="echo",
            name=hashlib.sha256(data).hexdigest(),
            compress=reader.info.attributes["compress"] == "true",
            destination_identities=[identity],
        )

    async def say_back(reader: rtc.TextStreamReader, identity: str) -> None:
        text = await reader.read_all()
        await room.local_participant.send_text(text, topic="echo", destination_identities=[identity])

    def throw_back(packet: rtc.DataPacket) -> None:
        if packet.topic == "packets":
            reliable = packet.kind == rtc.DataPacketKind.KIND_RELIABLE
            spawn(room.local_participant.publish_data(packet.data, topic="echo", reliable=reliable))

    def say(topic: str, what: object) -> None:
        spawn(room.local_participant.publish_data(json.dumps(what), topic=topic))

    async def listen(track: rtc.Track) -> None:
        samples: array.array[int] = array.array("h")
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1):
            samples.frombytes(event.frame.data.tobytes())
            if len(samples) >= RATE // 2:
                say("heard", levels(samples))
                samples = array.array("h")

    async def sing() -> None:
        source = rtc.AudioSource(RATE, 1)
        track = rtc.LocalAudioTrack.create_audio_track("song", source)
        await room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        at = 0
        while not hushed.is_set():
            step = 2 * math.pi * 440 / RATE
            tone = array.array("h", (round(8192 * math.sin(step * (at + n))) for n in range(RATE // 100)))
            at += len(tone)
            await source.capture_frame(rtc.AudioFrame(tone.tobytes(), RATE, 1, len(tone)))
        await room.local_participant.unpublish_track(track.sid)

    hushed = asyncio.Event()

    def obey(packet: rtc.DataPacket) -> None:
        if packet.topic == "sing":
            spawn(sing())
        elif packet.topic == "hush":
            hushed.set()

    room.on("data_received", obey)
    room.on("track_subscribed", lambda track, *_: spawn(listen(track)))
    room.on("track_muted", lambda *_: say("saw", "muted"))
    room.on("track_unmuted", lambda *_: say("saw", "unmuted"))
    room.on("track_unpublished", lambda *_: say("saw", "unpublished"))
    room.register_byte_stream_handler("files", lambda reader, identity: spawn(send_back(reader, identity)))
    room.register_text_stream_handler("words", lambda reader, identity: spawn(say_back(reader, identity)))
    room.on("data_received", throw_back)
    await room.connect(url, token)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await room.disconnect()


asyncio.run(main(*sys.argv[1:]))
