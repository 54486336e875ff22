"""Data types of sessions: turns, the items of a conversation, and descriptions of the agent.

All are frozen dataclasses. Durations are seconds; where the JSON of the other languages has
`duration_ms`, here it is `duration`. Times are text, RFC 3339 in UTC. States and kinds are text;
a value that this version doesn't know arrives as `unknown_7`.
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
"""Author of a message: `developer` is the agent's author, `assistant` the agent."""

AgentState: TypeAlias = Literal["initializing", "idle", "listening", "thinking", "speaking"]
"""What the agent is doing."""

UserState: TypeAlias = Literal["speaking", "listening", "away"]
"""What the user is doing, as the agent sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The agent's own measurements of one message: delays in seconds, times in RFC 3339.

    None means not measured.
    """

    started_speaking_at: str | None = None
    """Start of the speech."""
    stopped_speaking_at: str | None = None
    """End of the speech."""
    transcription_delay: float | None = None
    """End of speech to final transcript."""
    end_of_turn_delay: float | None = None
    """End of speech to the decision that the turn is over."""
    on_user_turn_completed_delay: float | None = None
    """Time in the agent's `on_user_turn_completed`."""
    llm_ttft: float | None = None
    """Time to the LLM's first token."""
    llm_ttfs: float | None = None
    """Time to the LLM's first sentence."""
    llm_tps: float | None = None
    """Tokens per second of the LLM."""
    tts_ttfb: float | None = None
    """Time to the first byte of speech."""
    e2e_latency: float | None = None
    """End of the user's speech to the agent's first sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of the conversation."""

    type: Literal["message"] = "message"
    id: str
    """The SDK's id of the item."""
    role: Role
    """Its author."""
    text: str
    """The text; parts are joined by line breaks. The wire carries no images and no audio."""
    cut_bytes: int | None = None
    """Count of bytes missing in `text`, if the message was too large for the link."""
    parts: tuple[str, ...] = ()
    """The parts, if there is more than one."""
    interrupted: bool = False
    """Whether the speech was interrupted."""
    transcript_confidence: float | None = None
    """Confidence of the speech recognition, 0 to 1."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Data that the agent's author attached to the message."""
    metrics: Metrics = Metrics()
    """The agent's measurements."""
    created_at: str | None = None
    """Creation of the item in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call, with its output once it has one."""

    type: Literal["tool_call"] = "tool_call"
    call_id: str
    """The LLM's id of the call. Scripted LLMs repeat theirs."""
    name: str
    """The tool's name."""
    arguments: str
    """JSON text, as the LLM wrote it."""
    output: str | None = None
    """The tool's return value as the SDK encodes it: text in Python, JSON text in JS. None while
    the tool runs."""
    is_error: bool = False
    """Whether the output is an error."""
    error: str | None = None
    """The tool's own error text, if the output for the model doesn't contain it."""
    waiting: bool = False
    """Whether the call waits for the user's answer and has not run; `output` has the question."""
    cut_bytes: int | None = None
    """Count of missing bytes of the call, if it was too large for the link."""
    id: str = ""
    """The SDK's id of the call item; live events have none."""
    output_id: str = ""
    """The SDK's id of the output item."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Data that the agent's author attached to the call."""
    created_at: str | None = None
    """Creation of the call item in the SDK."""
    output_at: str | None = None
    """Creation of the output item in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handoff:
    """A change of the active agent."""

    type: Literal["handoff"] = "handoff"
    id: str
    """The SDK's id of the item."""
    from_: str | None = None
    """Id of the previous agent (JSON: `from`); None for the session's first agent."""
    to: str
    """Id of the new agent."""
    created_at: str | None = None
    """Creation of the item in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigUpdate:
    """The agent's instructions or tools changed."""

    type: Literal["config"] = "config"
    id: str
    """The SDK's id of the item."""
    instructions: str | None = None
    """The new instructions, if they changed."""
    tools_added: tuple[str, ...] = ()
    """Names of added tools."""
    tools_removed: tuple[str, ...] = ()
    """Names of removed tools."""
    created_at: str | None = None
    """Creation of the item in the SDK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownItem:
    """An item of a kind that this version doesn't know."""

    type: Literal["unknown"] = "unknown"
    what: str
    """A description of it."""


