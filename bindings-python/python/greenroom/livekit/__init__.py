"""The names that users of livekit-agents know, with LiveKit's grant `canManageAgentSession` obeyed.

In the agent's file, in place of the session host of the SDK:

    await session.start(agent=MyAgent(), room=ctx.room, session_host=False)
    await greenroom.livekit.host(session, ctx.room)

On the other side, with the method names of the SDK's own `RemoteSession`:

    remote = greenroom.livekit.RemoteSession.from_room(room)
    await remote.start()
    await remote.run("What is the weather in Paris?")

The transports also fit where the SDK takes one: `SessionHost(RoomSessionTransport(room))` with the SDK's `SessionHost`
is gated and routed as with ours. `greenroom.gate` guards the SDK's own host instead, and `greenroom.attach` opens a
`greenroom.Session` in place of a `RemoteSession`.

All of it can be imported without the SDK, which is needed once something is used.
"""

from greenroom.livekit._host import SessionHost, host
from greenroom.livekit._remote import RemoteSession, RemoteSessionEventTypes
from greenroom.livekit._tcp import TcpSessionTransport
from greenroom.livekit._transport import (
    Ending,
    IncomingMessage,
    RoomSessionTransport,
    SendMessageOptions,
    SessionTransport,
)

__all__ = [
    "Ending",
    "IncomingMessage",
    "RemoteSession",
    "RemoteSessionEventTypes",
    "RoomSessionTransport",
    "SendMessageOptions",
    "SessionHost",
    "SessionTransport",
    "TcpSessionTransport",
    "host",
]
