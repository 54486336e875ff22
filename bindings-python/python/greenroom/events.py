"""Events of a session: one frozen dataclass for each type.

`Event` is their union; match on the class or on `type`:

    async for event in session.events():
        match event:
            case MessageEvent(role="assistant", text=text):
                print("Agent:", text)
            case ToolCallEvent(name=name, is_error=True):
                print("failed:", name)

Durations are seconds, times are text, RFC 3339 in UTC. Every event has

- `seq`: its number; events are numbered from 1 in the order in which they were received.
- `time`: when it was received.
- `earlier`: in a turn, the event happened before this turn.
- `late`: it belongs to a turn whose caller had cancelled or timed out.
- `raw`: the whole message in base64, if it has fields that this version doesn't know; else None.
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
"""Kind of callee that answered a call."""

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
    """The user or the agent said something."""

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
    """Another agent became active."""

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
    """The fields that all events have."""

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
    """The agent's error text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEvent(_Event):
    """A line of the agent's log."""

    type: Literal["log"] = "log"
    text: str
    """The line, shortened if it is very long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEvent(_Event):
    """The agent or the user went from one state to another."""

    type: Literal["state"] = "state"
    who: Literal["agent", "user"]
    """`agent` or `user`."""
    from_: AgentState | UserState
    """The state before (JSON: `from`)."""
    to: AgentState | UserState
    """The state now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEvent(_Event):
    """The agent's speech recognition heard something."""

    type: Literal["transcript"] = "transcript"
    text: str
    """The transcript."""
    is_final: bool
    """Whether the transcript is final."""
    language: str | None = None
    """A language tag; released hosts set none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsStartedEvent(_Event):
    """Tools are about to run; no released host sends it."""

    type: Literal["tools_started"] = "tools_started"
    calls: tuple[ToolCall, ...]
    """The calls, without outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUpdateEvent(_Event):
    """Progress of a running tool; only Python agents send it. Which fields are set depends on
    `update`."""

    type: Literal["tool_update"] = "tool_update"
    update: Literal["started", "progress", "reply", "ended", "unknown"]
    """The tool started, reported progress, its progress was spoken, or it ended."""
    call: ToolCall | None = None
    """Of `started`: the call, without output."""
    id: str | None = None
    """Of `progress` and `ended`: the SDK's id of the update."""
    call_id: str | None = None
    """Of `progress` and `ended`: the LLM's id of the call."""
    message: str | None = None
    """Of `progress`: its text. Of `ended`: its output or error."""
    update_ids: tuple[str, ...] = ()
    """Of `reply`: the updates that the reply is about."""
    speech_id: str | None = None
    """Of `reply`: the SDK's id of the speech."""
    status: str | None = None
    """Of `reply`: scheduled, completed, interrupted or skipped. Of `ended`: running, done, error or
    cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent(_Event):
    """Usage of the agent's models so far."""

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
    """A suspected interruption was none."""

    type: Literal["false_interruption"] = "false_interruption"
    resumed: bool
    """Whether the agent went on speaking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AmdPrediction:
    """A guess of the answering machine detection. Durations are seconds."""

    category: AmdCategory
    """Kind of callee."""
    reason: str
    """Why the detection thinks so."""
    transcript: str
    """Transcript of the callee."""
    speech_duration: float | None = None
    """Length of the callee's speech."""
    delay: float | None = None
    """Time from the end of speech to the guess."""
    inference_duration: float | None = None
    """Time of the model's inference."""
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
    """Kind of callee."""
    reason: str
    """Why the detection thinks so."""
    voicemail_message_played: bool
    """Whether the voicemail message was played."""
    prediction: AmdPrediction | None = None
    """The guess behind the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EotPredictionEvent(_Event):
    """A guess of the end-of-turn detection."""

    type: Literal["eot_prediction"] = "eot_prediction"
    probability: float
    """Probability that the turn is over, 0 to 1."""
    threshold: float
    """Probability from which the agent treats the turn as over."""
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
    """The error, if there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentUnresponsiveEvent(_Event):
    """The agent doesn't answer: its event loop is blocked, or the machine is very busy."""

    type: Literal["agent_unresponsive"] = "agent_unresponsive"
    silent: float = field(metadata={"json": "silent_ms"})
    """Time without an answer so far."""
    recovered: bool = False
    """Whether the agent answers again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedEvent(_Event):
    """The session's link is closed: the last event."""

    type: Literal["closed"] = "closed"
    reason: CloseReason
    """The stable reason."""
    message: str
    """The reason as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapEvent(_Event):
    """Events are missing here, because the reader was too slow."""

    type: Literal["gap"] = "gap"
    dropped: int
    """Count of missing events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LateTurnEvent(_Event):
    """The answer to a turn whose caller had cancelled or timed out."""

    type: Literal["late_turn"] = "late_turn"
    text: str
    """The user's text."""
    reply: str
    """The agent's reply."""
    error: str | None = None
    """The agent's error, if it answered with one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent(_Event):
    """A message that this version doesn't know."""

    type: Literal["unknown"] = "unknown"
    what: str
    """A description of it."""


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
"""One event of a session."""
