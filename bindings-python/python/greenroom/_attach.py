"""A controller of an agent in a room, through a Room that is there already."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import deque
from typing import Any

from greenroom._asyncio import running_loop
from greenroom._link import Receiver
from greenroom._livekit import is_agent
from greenroom._native import Controller
from greenroom._room import Exchange
from greenroom.errors import GreenroomError, InvalidArgument, PermissionDenied, SessionTimeout, from_json

# How many pings may wait for an answer.
_PINGS = 16
# How long an agent may take to answer a ping before it is asked again, in seconds. An agent that has joined the room
# but whose session has not begun hears nothing.
_PING_SECONDS = 0.5


def random_prefix() -> str:
    """What the ids of one controller's requests begin with: SDK hosts do not tell controllers apart, so ids differ."""
    return f"gr-{secrets.token_hex(6)}"


async def find_agent(exchange: Exchange, identity: str | None, deadline: float) -> str:
    """The identity of the agent that is named, or of the only one in the room; wait until it is there.

    The exchange must be entered. `deadline` is a time of the loop's clock.

    Raises:
        PermissionDenied: We may not drive agents.
        InvalidArgument: The Room is not connected, or there are several agents and none is named.
        SessionTimeout: The agent was not there in time.
    """
    room = exchange.room
    loop = running_loop()
    while True:
        check_grant(room)
        participants = room.remote_participants
        agents = sorted(who for who, participant in participants.items() if is_agent(participant))
        if identity is not None and identity in participants:
            return identity
        if identity is None and len(agents) > 1:
            names = ", ".join(map(repr, agents))
            raise InvalidArgument(f"there are {len(agents)} agents in the room; name one of them: {names}")
        if identity is None and agents:
            return str(agents[0])
        try:
            await asyncio.wait_for(exchange.news(), deadline - loop.time())
        except asyncio.TimeoutError:
            whom = "no agent" if identity is None else f"no participant {identity!r}"
            others = ", ".join(map(repr, sorted(room.remote_participants))) or "nobody"
            raise SessionTimeout(
                f"{whom} came into the room in time; in it is {others}. Check that the agent was dispatched to this "
                "room, or name the participant that it is"
            ) from None


def check_grant(room: Any) -> None:
    """Raise unless the Room is connected and its own participant may drive agents."""
    if not room.isconnected():
        raise InvalidArgument("the Room is not connected; `await room.connect(url, token)` first")
    if not room.local_participant.permissions.can_manage_agent_session:
        raise PermissionDenied(
            f"this participant, {room.local_participant.identity!r}, may not drive agents: it lacks the grant "
            "canManageAgentSession. Join with a token that has it (VideoGrants(can_manage_agent_session=True)), or "
            "have the server grant it (UpdateParticipant with the permission can_manage_agent_session)"
        )


class RoomAgent:
    """An agent in a room as the peer of a link."""

    def __init__(self, room: Any, identity: str | None, timeout: float) -> None:
        self._exchange = Exchange.of(room)
        self._wanted = identity
        self._timeout = timeout
        self._loop = running_loop()
        self._identity = ""
        self._link: Receiver | None = None
        self._has_entered = False

    async def start(self, link: Receiver) -> None:
        deadline = self._loop.time() + self._timeout
        check_grant(self._exchange.room)
        self._exchange.enter()
        self._has_entered = True
        try:
            while not self._identity:
                identity = await find_agent(self._exchange, self._wanted, deadline)
                if await self._answers(identity, deadline):
                    self._identity = identity
            self._exchange.listen(self._identity, link)
        except BaseException:
            await self.close()
            raise
        self._link = link

    def send(self, message: bytes) -> None:
        self._exchange.send(self._identity, message).add_done_callback(self._on_sent)

    async def close(self) -> None:
        if self._link is not None:
            self._exchange.unlisten(self._identity, self._link)
            self._link = None
        if self._has_entered:
            self._has_entered = False
            self._exchange.leave()

    def _on_sent(self, sending: asyncio.Future[None]) -> None:
        error = None if sending.cancelled() else sending.exception()
        if error is not None and self._link is not None:
            self._link.ended("room_disconnected", str(error))

    async def _answers(self, identity: str, deadline: float) -> bool:
        """Ping the agent until it answers; False if it leaves instead."""
        pings = _Pings()
        self._exchange.listen(identity, pings)
        try:
            while not pings.answered.done():
                if self._loop.time() >= deadline:
                    raise SessionTimeout(
                        f"the agent {identity!r} is in the room but does not answer: its session has not started, or "
                        "was started with `session_host=False`, or its host obeys other participants only"
                    )
                await self._exchange.send(identity, pings.next())
                wait = min(_PING_SECONDS, max(0.0, deadline - self._loop.time()))
                await asyncio.wait({pings.answered}, timeout=wait)
            return pings.answered.result()
        finally:
            self._exchange.unlisten(identity, pings)
            pings.answered.cancel()


class _Pings:
    """A controller that does nothing but ping."""

    def __init__(self) -> None:
        self._loop = running_loop()
        self._calls: deque[int] = deque()
        self.answered: asyncio.Future[bool] = self._loop.create_future()
        options = {"id_prefix": random_prefix(), "text_mode": False, "fetch_history": False}
        self._controller = Controller(json.dumps(options), self._loop.time())
        self._controller.open(self._loop.time())
        self._transmits()

    def next(self) -> bytes:
        """The message of another ping. An answer to any of the last few counts."""
        if len(self._calls) == _PINGS:
            self._controller.cancel(self._calls.popleft(), self._loop.time())
            self._controller.drain()
        self._calls.append(self._controller.submit('{"op":"ping"}', None, self._loop.time()))
        return self._transmits()[0]

    def receive(self, message: bytes) -> None:
        self._controller.receive(message, self._loop.time())
        for _, succeeded, text in self._controller.drain():
            self._answer(None if succeeded else from_json(text))

    def receive_skipped(self, announced: int, head: bytes) -> None:
        pass

    def ended(self, reason: str, message: str) -> None:
        if not self.answered.done():
            self.answered.set_result(False)

    def _answer(self, error: GreenroomError | None) -> None:
        if self.answered.done():
            return
        if error is None:
            self.answered.set_result(True)
        else:
            self.answered.set_exception(error)
            # Whoever waits for it may have given up.
            self.answered.exception()

    def _transmits(self) -> list[bytes]:
        return list(iter(self._controller.poll_transmit, None))
