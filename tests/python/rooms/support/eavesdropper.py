"""A participant who listens in. tests/node/support/eavesdropper.mjs is its twin.

What the SDK gives its users is not all that reaches a participant: packets of streams that are addressed to others
may come too, without the header that would tell what they belong to. Somebody with a client of their own would read
them, so a test that nobody overhears anything has to. That is below the SDK's public surface; only this file goes
there.
"""

import asyncio
import contextlib
import uuid
import zlib

from livekit import rtc
from livekit.rtc._ffi_client import FfiClient
from livekit.rtc._proto.ffi_pb2 import FfiEvent

from .venue import send, until

TOPIC = "lk.agent.session"
FENCE = "eavesdropper.fence"


class Eavesdropper:
    """Records all that reaches a Room of byte streams. Use it as an async context manager."""

    def __init__(self, room: rtc.Room, topic: str = TOPIC) -> None:
        self.room = room
        # Streams on the topic to all or to this participant, in the order of their ends: sender and content.
        self.delivered: list[tuple[str, bytes]] = []
        # What came of streams to others: by stream, the sender and the content as it travels. Their topics are unknown.
        self.strays: dict[str, tuple[str, bytes]] = {}
        self._topic = topic
        self._announced: set[str] = set()
        self._readers: set[asyncio.Task[None]] = set()
        self._fences: set[str] = set()

    async def __aenter__(self) -> "Eavesdropper":
        handle = self.room._ffi_handle
        assert handle is not None, "the room is not connected"
        number = handle.handle
        self._events = FfiClient.instance.queue.subscribe(
            filter_fn=lambda event: (
                event.WhichOneof("message") == "room_event" and event.room_event.room_handle == number
            )
        )
        self._listener = asyncio.create_task(self._listen())
        self.room.register_byte_stream_handler(self._topic, self._open)
        self.room.register_byte_stream_handler(FENCE, self._open_fence)
        self.room.on("data_received", self._pass_fence)
        return self

    async def __aexit__(self, *_: object) -> None:
        FfiClient.instance.queue.unsubscribe(self._events)
        self.room.unregister_byte_stream_handler(self._topic)
        self.room.unregister_byte_stream_handler(FENCE)
        self.room.off("data_received", self._pass_fence)
        for task in (self._listener, *self._readers):
            task.cancel()
        await asyncio.gather(self._listener, *self._readers, return_exceptions=True)

    async def caught_up(self, *senders: rtc.Room) -> None:
        """Waits until all has arrived that these sent before this call.

        Packets of one sender keep their order, and so do streams; but the SDK tells of packets and of streams apart.
        The stream goes to all: chunks of one to this participant alone may reach others, as strays.
        """
        for sender in senders:
            packet, stream = uuid.uuid4().hex, uuid.uuid4().hex
            await sender.local_participant.publish_data(
                packet, reliable=True, destination_identities=[self.room.local_participant.identity], topic=FENCE
            )
            await send(sender.local_participant, b"", topic=FENCE, name=stream)
            await until("the eavesdropper catches up", lambda marks={packet, stream}: marks <= self._fences)
        # The Room has a queue of its own, and may be ahead.
        await until("the eavesdropper has heard all that its Room has", self._events.empty)
        await until("the eavesdropper's streams end", lambda: not self._readers)

    def everything(self) -> list[bytes]:
        """All contents it could read, those that travelled deflated inflated too."""
        contents = [content for _, content in (*self.delivered, *self.strays.values())]
        return contents + [text for content in contents if (text := inflate(content))]

    def saw(self, part: bytes) -> bool:
        """Whether it could read this, in one stream."""
        return any(part in content for content in self.everything())

    async def _listen(self) -> None:
        while True:
            event: FfiEvent = await self._events.get()
            match event.room_event.WhichOneof("message"):
                case "stream_header_received":
                    self._announced.add(event.room_event.stream_header_received.header.stream_id)
                case "stream_chunk_received":
                    received = event.room_event.stream_chunk_received
                    stream = received.chunk.stream_id
                    if stream not in self._announced:
                        sender, before = self.strays.get(stream, (received.participant_identity, b""))
                        self.strays[stream] = (sender, before + received.chunk.content)

    def _open(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        task = asyncio.create_task(self._read(reader, sender))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.ByteStreamReader, sender: str) -> None:
        content = b""
        # A stream that breaks off was overheard all the same.
        with contextlib.suppress(ConnectionError):
            async for chunk in reader:
                content += chunk
        self.delivered.append((sender, content))

    def _open_fence(self, reader: rtc.ByteStreamReader, _: str) -> None:
        self._fences.add(reader.info.name)
        # Releases before livekit 1.1.15 have no such method, and nothing comes in this stream.
        if hasattr(reader, "close"):
            reader.close()

    def _pass_fence(self, packet: rtc.DataPacket) -> None:
        if packet.topic == FENCE:
            self._fences.add(packet.data.decode())


def inflate(content: bytes) -> bytes:
    """What raw deflate made of it, as far as it goes; empty if it is none."""
    with contextlib.suppress(zlib.error):
        return zlib.decompressobj(-15).decompress(content)
    return b""
