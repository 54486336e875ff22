"""A room on the server for one test: who joins it, who holds the grant, who is thrown out."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable
from typing import Any, Literal

from livekit import api, rtc

from .server import KEY, SECRET, Server

Kind = Literal["standard", "agent"]


class Venue:
    """A room with a name of its own. What was connected through it is disconnected by `close`."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = f"room-{uuid.uuid4().hex[:12]}"
        self._rooms: list[rtc.Room] = []
        self._api = api.LiveKitAPI(server.api_url, KEY, SECRET)

    def token(self, identity: str, *, grant: bool | None = None, kind: Kind = "standard", hidden: bool = False) -> str:
        """A token to join this room. `grant` is canManageAgentSession; None leaves it out of the token."""
        grants = api.VideoGrants(
            room_join=True,
            room=self.name,
            can_publish=True,
            can_subscribe=True,
            can_publish_data=True,
            can_update_own_metadata=True,
            hidden=hidden or None,
            agent=True if kind == "agent" else None,
            can_manage_agent_session=grant,
        )
        return api.AccessToken(KEY, SECRET).with_identity(identity).with_kind(kind).with_grants(grants).to_jwt()

    async def connect(
        self,
        identity: str,
        *,
        grant: bool | None = None,
        kind: Kind = "standard",
        hidden: bool = False,
        room: rtc.Room | None = None,
        announce: bool = True,
    ) -> rtc.Room:
        """Joins as that participant, with a Room of ours if none is given; see `token` and `announce`."""
        room = room or rtc.Room()
        self._rooms.append(room)
        await room.connect(self.server.url, self.token(identity, grant=grant, kind=kind, hidden=hidden))
        if announce:
            await self.announce(identity)
        return room

    async def announce(self, identity: str) -> None:
        """Makes the server tell the others of a newcomer at once, which it else does every 3 s: gives it a name."""
        change = api.UpdateParticipantRequest(room=self.name, identity=identity, name=identity)
        await self._api.room.update_participant(change)

    async def gather(self, *rooms: rtc.Room) -> None:
        """Waits until all of these know each other, their permissions included."""
        for room in rooms:
            for other in rooms:
                if other is not room:
                    await until(
                        f"{room.local_participant.identity} knows {other.local_participant.identity}",
                        lambda room=room, other=other: sees(room, other.local_participant),
                    )

    async def set_grant(self, identity: str, grant: bool) -> None:
        """Gives the grant to a participant or takes it away; its other permissions stay. Others hear of it later."""
        who = api.RoomParticipantIdentity(room=self.name, identity=identity)
        permission = (await self._api.room.get_participant(who)).permission
        permission.can_manage_agent_session = grant
        change = api.UpdateParticipantRequest(room=self.name, identity=identity, permission=permission)
        await self._api.room.update_participant(change)

    async def remove(self, identity: str, *, seen_by: rtc.Room | None = None) -> None:
        """Throws a participant out; back once `seen_by` has been told so, if it is given."""
        left = asyncio.Event()
        if seen_by is not None:
            seen_by.on("participant_disconnected", lambda _: left.set())
        await self._api.room.remove_participant(api.RoomParticipantIdentity(room=self.name, identity=identity))
        if seen_by is not None:
            await asyncio.wait_for(left.wait(), 15)

    async def delete(self) -> None:
        """Ends the room: all are thrown out."""
        await self._api.room.delete_room(api.DeleteRoomRequest(room=self.name))

    async def close(self) -> None:
        """Disconnects everybody."""
        for room in self._rooms:
            with contextlib.suppress(Exception):  # a test may have broken its connection
                await asyncio.wait_for(room.disconnect(), 10)
        await self._api.aclose()


async def send(local: rtc.LocalParticipant, data: bytes, *, name: str = "unknown", **options: Any) -> None:
    """Sends bytes by what the SDK has for it: `send_bytes` from livekit 1.1.21 on."""
    if hasattr(local, "send_bytes"):
        await local.send_bytes(data, name=name, **options)
        return
    writer = await local.stream_bytes(name, total_size=len(data), **options)
    await writer.write(data)
    await writer.aclose()


def sees(room: rtc.Room, participant: rtc.Participant) -> bool:
    """Whether a room knows a participant as it is at this moment, a rejoined one by its new sid."""
    known = room.remote_participants.get(participant.identity)
    return known is not None and known.sid == participant.sid


def holds_grant(room: rtc.Room, identity: str) -> bool:
    """Whether, as this room knows it, a participant may manage agent sessions; False if it is not known."""
    known: rtc.Participant | None = room.remote_participants.get(identity)
    if room.local_participant.identity == identity:
        known = room.local_participant
    return known is not None and known.permissions.can_manage_agent_session


async def until(what: str, condition: Callable[[], bool], within: float = 15.0) -> None:
    """Waits until a condition holds; fails with `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what}")
        await asyncio.sleep(0.01)
