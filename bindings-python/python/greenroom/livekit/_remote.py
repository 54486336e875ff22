"""The controller's side of a session, with the method names of the SDK's `RemoteSession`."""

from __future__ import annotations

import asyncio
import inspect
import logging
import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from greenroom import _checks
from greenroom._asyncio import running_loop
from greenroom._livekit import check_sdk, message_class
from greenroom.errors import (
    AgentError,
    AgentGone,
    GreenroomError,
    InvalidArgument,
    PermissionDenied,
    SessionClosed,
    SessionTimeout,
    TooLarge,
    Unsupported,
)
from greenroom.livekit._transport import Ending, RoomSessionTransport, SessionTransport

if TYPE_CHECKING:
    from livekit.protocol.agent_pb.agent_session import AgentSessionMessage, SessionRequest, SessionResponse
    from livekit.rtc import Room

RemoteSessionEventTypes: TypeAlias = Literal[
    "agent_state_changed",
    "user_state_changed",
    "conversation_item_added",
    "user_input_transcribed",
    "function_tools_executed",
    "function_tools_started",
    "tool_execution_updated",
    "session_usage_updated",
    "overlapping_speech",
    "agent_false_interruption",
    "amd_prediction",
    "eot_prediction",
    "error",
    "debug_message",
    "closed",
]
"""What `RemoteSession.on` takes: the events of the SDK by their names on the wire, and `closed`."""

_Callback = Callable[..., Any]

logger = logging.getLogger("greenroom")


