"""What happens in a session: one frozen dataclass for each type of event.

`Event` is their union; tell them apart by class or by `type`:

    async for event in session.events():
        match event:
            case MessageEvent(role="assistant", text=text):
                print("Agent:", text)
            case ToolCallEvent(name=name, is_error=True):
                print("failed:", name)

Durations are seconds, times are text, RFC 3339 in UTC. Every event has

- `seq`: its number; events are numbered from 1 in the order in which they were received.
- `time`: when it was received.
- `earlier`: in a turn, it belongs to what happened before this turn.
- `late`: it belongs to a turn whose caller had given up.
- `raw`: the whole message in base64, where it holds more than this version can tell; else None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from greenroom.types import (
    AgentState,
    ConfigUpdate,
    Handoff,
    Message,
    ModelUsage,
    ToolCall,
    UserState,
)

__all__ = [
    "AgentUnresponsiveEvent",
    "AmdCategory",
    "AmdCompletedEvent",
    "AmdPrediction",
    "AmdPredictionEvent",
    "CloseReason",
    "ClosedEvent",
    "ConfigEvent",
    "DebugEvent",
    "EotPredictionEvent",
    "ErrorEvent",
    "Event",
    "FalseInterruptionEvent",
    "GapEvent",
    "HandoffEvent",
    "LateTurnEvent",
    "LogEvent",
    "MessageEvent",
    "OverlappingSpeechEvent",
    "SessionClosedEvent",
    "StateEvent",
    "ToolCallEvent",
    "ToolUpdateEvent",
    "ToolsStartedEvent",
    "TranscriptEvent",
    "UnknownEvent",
    "UsageEvent",
]

AmdCategory: TypeAlias = Literal[
    "unknown",
    "human",
    "machine_ivr",
    "machine_vm",
    "machine_unavailable",
    "uncertain",
    "machine_screening",
    "wait",
]
"""Who or what answered a call."""

CloseReason: TypeAlias = Literal[
    "closed",
    "start_failed",
    "agent_exited",
    "agent_disconnected",
    "agent_ended",
    "agent_left",
    "room_disconnected",
    "protocol_error",
    "idle",
    "daemon_gone",
]
"""Why a session's link is closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageEvent(Message):
    """Somebody said something."""

    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallEvent(ToolCall):
    """A tool was called and has answered."""

    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffEvent(Handoff):
    """Another agent took over."""

    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEvent(ConfigUpdate):
    """The agent's instructions or tools changed."""

    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    """What every other event has too."""

    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(_Event):
    """Something failed in the agent."""

    type: Literal["error"] = "error"
    message: str
    """In the agent's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent(_Event):
    """A line of the agent's log."""

    type: Literal["log"] = "log"
    text: str
    """The line, cut where it is very long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent(_Event):
    """The agent or the user went from one state to another."""

    type: Literal["state"] = "state"
    who: Literal["agent", "user"]
    """Who did."""
    from_: AgentState | UserState
    """The state before (JSON: `from`)."""
    to: AgentState | UserState
    """The state now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEvent(_Event):
    """The agent's speech recognition heard something."""

    type: Literal["transcript"] = "transcript"
    text: str
    """What it heard."""
    is_final: bool
    """Whether it will not change any more."""
    language: str | None = None
    """A language tag; released hosts set none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsStartedEvent(_Event):
    """Tools are about to run; no released host tells it."""

    type: Literal["tools_started"] = "tools_started"
    calls: tuple[ToolCall, ...]
    """The calls, without outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUpdateEvent(_Event):
    """A running tool moved on; only Python agents tell it. Which fields are set depends on `update`."""

    type: Literal["tool_update"] = "tool_update"
    update: Literal["started", "progress", "reply", "ended", "unknown"]
    """It began, it told of its progress, the reply about its progress moved on, it ended."""
    call: ToolCall | None = None
    """Of `started`: the call, without output."""
    id: str | None = None
    """Of `progress` and `ended`: the SDK's id of the update."""
    call_id: str | None = None
    """Of `progress` and `ended`: the LLM's id of the call."""
    message: str | None = None
    """Of `progress`: its words. Of `ended`: its output or its error."""
    update_ids: tuple[str, ...] = ()
    """Of `reply`: the updates that the reply is about."""
    speech_id: str | None = None
    """Of `reply`: the SDK's id of the speech."""
    status: str | None = None
    """Of `reply`: scheduled, completed, interrupted or skipped. Of `ended`: running, done, error or cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent(_Event):
    """What the models have used so far."""

    type: Literal["usage"] = "usage"
    models: tuple[ModelUsage, ...]
    """One entry for each model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlappingSpeechEvent(_Event):
    """User and agent spoke at once."""

    type: Literal["overlapping_speech"] = "overlapping_speech"
    is_interruption: bool
    """Whether the agent takes it as an interruption."""
    overlap_started_at: str | None = None
    detection_delay: float
    """Seconds."""
    detected_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseInterruptionEvent(_Event):
    """What had looked like an interruption was none."""

    type: Literal["false_interruption"] = "false_interruption"
    resumed: bool
    """Whether the agent went on speaking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPrediction:
    """A guess of the answering machine detection. Durations are seconds."""

    category: AmdCategory
    """Who or what answered."""
    reason: str
    """Why the detection thinks so."""
    transcript: str
    """What was heard."""
    speech_duration: float | None = None
    """How long the other side spoke."""
    delay: float | None = None
    """End of speech to the guess."""
    inference_duration: float | None = None
    """How long the model took."""
    turn_id: int = 0
    """The turn that the guess is about; 0 where the host sets none."""
    stage: AmdCategory = "unknown"
    """The stage of the detection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPredictionEvent(AmdPrediction):
    """A guess of the answering machine detection."""

    type: Literal["amd_prediction"] = "amd_prediction"
    seq: int
    time: str
    earlier: bool = False
    late: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdCompletedEvent(_Event):
    """The verdict of the answering machine detection."""

    type: Literal["amd_completed"] = "amd_completed"
    category: AmdCategory
    """Who or what answered."""
    reason: str
    """Why the detection thinks so."""
    voicemail_message_played: bool
    """Whether the voicemail message was played."""
    prediction: AmdPrediction | None = None
    """The guess it rests on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EotPredictionEvent(_Event):
    """A guess of the end-of-turn detection."""

    type: Literal["eot_prediction"] = "eot_prediction"
    probability: float
    """That the turn is over, 0 to 1."""
    threshold: float
    """From where on the agent takes it as over."""
    inference_duration: float | None = None
    """Seconds."""
    delay: float | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugEvent(_Event):
    """A message of the SDK for its own developers."""

    type: Literal["debug"] = "debug"
    payload: Any
    """As the SDK sent it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionClosedEvent(_Event):
    """The agent says that its session is over."""

    type: Literal["session_closed"] = "session_closed"
    reason: str
    """unknown, error, job_shutdown, participant_disconnected, user_initiated or completed."""
    error: str | None = None
    """What went wrong, if anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUnresponsiveEvent(_Event):
    """The agent does not answer: its event loop is blocked, or the machine is very busy."""

    type: Literal["agent_unresponsive"] = "agent_unresponsive"
    silent: float = field(metadata={"json": "silent_ms"})
    """For how long it has been silent."""
    recovered: bool = False
    """Whether it answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedEvent(_Event):
    """The session's link is closed: the last event."""

    type: Literal["closed"] = "closed"
    reason: CloseReason
    """Why."""
    message: str
    """The same for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent(_Event):
    """Events are missing here, since the reader was too far behind."""

    type: Literal["gap"] = "gap"
    dropped: int
    """How many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateTurnEvent(_Event):
    """The answer to a turn whose caller had given up."""

    type: Literal["late_turn"] = "late_turn"
    text: str
    """What the user had said."""
    reply: str
    """What the agent replied."""
    error: str | None = None
    """The agent's error, if it answered with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(_Event):
    """A message that this version does not know."""

    type: Literal["unknown"] = "unknown"
    what: str
    """What is known of it, in words."""


Event: TypeAlias = (
    MessageEvent
    | ToolCallEvent
    | HandoffEvent
    | ConfigEvent
    | ErrorEvent
    | LogEvent
    | StateEvent
    | TranscriptEvent
    | ToolsStartedEvent
    | ToolUpdateEvent
    | UsageEvent
    | OverlappingSpeechEvent
    | FalseInterruptionEvent
    | AmdPredictionEvent
    | AmdCompletedEvent
    | EotPredictionEvent
    | DebugEvent
    | AgentUnresponsiveEvent
    | SessionClosedEvent
    | ClosedEvent
    | GapEvent
    | LateTurnEvent
    | UnknownEvent
)
"""One thing that happened, at its place in the session."""
