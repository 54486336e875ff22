"""Messages over the size cap: they are not read, but whoever waits for them is told."""

from __future__ import annotations

from typing import Any, Literal

from greenroom._livekit import message_class

# The largest message that is taken, in bytes: what a controller takes from its own agent.
MOST = 16 << 20
# From the cap to this length a message is skipped; beyond, the link closes.
SKIPPED = 64 << 20
# How many of its first bytes are kept to find the id.
PEEKED = 4 << 10

_KINDS: dict[int, Literal["request", "response"]] = {0x22: "request", 0x2A: "response"}
_ID = 0x0A


def belongs_to(head: bytes) -> tuple[Literal["request", "response"] | None, str]:
    """Whether a message that begins with `head` is a request or a response, and its id; None if it does not tell."""
    try:
        kind = _KINDS[head[0]]
        _, at = _varint(head, 1)
        if head[at] != _ID:
            return None, ""
        size, at = _varint(head, at + 1)
        request_id = head[at : at + size]
        return (kind, request_id.decode()) if len(request_id) == size else (None, "")
    except (KeyError, IndexError, UnicodeDecodeError):
        return None, ""


def refusal(request_id: str, size: int, most: int) -> Any:
    """The response that stands for a message over the cap."""
    message = message_class()()
    message.response.request_id = request_id
    message.response.error = f"too_large: the message is {size} bytes long; at most {most} are taken"
    return message


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of the wire, and where it ends."""
    value = shift = 0
    while data[at] & 0x80:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | data[at] << shift, at + 1
