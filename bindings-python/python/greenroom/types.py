"""What sessions give back: turns, the items of a conversation, and what an agent tells of itself.

All are frozen dataclasses. Durations are seconds, as everywhere in Python; where the JSON of the other languages has
`duration_ms`, here it is `duration`. Times are text, RFC 3339 in UTC. Names of states and kinds are text; a value that
is newer than this package arrives as `unknown_7`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from greenroom._speech import Speech
    from greenroom.events import Event, ToolCallEvent

__all__ = [
    "AgentInfo",
    "AgentState",
    "ConfigUpdate",
    "FrameworkInfo",
    "Handoff",
    "Item",
    "Message",
    "Metrics",
    "ModelUsage",
    "Role",
    "RtcStats",
    "SessionState",
    "Started",
    "Status",
    "ToolCall",
    "Turn",
    "UnknownItem",
    "UserState",
    "Verdict",
    "Voice",
]

Role: TypeAlias = Literal["developer", "system", "user", "assistant"]
"""Who speaks."""

AgentState: TypeAlias = Literal["initializing", "idle", "listening", "thinking", "speaking"]
"""What the agent is doing."""

UserState: TypeAlias = Literal["speaking", "listening", "away"]
"""What the user is doing, as the agent sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The agent's own measurements of one message: delays in seconds, times in RFC 3339. Unset is not measured."""

    started_speaking_at: str | None = None
    """When the speech began."""
    stopped_speaking_at: str | None = None
    """When the speech ended."""
    transcription_delay: float | None = None
    """End of speech to final transcript."""
    end_of_turn_delay: float | None = None
    """End of speech to the decision that the turn is over."""
    on_user_turn_completed_delay: float | None = None
    """Time in the agent's `on_user_turn_completed`."""
    llm_ttft: float | None = None
    """To the LLM's first token."""
    llm_ttfs: float | None = None
    """To the LLM's first sentence."""
    llm_tps: float | None = None
    """Tokens per second of the LLM."""
    tts_ttfb: float | None = None
    """To the first byte of speech."""
    e2e_latency: float | None = None
    """End of the user's speech to the agent's first sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of the conversation."""

    type: Literal["message"] = "message"
    id: str
    """The SDK's id of the item."""
    role: Role
    """Who speaks."""
    text: str
    """What is said; parts are joined by line breaks. The wire carries no images and no audio."""
    cut_bytes: int | None = None
    """How many bytes are missing in `text`, where the message was too large for the link."""
    parts: tuple[str, ...] = ()
    """The parts, where there is more than one."""
    interrupted: bool = False
    """Whether the speech was cut off."""
    transcript_confidence: float | None = None
    """How sure the speech recognition was, 0 to 1."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What the agent's author put beside the message."""
    metrics: Metrics = Metrics()
    """What the agent measured."""
    created_at: str | None = None
    """When the SDK made the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call of a tool, with its output once there is one."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    """The LLM's id of the call. Scripted LLMs repeat theirs."""
    name: str
    """The tool."""
    arguments: str
    """JSON text, as the LLM wrote it."""
    output: str | None = None
    """What the tool gave back, as the SDK encodes it: Python as text, JS as JSON text. None while it runs."""
    is_error: bool = False
    """Whether the output tells of a failure."""
    error: str | None = None
    """What failed, in the tool's own words, where the output that the model got does not tell."""
    waiting: bool = False
    """Whether the call waits for the person's answer and has not run; `output` has the question."""
    cut_bytes: int | None = None
    """How many bytes of the call are missing, where it was too large for the link."""
    id: str = ""
    """The SDK's id of the call item; live events have none."""
    output_id: str = ""
    """The SDK's id of the output item."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """What the agent's author put beside the call."""
    created_at: str | None = None
    """When the SDK made the call item."""
    output_at: str | None = None
    """When the SDK made the output item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """Another agent takes over."""

    type: Literal["handoff"] = "handoff"
    id: str
    """The SDK's id of the item."""
    from_: str | None = None
    """The agent that leaves (JSON: `from`); None at the session's first agent."""
    to: str
    """The agent that takes over."""
    created_at: str | None = None
    """When the SDK made the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigUpdate:
    """The agent's instructions or tools changed."""

    type: Literal["config"] = "config"
    id: str
    """The SDK's id of the item."""
    instructions: str | None = None
    """The new instructions, if they changed."""
    tools_added: tuple[str, ...] = ()
    """Names of tools that came."""
    tools_removed: tuple[str, ...] = ()
    """Names of tools that went."""
    created_at: str | None = None
    """When the SDK made the item."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownItem:
    """An item of a kind that this version does not know."""

    type: Literal["unknown"] = "unknown"
    what: str
    """What is known of it, in words."""


Item: TypeAlias = Message | ToolCall | Handoff | ConfigUpdate | UnknownItem
"""One item of a conversation; tell them apart by class or by `type`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What could be heard in a turn of a session with audio. Durations are seconds."""

    user: float = field(metadata={"json": "user_ms"})
    """How long the user spoke, from the first sound to the last; 0 in a turn of text."""
    agent: float = field(metadata={"json": "agent_ms"})
    """How long the agent spoke."""
    response: float | None = field(default=None, metadata={"json": "response_ms"})
    """From the user's last sound, or from the request of a turn of text, to the agent's next word; None if it said
    nothing after it."""
    cut: float | None = field(default=None, metadata={"json": "cut_ms"})
    """How much of what the agent was saying had been heard when it was cut off."""
    yielded: float | None = field(default=None, metadata={"json": "yield_ms"})
    """In a turn that interrupts: from the user's first sound to the agent's silence; None if it did not yield."""
    lost: float = field(metadata={"json": "lost_ms"})
    """How much of the agent's speech is not in `audio`, since there was too much of it."""
    stalled: float = field(default=0.0, metadata={"json": "stalled_ms"})
    """The longest that Greenroom itself stood still in this turn, as on a machine that is too busy; 0 where that was at
    most 0.1. `response` and `yielded` may hold as much that is not the agent's."""
    audio: Speech | None = None
    """What the agent said, as it was heard: from its first word to its last, with the pauses between."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of the conversation, complete."""

    number: int
    """Its number in the session, from 1."""
    text: str
    """What the user said."""
    events: tuple[Event, ...]
    """What was said and done, in order; what happened before this turn comes first and is marked `earlier`."""
    reply: str
    """What the agent said in this turn; several messages are joined by line breaks."""
    silent: bool
    """Whether the agent said nothing, without having failed or been interrupted."""
    interrupted: bool
    """Whether the turn was cut short, by other input or by speech."""
    error: str | None = None
    """The agent's error, if it answered with one."""
    duration: float = field(metadata={"json": "duration_ms"})
    """From the request to the end of the turn, in seconds."""
    reply_delay: float | None = field(default=None, metadata={"json": "reply_delay_ms"})
    """From the request to the agent's first message, in seconds; None if there was none."""
    queued: float = field(metadata={"json": "queued_ms"})
    """How long the turn waited for those before it, in seconds."""
    heard: str | None = None
    """What the agent's speech recognition made of what the user said aloud; None in a turn of text."""
    voice: Voice | None = None
    """What could be heard, in a session with audio."""

    @property
    def tool_calls(self) -> tuple[ToolCallEvent, ...]:
        """The tools that were called in this turn, with their outputs, in order."""
        return tuple(event for event in self.events if event.type == "tool_call" and not event.earlier)


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameworkInfo:
    """The agent's SDK."""

    sdk: str
    """`python` or `js`."""
    sdk_version: str
    """Its version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A session that is ready for its first turn."""

    framework: FrameworkInfo | None = None
    """The agent's SDK, if it told in time."""
    agent_id: str | None = None
    """The agent that speaks first, if the session told in time."""
    events: tuple[Event, ...] = ()
    """What happened before: the first handoff, a greeting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """About the agent that speaks now."""

    id: str
    """Its id."""
    instructions: str | None = None
    """Its instructions."""
    tools: tuple[str, ...]
    """Names of its tools."""
    context: tuple[Item, ...]
    """What it knows of the conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """About the session."""

    agent_state: AgentState
    """What the agent is doing."""
    user_state: UserState
    """What the user is doing, as the agent sees it."""
    agent_id: str
    """The agent that speaks now."""
    options: Mapping[str, str]
    """The session's options, each as its SDK writes it (Python: repr, JS: JSON)."""
    created_at: str | None = None
    """When the session began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """The use of one model since the session began. Tokens are counts; what the kind of model has not is 0."""

    kind: Literal["llm", "tts", "stt", "interruption", "eot"]
    """A language model, a speech synthesis, a speech recognition, an interruption or an end-of-turn detector."""
    provider: str
    """Who serves the model."""
    model: str
    """The model."""
    input_tokens: int = 0
    input_cached_tokens: int = 0
    input_audio_tokens: int = 0
    input_cached_audio_tokens: int = 0
    input_text_tokens: int = 0
    input_cached_text_tokens: int = 0
    input_image_tokens: int = 0
    input_cached_image_tokens: int = 0
    output_tokens: int = 0
    output_audio_tokens: int = 0
    output_text_tokens: int = 0
    session_duration: float = 0.0
    """Seconds."""
    characters_count: int = 0
    audio_duration: float = 0.0
    """Seconds."""
    total_requests: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcStats:
    """WebRTC statistics as the agent's SDK gives them; empty without a room."""

    publisher: tuple[Mapping[str, Any], ...]
    """Of what the agent publishes."""
    subscriber: tuple[Mapping[str, Any], ...]
    """Of what the agent subscribes to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The agent's verdict on a simulation."""

    success: bool
    """Whether it succeeded."""
    reason: str
    """Why."""
    missing: bool = False
    """Whether the agent gave no verdict of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How a session stands. What a kind of session has not is None."""

    state: Literal["starting", "ready", "in_turn", "closed"]
    """Where it is in its life."""
    turns: int = 0
    """How many turns have begun."""
    turn_in_progress: bool = False
    """Whether a turn is under way."""
    agent_state: AgentState | None = None
    """What the agent was doing when it last told."""
    unseen_events: int = 0
    """How many events the next turn would show as before it."""
    pid: int | None = None
    """The agent's process."""
    port: int | None = None
    """The loopback port."""
    kind: Literal["python", "node"] | None = None
    """The agent's language."""
    detected: str | None = None
    """`Detected Python agent (agent.py in /home/me/project)`."""
    sdk_version: str | None = None
    """The version of the agent's SDK, as found installed."""
    project_dir: str | None = None
    """The agent's folder."""
    entry: str | None = None
    """The agent's file, relative to it."""
    log_path: str | None = None
    """The agent's log."""
    log_error: str | None = None
    """Why the log file is not whole."""
    recording: str | None = None
    """The file that the session is recorded into."""
    recording_error: str | None = None
    """Why the recording is not whole; known once the session has ended."""
    audio_losses: Mapping[str, float] | None = None
    """What was lost of the session's audio: `late_ms` that the user's was put off, `live_ms` that a live source gave
    too fast and `link_ms` that the link did not take, in milliseconds; `odd_frames` of the agent's in another
    format."""
    started_at: str | None = None
    """When the session was started."""
    uptime: float | None = field(default=None, metadata={"json": "uptime_ms"})
    """How long ago that was, in seconds."""
    idle: float | None = field(default=None, metadata={"json": "idle_ms"})
    """How long ago the last call was, in seconds."""
    idle_timeout: float | None = field(default=None, metadata={"json": "idle_timeout_ms"})
    """After how long without a call the session ends, in seconds."""
    room: str | None = None
    """The room that was joined."""
    identity: str | None = None
    """The identity under which it was joined."""
    agent: str | None = None
    """The identity of the agent in it."""
    peer_check: str | None = None
    """Why it could not be checked that the connection is the agent's own."""
    refused_connections: int = 0
    """Connections that were neither the agent's nor control."""
    last_refused: str | None = None
    """The last of them."""