class RemoteSession:
    """Drives and observes an agent session that is somewhere else. The methods are those of the SDK's `RemoteSession`.

        remote = RemoteSession.from_room(room)
        remote.on("conversation_item_added", print)
        await remote.start()
        response = await remote.run("hi")

    Answers and events are the SDK's own messages. An event's callback gets the whole `AgentSessionEvent`; that of
    `closed` gets an `Ending`, once, when the agent leaves or the link ends, after what is pending has failed.

    Every request can raise:
        SessionTimeout: No answer came in time.
        AgentError: The agent answered with an error.
        PermissionDenied: The agent's gate refused it.
        AgentGone: The agent left or the link ended; also what is pending at that moment.
        SessionClosed: The session is closed on this side, or not started.
        IoError: The request could not be sent.
        TooLarge, Unsupported: The request or its answer is over a size cap; the agent's side does not know the request.
    """

    def __init__(self, transport: SessionTransport) -> None:
        check_sdk()
        self._transport = transport
        self._callbacks: dict[str, dict[_Callback, None]] = {}
        self._pending: dict[str, asyncio.Future[SessionResponse]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._is_closed = False
        self._ending: Ending | None = None

    @classmethod
    def from_room(cls, room: Room, agent_identity: str | None = None, *, timeout: float = 60.0) -> RemoteSession:
        """A session with an agent in a room.

        Args:
            room: A connected `livekit.rtc.Room`.
            agent_identity: The agent's identity. By default the only participant of the kind agent.
            timeout: Seconds that `start` waits until the agent is in the room.
        """
        _checks.optional(_checks.text, agent_identity=agent_identity)
        _checks.seconds("timeout", timeout)
        return cls(_AgentTransport(room, agent_identity, timeout))

    async def start(self) -> None:
        """Open the transport. With `from_room`, wait until the agent is in the room.

        Raises:
            PermissionDenied: We do not hold the grant `canManageAgentSession`.
            InvalidArgument: The Room is not connected, or several agents are in it and none is named.
            SessionTimeout: There was no agent in time.
        """
        if self._is_closed:
            raise SessionClosed("this remote session is closed; make another")
        running_loop()
        if self._reading is None:
            await self._transport.start()
            self._reading = running_loop().create_task(self._read())

    async def aclose(self) -> None:
        """Close the transport; what is pending fails with `SessionClosed`. May be called again."""
        if self._is_closed:
            return
        self._is_closed = True
        await self._transport.close()
        if self._reading is not None:
            await asyncio.wait({self._reading})

    async def wait_for_ready(self, timeout: float = 5.0, retry_interval: float = 0.5) -> None:
        """Ping until the agent answers. A transport that is not up yet is waited for too.

        Raises:
            SessionTimeout: The agent did not answer within `timeout` seconds; or what the last ping has failed with.
        """
        _checks.each(_checks.seconds, timeout=timeout, retry_interval=retry_interval)
        loop = running_loop()
        deadline = loop.time() + timeout
        while True:
            try:
                await self._ask("ping", {}, min(retry_interval, max(0.0, deadline - loop.time())))
                return
            except SessionTimeout:
                problem: Exception = SessionTimeout(f"the agent did not answer within {timeout:g} s")
            except (AgentGone, PermissionDenied, SessionClosed):
                raise
            except Exception as error:
                problem = error
                await asyncio.sleep(min(retry_interval, max(0.0, deadline - loop.time())))
            if loop.time() >= deadline:
                raise problem

    # ---- requests --------------------------------------------------------------------------------------------------

    async def run(self, text: str, timeout: float = 60.0) -> SessionResponse.RunInputResponse:
        """Say something, and wait until the agent has done all that it does about it."""
        _checks.text("text", text)
        return (await self._ask("run_input", {"text": text}, timeout)).run_input

    async def get_chat_history(self, timeout: float = 60.0) -> SessionResponse.GetChatHistoryResponse:
        """The whole conversation."""
        return (await self._ask("get_chat_history", {}, timeout)).get_chat_history

    async def get_agent_info(self, timeout: float = 60.0) -> SessionResponse.GetAgentInfoResponse:
        """The instructions, tools and context of the agent that speaks now."""
        return (await self._ask("get_agent_info", {}, timeout)).get_agent_info

    async def get_framework_info(self, timeout: float = 60.0) -> SessionResponse.GetFrameworkInfoResponse:
        """The agent's SDK and its version."""
        return (await self._ask("get_framework_info", {}, timeout)).get_framework_info

    async def get_session_state(self, timeout: float = 60.0) -> SessionResponse.GetSessionStateResponse:
        """What agent and user are doing, and the session's options."""
        return (await self._ask("get_session_state", {}, timeout)).get_session_state

    async def get_rtc_stats(self, timeout: float = 60.0) -> SessionResponse.GetRTCStatsResponse:
        """The agent's WebRTC statistics."""
        return (await self._ask("get_rtc_stats", {}, timeout)).get_rtc_stats

    async def get_session_usage(self, timeout: float = 60.0) -> SessionResponse.GetSessionUsageResponse:
        """What the models have used so far."""
        return (await self._ask("get_session_usage", {}, timeout)).get_session_usage

    async def update_io(
        self,
        *,
        input_audio_enabled: bool | None = None,
        input_video_enabled: bool | None = None,
        output_audio_enabled: bool | None = None,
        output_video_enabled: bool | None = None,
        output_transcription_enabled: bool | None = None,
        timeout: float = 60.0,
    ) -> SessionResponse.UpdateIOResponse:
        """Turn inputs and outputs of the agent on or off; None leaves one alone."""
        inputs = {"audio_enabled": input_audio_enabled, "video_enabled": input_video_enabled}
        outputs = {
            "audio_enabled": output_audio_enabled,
            "video_enabled": output_video_enabled,
            "transcription_enabled": output_transcription_enabled,
        }
        _checks.optional(_checks.flag, **inputs)
        _checks.optional(_checks.flag, **outputs)
        update = {"input": _set(inputs), "output": _set(outputs)}
        return (
            await self._ask("update_io", {name: toggles for name, toggles in update.items() if toggles}, timeout)
        ).update_io

    async def finalize_simulation(
        self, *, provisional_success: bool, provisional_reason: str = "", timeout: float = 60.0
    ) -> SessionResponse.FinalizeSimulationResponse:
        """Ask the agent for its verdict on a simulation, telling it what the simulation thinks so far."""
        _checks.flag("provisional_success", provisional_success)
        _checks.text("provisional_reason", provisional_reason)
        provisional = {"provisional_success": provisional_success, "provisional_reason": provisional_reason}
        return (await self._ask("finalize_simulation", provisional, timeout)).finalize_simulation

    # ---- events ----------------------------------------------------------------------------------------------------

    def on(self, event: RemoteSessionEventTypes, callback: _Callback | None = None) -> Any:
        """Call `callback` with each event of that name; without one it is a decorator. Gives the callback."""
        _checks.text("event", event)
        if callback is None:
            return lambda function: self.on(event, function)
        _checks.function("callback", callback)
        if inspect.iscoroutinefunction(callback):
            raise InvalidArgument(f"the callback of {event!r} is async; pass a plain function that creates a task")
        self._callbacks.setdefault(event, {})[callback] = None
        return callback

    def once(self, event: RemoteSessionEventTypes, callback: _Callback | None = None) -> Any:
        """The same for the next event alone."""
        _checks.text("event", event)
        if callback is None:
            return lambda function: self.once(event, function)
        _checks.function("callback", callback)

        def call(*arguments: Any) -> None:
            self.off(event, call)
            callback(*arguments)

        return self.on(event, call)

    def off(self, event: RemoteSessionEventTypes, callback: _Callback) -> None:
        """Call `callback` no more."""
        _checks.text("event", event)
        _checks.function("callback", callback)
        self._callbacks.get(event, {}).pop(callback, None)

    # ---- how -------------------------------------------------------------------------------------------------------

    async def _ask(self, kind: str, arguments: dict[str, Any], timeout: float) -> SessionResponse:
        _checks.seconds("timeout", timeout)
        self._check_open()
        message = message_class()()
        request: SessionRequest = message.request
        request.request_id = f"req_{secrets.token_hex(6)}"
        # Set even where there is nothing to say.
        chosen = getattr(request, kind)
        chosen.SetInParent()
        for name, value in arguments.items():
            _fill(chosen, name, value)
        answer: asyncio.Future[SessionResponse] = running_loop().create_future()
        self._pending[request.request_id] = answer
        try:
            response = await asyncio.wait_for(self._exchange(message, answer), timeout)
        except asyncio.TimeoutError:
            raise SessionTimeout(f"the agent did not answer {kind} within {timeout:g} s") from None
        finally:
            del self._pending[request.request_id]
            answer.cancel()
        if response.error:
            raise _error(kind, response.error)
        return response

    async def _exchange(self, message: AgentSessionMessage, answer: asyncio.Future[SessionResponse]) -> SessionResponse:
        await self._transport.send_message(message)
        return await answer

    def _check_open(self) -> None:
        if self._is_closed or self._reading is None:
            raise SessionClosed("this remote session is closed, or not started")
        if self._ending is not None:
            raise AgentGone(self._ending.message)

    async def _read(self) -> None:
        ending = Ending("agent_disconnected", "the link to the agent ended")
        try:
            async for message in self._transport:
                self._take(message)
        except Exception as error:
            logger.exception("the transport of a remote session failed")
            ending = Ending("protocol_error", f"the transport failed: {error}")
        if self._is_closed:
            self._finish(Ending("closed", "the session was closed"), SessionClosed("the session was closed"))
        else:
            ending = self._transport_ending() or ending
            self._finish(ending, AgentGone(ending.message))

    def _transport_ending(self) -> Ending | None:
        # A transport of the SDK's has none.
        return getattr(self._transport, "ending", None)

    def _finish(self, ending: Ending, error: GreenroomError) -> None:
        self._ending = ending
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(error)
        self._emit("closed", ending)

    def _take(self, message: AgentSessionMessage) -> None:
        if message.HasField("response"):
            answer = self._pending.get(message.response.request_id)
            if answer is not None and not answer.done():
                answer.set_result(message.response)
        elif message.HasField("event"):
            event = message.event.WhichOneof("event")
            if event is not None:
                self._emit(event, message.event)

    def _emit(self, event: str, argument: Any) -> None:
        for callback in list(self._callbacks.get(event, {})):
            try:
                callback(argument)
            except Exception:
                logger.exception("an error in a callback of the event %s", event)


class _AgentTransport(RoomSessionTransport):
    """To an agent that may not be there yet."""

    def __init__(self, room: Room, identity: str | None, timeout: float) -> None:
        super().__init__(room, identity)
        self._agent_room = room
        self._timeout = timeout

    async def start(self) -> None:
        from greenroom._room import Exchange

        exchange = Exchange.of(self._agent_room)
        exchange.check_local()
        exchange.enter()
        try:
            self.remote_identity = await exchange.find_agent(self.remote_identity, self._timeout)
            await super().start()
        finally:
            exchange.leave()


def _set(toggles: dict[str, bool | None]) -> dict[str, bool]:
    return {name: on for name, on in toggles.items() if on is not None}


def _fill(message: Any, name: str, value: Any) -> None:
    if isinstance(value, dict):
        for inner, what in value.items():
            _fill(getattr(message, name), inner, what)
    else:
        setattr(message, name, value)


def _error(kind: str, words: str) -> GreenroomError:
    """What the agent's side has answered in the place of what was asked for."""
    if words == "permission_denied":
        return PermissionDenied(
            f"this participant may not {kind}: its token lacks the grant canManageAgentSession, or the agent's author "
            "does not let it"
        )
    if words == "unsupported request":
        return Unsupported(f"the agent's side does not know the request {kind}")
    if words.startswith("too_large: "):
        return TooLarge(words.removeprefix("too_large: "))
    return AgentError(words)
