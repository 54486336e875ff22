"""Drive, test and observe LiveKit voice agents.

    async with greenroom.start("agent.py") as session:
        turn = await session.say("What is the weather in Paris?")
        print(turn.reply)

| what | how |
|---|---|
| start an agent file as a process | `greenroom.start("agent.py")` |
| an agent in this very process | `greenroom.in_process(agent_session)` |
| an agent in a room, joining it | `greenroom.join(url, token)` |
| an agent in a room, through a Room that you have | `greenroom.attach(room)` |
| a session that the command `greenroom start` left running | `greenroom.open("name")` |
| the same without asyncio | `greenroom.sync.start("agent.py")` |

On the agent's side, `greenroom.gate(room)` lets only holders of LiveKit's grant `canManageAgentSession` drive it in a
room; `greenroom.livekit` has the names that users of livekit-agents know.

`greenroom.Room.connect(url, token)` is a room itself, without LiveKit's SDK; `greenroom.credentials("room")` makes
tokens.

`greenroom.audio` records and plays, with devices that are there and with virtual ones.

All times are seconds. Errors are subclasses of `GreenroomError`. The package logs to the logger `greenroom`.

Importing it is cheap: what needs asyncio or an SDK is imported when it is first used.
"""

from greenroom._native import version as _version

# The name tells type checkers; the module `typing` itself would cost more than the rest of this import.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from greenroom import audio, livekit, sync
    from greenroom._credentials import Credentials, Grants, TrackSource, credentials
    from greenroom._gate import Gate, gate
    from greenroom._policy import AuditCallback, ConcurrentTurns, Policy, Scope
    from greenroom._rooms import (
        AudioStream,
        DataEvent,
        DisconnectedEvent,
        IncomingStream,
        IncomingStreams,
        LocalAudioTrack,
        LocalTrackPublishedEvent,
        LocalTrackUnpublishedEvent,
        Participant,
        ParticipantChangedEvent,
        ParticipantJoinedEvent,
        ParticipantKind,
        ParticipantLeftEvent,
        Permissions,
        PermissionsChangedEvent,
        ReconnectedEvent,
        ReconnectingEvent,
        Room,
        RoomEvent,
        RoomEvents,
        RoomGapEvent,
        RoomInfo,
        StreamInfo,
        Track,
        TrackKind,
        TrackMutedEvent,
        TrackPublishedEvent,
        TrackSubscribedEvent,
        TrackUnmutedEvent,
        TrackUnpublishedEvent,
        TrackUnsubscribedEvent,
    )
    from greenroom._session import Events, Opening, Session
    from greenroom._speech import Sound, SoundWarning, Speech, TextToSpeech
    from greenroom._start import attach, in_process, join, open, start  # noqa: A004
    from greenroom.errors import (
        AgentError,
        AgentFailedToStart,
        AgentGone,
        AlreadyRunning,
        AudioUnavailable,
        Busy,
        Cancelled,
        DeviceLost,
        DeviceNotFound,
        EntryNotFound,
        Forked,
        GreenroomError,
        InternalError,
        InterpreterNotFound,
        InvalidArgument,
        IoError,
        NoSession,
        NotAnAgent,
        PermissionDenied,
        ProtocolError,
        SdkMissing,
        SdkTooOld,
        SessionClosed,
        SessionTimeout,
        TooLarge,
        Unsupported,
    )
    from greenroom.events import (
        AgentUnresponsiveEvent,
        AmdCategory,
        AmdCompletedEvent,
        AmdPrediction,
        AmdPredictionEvent,
        ClosedEvent,
        CloseReason,
        ConfigEvent,
        DebugEvent,
        EotPredictionEvent,
        ErrorEvent,
        Event,
        FalseInterruptionEvent,
        GapEvent,
        HandoffEvent,
        LateTurnEvent,
        LogEvent,
        MessageEvent,
        OverlappingSpeechEvent,
        SessionClosedEvent,
        StateEvent,
        ToolCallEvent,
        ToolsStartedEvent,
        ToolUpdateEvent,
        TranscriptEvent,
        UnknownEvent,
        UsageEvent,
    )
    from greenroom.types import (
        AgentInfo,
        AgentState,
        ConfigUpdate,
        FrameworkInfo,
        Handoff,
        Item,
        Message,
        Metrics,
        ModelUsage,
        Role,
        RtcStats,
        SessionState,
        Started,
        Status,
        ToolCall,
        Turn,
        UnknownItem,
        UserState,
        Verdict,
        Voice,
    )

