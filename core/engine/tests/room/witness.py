"""A Room of LiveKit's Python SDK that sends back what it gets: `witness.py URL TOKEN`. It leaves when its input closes.

A byte stream of the topic `files` comes back under the name of its SHA-256, compressed if it says so; a text of `words`
and a packet of `packets` come back as they are. All on the topic `echo`, to their sender.
"""

import asyncio
import hashlib
import sys
from collections.abc import Coroutine
from typing import Any

from livekit import rtc


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

    room.register_byte_stream_handler("files", lambda reader, identity: spawn(send_back(reader, identity)))
    room.register_text_stream_handler("words", lambda reader, identity: spawn(say_back(reader, identity)))
    room.on("data_received", throw_back)
    await room.connect(url, token)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await room.disconnect()


asyncio.run(main(*sys.argv[1:]))