Item: TypeAlias = Message | ToolCall | Handoff | ConfigUpdate | UnknownItem
"""One item of a conversation; check its class or `type`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """Speech and timing of one turn in a session with audio. Durations are seconds.

    turn = await session.say("hello", tts=tts)
    assert turn.voice.response < 0.8  # the agent answers within 800 ms
    turn.voice.audio.save("reply.wav")
    """

    user: float = field(metadata={"json": "user_ms"})
    """Length of the user's speech, from the first sound to the last; 0 in a text turn."""
    agent: float = field(metadata={"json": "agent_ms"})
    """Length of the agent's speech."""
    response: float | None = field(default=None, metadata={"json": "response_ms"})
    """Time from the user's last sound, or from the request of a text turn, to the agent's next
    sound; None if the agent said nothing after that."""
    cut: float | None = field(default=None, metadata={"json": "cut_ms"})
    """How much of the agent's speech was heard before it was interrupted; None if it was not."""
    yielded: float | None = field(default=None, metadata={"json": "yield_ms"})
    """In an interrupting turn, time from the user's first sound to the agent's silence; None if the
    agent kept speaking."""
    lost: float = field(metadata={"json": "lost_ms"})
    """Length of the agent's speech that is missing in `audio`, because it exceeded the limit."""
    stalled: float = field(default=0.0, metadata={"json": "stalled_ms"})
    """The longest stall of Greenroom itself in this turn, as on an overloaded machine; 0 if it was
    at most 0.1. `response` and `yielded` may be too long by this much."""
    audio: Speech | None = None
    """The agent's speech as heard, from its first sound to its last, with pauses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One turn of the conversation, complete."""

    number: int
    """Its number in the session, from 1."""
    text: str
    """The user's text."""
    events: tuple[Event, ...]
    """The turn's events in order; events from before this turn come first and are marked
    `earlier`."""
    reply: str
    """The agent's messages in this turn, joined by line breaks."""
    silent: bool
    """Whether the agent said nothing, without a failure or an interruption."""
    interrupted: bool
    """Whether the turn was cut short, by other input or by speech."""
    error: str | None = None
    """The agent's error, if it answered with one."""
    duration: float = field(metadata={"json": "duration_ms"})
    """Time from the request to the end of the turn, in seconds."""
    reply_delay: float | None = field(default=None, metadata={"json": "reply_delay_ms"})
    """Time from the request to the agent's first message, in seconds; None if there was none."""
    queued: float = field(metadata={"json": "queued_ms"})
    """Time the turn waited for earlier turns, in seconds."""
    heard: str | None = None
    """The agent's transcript of the user's speech; None in a text turn."""
    voice: Voice | None = None
    """Speech and timing of the turn, in a session with audio."""

    @property
    def tool_calls(self) -> tuple[ToolCallEvent, ...]:
        """The tool calls of this turn with their outputs, in order."""
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
    """The agent's SDK, if it answered in time."""
    agent_id: str | None = None
    """Id of the first agent, if the session answered in time."""
    events: tuple[Event, ...] = ()
    """Events before the first turn: the first handoff, a greeting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """The active agent."""

    id: str
    """Its id."""
    instructions: str | None = None
    """Its instructions."""
    tools: tuple[str, ...]
    """Names of its tools."""
    context: tuple[Item, ...]
    """The conversation in its context."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """The agent's session."""

    agent_state: AgentState
    """What the agent is doing."""
    user_state: UserState
    """What the user is doing, as the agent sees it."""
    agent_id: str
    """Id of the active agent."""
    options: Mapping[str, str]
    """The session's options, each as its SDK writes it (Python: repr, JS: JSON)."""
    created_at: str | None = None
    """Start of the session."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUsage:
    """The usage of one model since the session began.

    Tokens, characters and requests are counts; fields that don't apply to the kind of model are 0.
    Cached, audio, text and image tokens are parts of `input_tokens` and `output_tokens`.
    """

    kind: Literal["llm", "tts", "stt", "interruption", "eot"]
    """Language model, speech synthesis, speech recognition, interruption or end-of-turn
    detector."""
    provider: str
    """The provider, as the agent's plugin reports it."""
    model: str
    """The model's name."""
    input_tokens: int = 0
    """All input tokens."""
    input_cached_tokens: int = 0
    """Input tokens that the provider served from its cache."""
    input_audio_tokens: int = 0
    """Audio tokens of the input."""
    input_cached_audio_tokens: int = 0
    """Cached audio tokens of the input."""
    input_text_tokens: int = 0
    """Text tokens of the input."""
    input_cached_text_tokens: int = 0
    """Cached text tokens of the input."""
    input_image_tokens: int = 0
    """Image tokens of the input."""
    input_cached_image_tokens: int = 0
    """Cached image tokens of the input."""
    output_tokens: int = 0
    """All output tokens."""
    output_audio_tokens: int = 0
    """Audio tokens of the output."""
    output_text_tokens: int = 0
    """Text tokens of the output."""
    session_duration: float = 0.0
    """Time connected to a realtime model, in seconds."""
    characters_count: int = 0
    """Characters synthesized."""
    audio_duration: float = 0.0
    """Length of the synthesized or recognized audio, in seconds."""
    total_requests: int = 0
    """Requests to a detector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcStats:
    """WebRTC statistics as the agent's SDK reports them; empty without a room."""

    publisher: tuple[Mapping[str, Any], ...]
    """Statistics of the agent's publishing connection."""
    subscriber: tuple[Mapping[str, Any], ...]
    """Statistics of the agent's subscribing connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The agent's verdict on a simulation."""

    success: bool
    """Whether it succeeded."""
    reason: str
    """Why."""
    missing: bool = False
    """Whether the agent returned no verdict of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of a session. Fields that don't apply to its kind are None.

    if session.status().turn_in_progress: ...
    """

    state: Literal["starting", "ready", "in_turn", "closed"]
    """The phase of the session."""
    turns: int = 0
    """Count of turns begun."""
    turn_in_progress: bool = False
    """Whether a turn is in progress."""
    agent_state: AgentState | None = None
    """The agent's last reported state."""
    unseen_events: int = 0
    """Count of events that the next turn would show as before it."""
    pid: int | None = None
    """The agent's process id."""
    port: int | None = None
    """The loopback port on which the agent connects."""
    kind: Literal["python", "node"] | None = None
    """The agent's language."""
    detected: str | None = None
    """`Detected Python agent (agent.py in /home/me/project)`."""
    sdk_version: str | None = None
    """The installed version of the agent's SDK."""
    project_dir: str | None = None
    """The agent's folder."""
    entry: str | None = None
    """The agent's file, relative to `project_dir`."""
    log_path: str | None = None
    """Path of the agent's log."""
    log_error: str | None = None
    """Why the log file is incomplete."""
    recording: str | None = None
    """Path of the session's recording."""
    recording_error: str | None = None
    """Why the recording is incomplete; known once the session has ended."""
    audio_losses: Mapping[str, float] | None = None
    """Losses of the session's audio, in milliseconds: `late_ms` by which the user's audio was
    delayed, `live_ms` that a live source sent too fast, `link_ms` that the link did not accept.
    `odd_frames` counts the agent's frames in another format."""
    started_at: str | None = None
    """Start of the session."""
    uptime: float | None = field(default=None, metadata={"json": "uptime_ms"})
    """Time since `started_at`, in seconds."""
    idle: float | None = field(default=None, metadata={"json": "idle_ms"})
    """Time since the last call, in seconds."""
    idle_timeout: float | None = field(default=None, metadata={"json": "idle_timeout_ms"})
    """The session ends after this long without a call, in seconds."""
    room: str | None = None
    """The joined room."""
    identity: str | None = None
    """Greenroom's own identity in the room."""
    agent: str | None = None
    """The agent's identity in the room."""
    peer_check: str | None = None
    """Why the connection could not be verified as the agent's own; None if it was verified."""
    refused_connections: int = 0
    """Count of refused connections, from neither the agent nor control."""
    last_refused: str | None = None
    """The last refused connection."""
