"""Drive, test and observe LiveKit voice agents.

    async with greenroom.start("agent.py") as session:
        turn = await session.say("What is the weather in Paris?")
        print(turn.reply)

| what | how |
|---|---|
| start an agent file as a process | `greenroom.start("agent.py")` |
| an agent in this very process | `greenroom.in_process(agent_session)` |
| a session that the command `greenroom start` left running | `greenroom.open("name")` |
| the same without asyncio | `greenroom.sync.start("agent.py")` |

All times are seconds. Errors are subclasses of `GreenroomError`. The package logs to the logger `greenroom`.

Importing it is cheap: what needs asyncio or an SDK is imported when it is first used.
"""

from greenroom._native import version as _version

# The name tells type checkers; the module `typing` itself would cost more than the rest of this import.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from greenroom import sync
    from greenroom._session import Events, Opening, Session
    from greenroom._start import in_process, open, start  # noqa: A004
    from greenroom.errors import (
        AgentError,
        AgentFailedToStart,
        AgentGone,
        AlreadyRunning,
        Busy,
        Cancelled,
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
    )

__version__: str = _version()

__all__ = [
    "AgentError",
    "AgentFailedToStart",
    "AgentGone",
    "AgentInfo",
    "AgentState",
    "AlreadyRunning",
    "AmdCategory",
    "AmdCompletedEvent",
    "AmdPrediction",
    "AmdPredictionEvent",
    "Busy",
    "Cancelled",
    "CloseReason",
    "ClosedEvent",
    "ConfigEvent",
    "ConfigUpdate",
    "DebugEvent",
    "EntryNotFound",
    "EotPredictionEvent",
    "ErrorEvent",
    "Event",
    "Events",
    "FalseInterruptionEvent",
    "Forked",
    "FrameworkInfo",
    "GapEvent",
    "GreenroomError",
    "Handoff",
    "HandoffEvent",
    "InternalError",
    "InterpreterNotFound",
    "InvalidArgument",
    "IoError",
    "Item",
    "LateTurnEvent",
    "LogEvent",
    "Message",
    "MessageEvent",
    "Metrics",
    "ModelUsage",
    "NoSession",
    "NotAnAgent",
    "Opening",
    "OverlappingSpeechEvent",
    "PermissionDenied",
    "ProtocolError",
    "Role",
    "RtcStats",
    "SdkMissing",
    "SdkTooOld",
    "Session",
    "SessionClosed",
    "SessionClosedEvent",
    "SessionState",
    "SessionTimeout",
    "Started",
    "StateEvent",
    "Status",
    "TooLarge",
    "ToolCall",
    "ToolCallEvent",
    "ToolUpdateEvent",
    "ToolsStartedEvent",
    "TranscriptEvent",
    "Turn",
    "UnknownEvent",
    "UnknownItem",
    "Unsupported",
    "UsageEvent",
    "UserState",
    "Verdict",
    "__version__",
    "in_process",
    "open",
    "start",
    "sync",
]

# Where a name is looked for when it is first asked for: the cheapest to import come first.
_MODULES = ("errors", "types", "events", "_session", "_start")

if not TYPE_CHECKING:

    def __getattr__(name):
        import importlib

        if name == "sync" or name in _MODULES:
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
