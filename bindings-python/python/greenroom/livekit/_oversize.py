"""Messages over the size cap: they are not read, but whoever waits for them is told."""

from __future__ import annotations

from typing import Any

from greenroom._livekit import message_class

# The largest message that is taken, in bytes: what a controller takes from its own agent.
MOST = 16 << 20
# From the cap to this length a message is skipped; beyond, the link closes.
SKIPPED = 64 << 20
# How many of its first bytes are kept to find the id.
PEEKED = 4 << 10


def reason(size: int, most: int) -> str:
    """Why a message of that size was not read."""
    if size > most:
        return f"the message is {size} bytes long; at most {most} are taken"
    return f"the message of {size} bytes was lost: its stream stalled, or too much was still unread"


def refusal(request_id: str, size: int, most: int) -> Any:
    """The response that stands for a message over the cap."""
    message = message_class()()
    message.response.request_id = request_id
    message.response.error = f"too_large: {reason(size, most)}"
    return message
