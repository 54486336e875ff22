"""How messages of an agent session travel: what a host or a controller stands on, and the way through a Room."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from greenroom import _checks
from greenroom._asyncio import running_loop
from greenroom._livekit import message_class
from greenroom._native import peek_id
from greenroom._policy import AuditCallback, ConcurrentTurns, Policy, Scope, host_options
from greenroom.errors import AgentGone, InvalidArgument, SessionClosed
from greenroom.livekit._oversize import MOST, reason, refusal

if TYPE_CHECKING:
    from livekit.agents.voice.remote_session import SessionTransport as _Base
    from livekit.protocol.agent_pb.agent_session import AgentSessionMessage
    from livekit.rtc import Room

    from greenroom._room import Exchange
    from greenroom.events import CloseReason
else:
    # For type checkers a transport is one of the SDK's; the SDK itself only asks for the methods.
    _Base = ABC

# Messages that may wait for a reader that is behind; then the oldest go, as nobody here can hold back who sends.
_INBOX = 16_384

logger = logging.getLogger("greenroom")


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message, and who sent it."""

    message: AgentSessionMessage
    """The SDK's own message."""
    sender_identity: str | None = None
    """The sender's identity in the room; None where there is no room."""


@dataclass(frozen=True, slots=True)
class SendMessageOptions:
    """How a message is sent."""

    destination_identity: str | None = None
    """The only participant that gets it, if it may have it; None is whom it is for."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why nothing comes from the other side any more."""

    reason: CloseReason
    """The reason."""
    message: str
    """The same for people."""


class SessionTransport(_Base):
    """Carries the messages of a session. Iterating it yields the SDK's own messages, `incoming` their senders too."""

    @abstractmethod
    async def start(self) -> None:
        """Open it. Does nothing if it is open."""

    @abstractmethod
    async def send_message(self, msg: AgentSessionMessage, options: SendMessageOptions | None = None) -> None:
        """Send a message; a message that could not be sent raises."""

    @abstractmethod
    async def receive(self) -> IncomingMessage | None:
        """The next message; None once there are no more."""

    @abstractmethod
    async def close(self) -> None:
        """Close it. May be called again."""

    @property
    def ending(self) -> Ending | None:
        """Why the other side is gone; None while it is there, or if that cannot be told."""
        return None

    async def incoming(self) -> AsyncIterator[IncomingMessage]:
        """The messages with their senders."""
        while (received := await self.receive()) is not None:
            yield received

    def __aiter__(self) -> AsyncIterator[AgentSessionMessage]:
        return self

    async def __anext__(self) -> AgentSessionMessage:
        received = await self.receive()
        if received is None:
            raise StopAsyncIteration
        return received.message


