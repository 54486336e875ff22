"""The agent's side of a session."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from typing import TYPE_CHECKING, Any

from greenroom._asyncio import running_loop
from greenroom._livekit import (
    check_agent_session,
    check_host_can_be_left_out,
    message_class,
    on_job_shutdown,
    sdk_session_host,
)
from greenroom._policy import AuditCallback, ConcurrentTurns, Policy, Scope, host_options
from greenroom._room import log_failure
from greenroom.livekit._transport import IncomingMessage, RoomSessionTransport, SendMessageOptions, SessionTransport

if TYPE_CHECKING:
    from livekit.agents import AgentSession
    from livekit.protocol.agent_pb.agent_session import AgentSessionMessage
    from livekit.rtc import Room

# Requests of which the requester is remembered; the oldest goes first, since the SDK leaves some unanswered.
_ROUTES = 4_096

logger = logging.getLogger("greenroom")


async def host(
    session: AgentSession[Any],
    room: Room,
    *,
    policy: Policy | Mapping[str, Collection[Scope]] | None = None,
    run_input: ConcurrentTurns = "queue",
    on_audit: AuditCallback | None = None,
) -> SessionHost:
    """Let only holders of LiveKit's grant `canManageAgentSession` drive and observe an `AgentSession` in a room.

        await session.start(agent=MyAgent(), room=ctx.room, session_host=False)
        host = await greenroom.livekit.host(session, ctx.room)

    Before `session.start` is right too, and tells of the start as well. It ends with the session, or with
    `await host.aclose()`. The events `eot_prediction` and `amd_prediction` are not sent: livekit-agents calls its own
    host with them, and its session emits neither. With `greenroom.gate(room)` in its place they are.

    Each decision is a line on the logger `greenroom.audit`, as JSON: INFO where it allows, WARNING where it denies.

    Args:
        session: The `livekit.agents.AgentSession`, started with `session_host=False`.
        room: Its `livekit.rtc.Room`, such as `ctx.room`, connected or not.
        policy: What each holder of the grant may do; everything by default.
        run_input: What becomes of a text turn that comes while another runs. The SDK would interrupt the former.
        on_audit: Is called with each line of the audit log too.

    Raises:
        InvalidArgument: The session was started without `session_host=False`; or an argument cannot be meant.
        SdkMissing, SdkTooOld, Unsupported: livekit-agents is not installed, or lacks what this needs.
    """
    running_loop()
    host_options(policy, run_input, on_audit)
    check_agent_session(session)
    check_host_can_be_left_out()
    transport = RoomSessionTransport(room, policy=policy, run_input=run_input, on_audit=on_audit)
    session_host = SessionHost(transport)
    session_host.register_session(session)
    await session_host.start()
    session_host._end_with(session)
    return session_host


class SessionHost:
    """Answers the requests of a transport for an `AgentSession`, and sends its events: the SDK's own host, whose every
    request is answered and every response goes back to its requester.

    The arguments and methods are those of the SDK's `SessionHost`.
    """

    def __init__(self, transport: SessionTransport, audio_input: Any = None, audio_output: Any = None) -> None:
        self._transport = transport
        through = _ThroughRoom(transport) if isinstance(transport, RoomSessionTransport) else _Routed(transport)
        self._host = sdk_session_host(through, audio_input, audio_output)
        self._session: Any = None
        self._closing: asyncio.Task[None] | None = None

    def register_session(self, session: AgentSession[Any]) -> None:
        """The session that answers."""
        self._host.register_session(session)

    async def start(self) -> None:
        """Open the transport and answer what comes."""
        running_loop()
        await self._host.start()

    def status(self) -> dict[str, int]:
        """Through a Room, what was counted, see `greenroom.Gate.status`; else empty."""
        if self._closing is None and isinstance(self._transport, RoomSessionTransport):
            return self._transport.status()
        return {}

    async def aclose(self) -> None:
        """Answer what is under way, for 3 seconds at most, and close the transport. May be called again."""
        if self._closing is None:
            self._closing = running_loop().create_task(self._close())
        await asyncio.shield(self._closing)

    def _end_with(self, session: Any) -> None:
        """End when the session does, and before a job takes its Room away."""
        self._session = session
        session.on("close", self._on_close)
        on_job_shutdown(self.aclose)

    def _on_close(self, _: object = None) -> None:
        if self._closing is None:
            self._closing = running_loop().create_task(self._close())

    async def _close(self) -> None:
        if self._session is not None:
            self._session.off("close", self._on_close)
        await self._host.aclose()


class _ThroughRoom:
    """A transport through a Room as the SDK's host takes one: the room's exchange routes.

    The host takes its next event out of its queue only once the last is sent, and a response, which is not queued,
    would come before events that led to it; so nobody waits for an event.
    """

    def __init__(self, transport: RoomSessionTransport) -> None:
        self._transport = transport
        self.start = transport.start
        self.close = transport.close

    async def send_message(self, msg: AgentSessionMessage) -> None:
        sending = self._transport.post(msg)
        if msg.HasField("event"):
            sending.add_done_callback(log_failure)
        else:
            await sending

    def __aiter__(self) -> AsyncIterator[AgentSessionMessage]:
        return aiter(self._transport)


class _Routed:
    """A transport as the SDK's host takes one, with ids of the host's own: so each response finds its requester."""

    def __init__(self, transport: SessionTransport) -> None:
        self._transport = transport
        self._numbers = itertools.count(1)
        self._routes: dict[str, tuple[str, SendMessageOptions | None]] = {}

    async def start(self) -> None:
        await self._transport.start()

    async def close(self) -> None:
        await self._transport.close()

    async def send_message(self, msg: AgentSessionMessage) -> None:
        if not msg.HasField("response"):
            await self._transport.send_message(msg)
            return
        asked = self._routes.pop(msg.response.request_id, None)
        if asked is None:
            logger.warning("a response was dropped, since its request is too long ago")
            return
        request_id, options = asked
        answer = message_class()()
        answer.CopyFrom(msg)
        answer.response.request_id = request_id
        await self._transport.send_message(answer, options)

    def __aiter__(self) -> AsyncIterator[AgentSessionMessage]:
        return self

    async def __anext__(self) -> AgentSessionMessage:
        while (received := await self._transport.receive()) is not None:
            if not received.message.HasField("request"):
                return received.message
            if received.message.request.WhichOneof("request") is not None:
                return self._enter(received)
            await self._refuse(received)
        raise StopAsyncIteration

    def _enter(self, received: IncomingMessage) -> AgentSessionMessage:
        message = message_class()()
        message.CopyFrom(received.message)
        number = f"host-{next(self._numbers)}"
        self._routes[number] = (message.request.request_id, _back_to(received))
        message.request.request_id = number
        if len(self._routes) > _ROUTES:
            del self._routes[next(iter(self._routes))]
        return message  # type: ignore[no-any-return]

    async def _refuse(self, received: IncomingMessage) -> None:
        """Answer a request that this SDK does not know, which it would leave unanswered."""
        answer = message_class()()
        answer.response.request_id = received.message.request.request_id
        answer.response.error = "unsupported request"
        try:
            await self._transport.send_message(answer, _back_to(received))
        except Exception as error:
            logger.warning("an answer could not be sent: %s", error)


def _back_to(received: IncomingMessage) -> SendMessageOptions | None:
    return None if received.sender_identity is None else SendMessageOptions(received.sender_identity)
