"""A long message to some participants of a room and to nobody else.

The SDK's public calls put the addresses on the first packet of a byte stream only (livekit-data-stream before 0.1.9):
the rest goes to everybody in the room. What fits into one packet is safe with `send_bytes`; what does not is sent
packet by packet, each with its addresses, by calls that the SDK does not promise:

- `livekit.rtc._ffi_client.FfiClient.instance` with `request` and `queue.subscribe` / `unsubscribe`,
- `livekit.rtc._proto.ffi_pb2.FfiRequest` with `send_stream_header`, `send_stream_chunk` and `send_stream_trailer`,
- a local participant's `_ffi_handle.handle`.

A test watches them. Without them `send_bytes` is used, with a warning.
"""

from __future__ import annotations

import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

# What fits into one packet with its header, and how much goes into each of more, in bytes.
_PACKET = 14_000


class Addresses:
    """To whom a message goes, as the SDK is told: identities, each with its sid, empty if the room knows none."""

    def __init__(self, recipients: Sequence[tuple[str, str]]) -> None:
        self.recipients = recipients
        self.identities = [identity for identity, _ in recipients]
        self._are_known = all(sid for _, sid in recipients)
        # What they take in a packet, in bytes.
        self._size = 4 * len(self.identities) + sum(map(len, map(str.encode, self.identities)))

    def take_as_a_packet(self, message: bytes) -> bool:
        """Whether the SDK sends this in one packet, whatever it can compress."""
        # To somebody of whom it knows nothing it sends even short messages in pieces.
        return self._are_known and len(message) + self._size <= _PACKET


async def send_stream(
    local: Any,
    message: bytes,
    *,
    topic: str,
    name: str,
    destination_identities: list[str],
    attributes: Mapping[str, str] | None = None,
) -> bool:
    """Send one byte stream, every packet to these participants alone. False, and nothing is sent, if the SDK cannot.

    Raises:
        ConnectionError: The SDK did not send it.
    """
    calls = _Calls.of(local, destination_identities)
    if calls is None:
        _warn()
        return False
    stream_id = str(uuid.uuid4())

    def header(request: Any) -> None:
        header = request.header
        header.stream_id = stream_id
        header.topic = topic
        header.timestamp = int(time.time() * 1000)
        header.mime_type = "application/octet-stream"
        header.total_length = len(message)
        header.attributes.update(attributes or {})
        header.byte_header.name = name

    def chunk(index: int, content: bytes) -> Callable[[Any], None]:
        def fill(request: Any) -> None:
            request.chunk.stream_id = stream_id
            request.chunk.chunk_index = index
            request.chunk.content = content

        return fill

    def trailer(request: Any) -> None:
        request.trailer.stream_id = stream_id
        request.trailer.reason = ""

    await calls.call("send_stream_header", header)
    # Each waits for the one before: the SDK would mix up their order.
    for index, at in enumerate(range(0, len(message), _PACKET)):
        await calls.call("send_stream_chunk", chunk(index, message[at : at + _PACKET]))
    await calls.call("send_stream_trailer", trailer)
    return True


class _Calls:
    """Calls of the SDK's native part that send to some participants."""

    def __init__(self, client: Any, request: Any, handle: int, sender: str, to: list[str]) -> None:
        self._client = client
        self._request = request
        self._handle = handle
        self._sender = sender
        self._to = to

    @staticmethod
    def of(local: Any, to: list[str]) -> _Calls | None:
        """None if this release of the SDK has no such calls."""
        try:
            from livekit.rtc._ffi_client import FfiClient
            from livekit.rtc._proto.ffi_pb2 import FfiRequest

            fields = FfiRequest.DESCRIPTOR.fields_by_name
            if not {"send_stream_header", "send_stream_chunk", "send_stream_trailer"} <= set(fields):
                return None
            return _Calls(FfiClient.instance, FfiRequest, local._ffi_handle.handle, local.identity, to)
        except (ImportError, AttributeError):
            return None

    async def call(self, name: str, fill: Callable[[Any], None]) -> None:
        """Make one call and wait until it is done."""
        request = self._request()
        call = getattr(request, name)
        call.local_participant_handle = self._handle
        call.sender_identity = self._sender
        call.destination_identities.extend(self._to)
        fill(call)
        queue = self._client.queue.subscribe(filter_fn=lambda event: event.WhichOneof("message") == name)
        try:
            asked = getattr(self._client.request(request), name).async_id
            done = await queue.wait_for(lambda event: getattr(event, name).async_id == asked)
        finally:
            self._client.queue.unsubscribe(queue)
        if error := getattr(done, name).error:
            raise ConnectionError(error)


def _warn() -> None:
    warnings.warn(
        "this release of livekit can't send a long message to some participants alone: everyone "
        "in the room gets its bytes, though no handler is called with them",
        RuntimeWarning,
        stacklevel=2,
    )