class RoomSessionTransport(SessionTransport):
    """Carries a session over a Room.

    Without `remote_identity` it is the agent's side, behind the gate: it gives the requests of those who hold the grant
    `canManageAgentSession`, each under an id of its own; a response goes to its requester only, an event to all who may
    observe, and nothing to anybody else. With `remote_identity` it is a controller's side: it speaks with that agent
    alone.
    """

    def __init__(
        self,
        room: Room,
        remote_identity: str | None = None,
        *,
        policy: Policy | Mapping[str, Collection[Scope]] | None = None,
        run_input: ConcurrentTurns = "queue",
        on_audit: AuditCallback | None = None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            room: The `livekit.rtc.Room`, connected or not.
            remote_identity: The agent's identity, for a controller.
            policy: On the agent's side, what each holder of the grant may do; everything by default.
            run_input: On the agent's side, what becomes of a text turn that comes while another runs.
            on_audit: On the agent's side, is called with each line of the audit log.
        """
        _checks.optional(_checks.text, remote_identity=remote_identity)
        self._room = room
        self._remote_identity = remote_identity
        self._options = host_options(policy, run_input, on_audit)
        self._audit = on_audit
        self._side: _AgentSide | _ControllerSide | None = None
        self._inbox = Inbox()

    @property
    def remote_identity(self) -> str | None:
        """The agent that a controller speaks with; None on the agent's side. It can be set until the start."""
        return self._remote_identity

    @remote_identity.setter
    def remote_identity(self, identity: str | None) -> None:
        if self._side is not None and identity != self._remote_identity:
            raise InvalidArgument("this transport has started; make another for another agent")
        self._remote_identity = identity

    @property
    def ending(self) -> Ending | None:
        return self._inbox.ending

    def status(self) -> dict[str, int]:
        """On the agent's side, what was counted, see `greenroom.Gate.status`; else empty."""
        return self._side.status() if isinstance(self._side, _AgentSide) else {}

    async def start(self) -> None:
        """Take part in the room.

        Raises:
            InvalidArgument: Something else than Greenroom handles the topic of agent sessions on this Room already.
            SdkMissing, SdkTooOld, Unsupported: The SDK is not installed, or lacks what this needs.
        """
        from greenroom._room import Exchange

        running_loop()
        if self._inbox.is_closed:
            raise SessionClosed("this transport is closed; make another")
        if self._side is not None:
            return
        decode = _decoder()
        exchange = Exchange.of(self._room)
        if self._remote_identity is None:
            self._side = _AgentSide(exchange, self._inbox, decode, self._options, self._audit)
        else:
            self._side = _ControllerSide(exchange, self._inbox, decode, self._remote_identity)

    async def send_message(self, msg: AgentSessionMessage, options: SendMessageOptions | None = None) -> None:
        """Send a message to whom it is for; back when the room has taken it.

        Raises:
            IoError: The room did not take it.
            SessionClosed: The transport is closed, or not started.
            AgentGone: On a controller's side, the agent has left.
        """
        await self.post(msg, options)

    def post(self, msg: AgentSessionMessage, options: SendMessageOptions | None = None) -> asyncio.Future[None]:
        """Send a message without waiting for it: the same, with a future for when the room has taken it."""
        destination = None if options is None else options.destination_identity
        if self._side is None or self._inbox.is_closed:
            raise SessionClosed("this room session transport is not open")
        return self._side.send(msg.SerializeToString(), destination)

    async def receive(self) -> IncomingMessage | None:
        return await self._inbox.get()

    async def close(self) -> None:
        """Let go of the room. What still waits for the agent's answer is answered with an error."""
        if not self._inbox.is_closed:
            self._inbox.close()
            if self._side is not None:
                self._side.close()


class _AgentSide:
    """A host of the exchange."""

    def __init__(
        self, exchange: Exchange, inbox: Inbox, decode: _Decode, options: str, audit: AuditCallback | None
    ) -> None:
        self._exchange = exchange
        self._inbox = inbox
        self._decode = decode
        self._host = exchange.open_host(options, self._receive, audit)

    def status(self) -> dict[str, int]:
        return self._exchange.status(self._host)

    def send(self, message: bytes, destination: str | None) -> asyncio.Future[None]:
        return self._exchange.from_agent(self._host, message, destination)

    def close(self) -> None:
        self._exchange.close_host(self._host)

    def _receive(self, message: bytes, sender: str) -> None:
        if (decoded := self._decode(message, sender)) is not None:
            self._inbox.put(IncomingMessage(decoded, sender))


class _ControllerSide:
    """A listener of the exchange."""

    def __init__(self, exchange: Exchange, inbox: Inbox, decode: _Decode, identity: str) -> None:
        self._exchange = exchange
        self._inbox = inbox
        self._decode = decode
        self._identity = identity
        exchange.listen(identity, self)

    def send(self, message: bytes, destination: str | None) -> asyncio.Future[None]:
        if destination is not None and destination != self._identity:
            raise InvalidArgument(
                f"a controller of {self._identity!r} sends to no other participant, such as {destination!r}"
            )
        if (ending := self._inbox.ending) is not None:
            raise AgentGone(ending.message)
        return self._exchange.send(self._identity, message)

    def close(self) -> None:
        self._exchange.unlisten(self._identity, self)

    def receive(self, message: bytes) -> None:
        if (decoded := self._decode(message, self._identity)) is not None:
            self._inbox.put(IncomingMessage(decoded, self._identity))

    def receive_skipped(self, announced: int, head: bytes) -> None:
        logger.warning("a message from %r was skipped: %s", self._identity, reason(announced, MOST))
        match peek_id(head):
            case ("response", request_id):
                self._inbox.put(IncomingMessage(refusal(request_id, announced, MOST), self._identity))

    def ended(self, reason: CloseReason, message: str) -> None:
        self._inbox.end(Ending(reason, message))


_Decode = Callable[[bytes, str], Any]


def _decoder() -> _Decode:
    """Decodes messages to the SDK's own class; what is no message is skipped with a warning, and the rest goes on."""
    cls = message_class()

    def decode(message: bytes, sender: str) -> Any:
        from google.protobuf.message import DecodeError

        try:
            return cls.FromString(message)
        except DecodeError as error:
            logger.warning("what %r sent is not a message of an agent session and was skipped: %s", sender, error)
            return None

    return decode


class Inbox:
    """What has come in and is not read yet, bounded."""

    def __init__(self) -> None:
        self.is_closed = False
        self.ending: Ending | None = None
        self._messages: deque[IncomingMessage] = deque()
        self._waiting: set[asyncio.Future[None]] = set()
        self._dropped = 0

    def put(self, message: IncomingMessage) -> None:
        """Another message; none is taken after the end."""
        if self.is_closed or self.ending is not None:
            return
        if len(self._messages) == _INBOX:
            self._messages.popleft()
            self._dropped += 1
        self._messages.append(message)
        self._wake()

    def end(self, ending: Ending) -> None:
        """The other side is gone: what is there can still be read."""
        if self.ending is None:
            self.ending = ending
            self._wake()

    def close(self) -> None:
        """Nobody reads any more."""
        self.is_closed = True
        self._messages.clear()
        self._wake()

    async def get(self) -> IncomingMessage | None:
        """The next message; None after the end."""
        while not self._messages:
            if self.is_closed or self.ending is not None:
                return None
            waiter = running_loop().create_future()
            self._waiting.add(waiter)
            try:
                await waiter
            finally:
                self._waiting.discard(waiter)
        if self._dropped:
            logger.warning("%d messages were dropped, since they were not read in time", self._dropped)
            self._dropped = 0
        return self._messages.popleft()

    def _wake(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