__version__: str = _version()

__all__ = [
    "AgentError",
    "AgentFailedToStart",
    "AgentGone",
    "AgentInfo",
    "AgentState",
    "AgentUnresponsiveEvent",
    "AlreadyRunning",
    "AmdCategory",
    "AmdCompletedEvent",
    "AmdPrediction",
    "AmdPredictionEvent",
    "AudioStream",
    "AudioUnavailable",
    "AuditCallback",
    "Busy",
    "Cancelled",
    "CloseReason",
    "ClosedEvent",
    "ConcurrentTurns",
    "ConfigEvent",
    "ConfigUpdate",
    "Credentials",
    "DataEvent",
    "DebugEvent",
    "DeviceLost",
    "DeviceNotFound",
    "DisconnectedEvent",
    "EntryNotFound",
    "EotPredictionEvent",
    "ErrorEvent",
    "Event",
    "Events",
    "FalseInterruptionEvent",
    "Forked",
    "FrameworkInfo",
    "GapEvent",
    "Gate",
    "Grants",
    "GreenroomError",
    "Handoff",
    "HandoffEvent",
    "IncomingStream",
    "IncomingStreams",
    "InternalError",
    "InterpreterNotFound",
    "InvalidArgument",
    "IoError",
    "Item",
    "LateTurnEvent",
    "LocalAudioTrack",
    "LocalTrackPublishedEvent",
    "LocalTrackUnpublishedEvent",
    "LogEvent",
    "Message",
    "MessageEvent",
    "Metrics",
    "ModelUsage",
    "NoSession",
    "NotAnAgent",
    "Opening",
    "OverlappingSpeechEvent",
    "Participant",
    "ParticipantChangedEvent",
    "ParticipantJoinedEvent",
    "ParticipantKind",
    "ParticipantLeftEvent",
    "PermissionDenied",
    "Permissions",
    "PermissionsChangedEvent",
    "Policy",
    "ProtocolError",
    "ReconnectedEvent",
    "ReconnectingEvent",
    "Role",
    "Room",
    "RoomEvent",
    "RoomEvents",
    "RoomGapEvent",
    "RoomInfo",
    "RtcStats",
    "Scope",
    "SdkMissing",
    "SdkTooOld",
    "Session",
    "SessionClosed",
    "SessionClosedEvent",
    "SessionState",
    "SessionTimeout",
    "Sound",
    "SoundWarning",
    "Speech",
    "Started",
    "StateEvent",
    "Status",
    "StreamInfo",
    "TextToSpeech",
    "TooLarge",
    "ToolCall",
    "ToolCallEvent",
    "ToolUpdateEvent",
    "ToolsStartedEvent",
    "Track",
    "TrackKind",
    "TrackMutedEvent",
    "TrackPublishedEvent",
    "TrackSource",
    "TrackSubscribedEvent",
    "TrackUnmutedEvent",
    "TrackUnpublishedEvent",
    "TrackUnsubscribedEvent",
    "TranscriptEvent",
    "Turn",
    "UnknownEvent",
    "UnknownItem",
    "Unsupported",
    "UsageEvent",
    "UserState",
    "Verdict",
    "Voice",
    "__version__",
    "attach",
    "audio",
    "credentials",
    "gate",
    "in_process",
    "join",
    "livekit",
    "open",
    "start",
    "sync",
]

# Where a name is looked for when it is first asked for: the cheapest to import come first.
_MODULES = (
    "errors",
    "types",
    "events",
    "_policy",
    "_speech",
    "_session",
    "_start",
    "_gate",
    "_credentials",
    "_rooms",
)

if not TYPE_CHECKING:

    def __getattr__(name):
        import importlib

        if name in ("audio", "livekit", "sync") or name in _MODULES:
            return importlib.import_module(f"greenroom.{name}")
        if name in __all__:
            for module in _MODULES:
                found = importlib.import_module(f"greenroom.{module}")
                if name in found.__all__:
                    globals()[name] = getattr(found, name)
                    return globals()[name]
        raise AttributeError(f"module 'greenroom' has no attribute {name!r}")

    def __dir__():
        return sorted({*globals(), *__all__})
