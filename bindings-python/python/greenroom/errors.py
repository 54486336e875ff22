"""What a session can fail with: one class for each code of Greenroom's table.

Every class is a `GreenroomError`; catch that to catch them all. The codes are the same in every language and in the
command's JSON; the wording of a message may change, its code does not.
"""

from typing import Any

__all__ = [
    "AgentError",
    "AgentFailedToStart",
    "AgentGone",
    "AlreadyRunning",
    "AudioUnavailable",
    "Busy",
    "Cancelled",
    "DeviceLost",
    "DeviceNotFound",
    "EntryNotFound",
    "Forked",
    "GreenroomError",
    "InternalError",
    "InterpreterNotFound",
    "InvalidArgument",
    "IoError",
    "NoSession",
    "NotAnAgent",
    "PermissionDenied",
    "ProtocolError",
    "SdkMissing",
    "SdkTooOld",
    "SessionClosed",
    "SessionTimeout",
    "TooLarge",
    "Unsupported",
]


class GreenroomError(Exception):
    """The base of every error of this package.

    Attributes:
        code: The stable code, such as `agent_gone`.
        message: What happened, with which input, and what to do next.
        detail: More to read, such as the last lines of the agent's log; None if there is none.
    """

    code: str = "internal"

    def __init__(self, message: str, detail: str | None = None, code: str | None = None) -> None:
        # Not super(): a timeout is an OSError too, which would take these for a number and its text.
        Exception.__init__(self, message, detail, code)
        self.message = message
        self.detail = detail
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message if self.detail is None else f"{self.message}\n{self.detail}"


class AgentError(GreenroomError):
    """The agent answered with an error."""

    code = "agent_error"


class InvalidArgument(GreenroomError, ValueError):
    """The arguments of a call cannot be meant. Also a `ValueError`."""

    code = "invalid_argument"


class EntryNotFound(GreenroomError):
    """The agent's file, its default or its folder is not there."""

    code = "entry_not_found"


class NotAnAgent(GreenroomError):
    """The file is no agent of either SDK."""

    code = "not_an_agent"


class InterpreterNotFound(GreenroomError):
    """No interpreter was found for the agent."""

    code = "interpreter_not_found"


class SdkMissing(GreenroomError):
    """The SDK is not installed where it is needed."""

    code = "sdk_missing"


class SdkTooOld(GreenroomError):
    """The SDK is older than what Greenroom can drive."""

    code = "sdk_too_old"


class AlreadyRunning(GreenroomError):
    """A session of that name is live already."""

    code = "already_running"


class NoSession(GreenroomError):
    """No session of that name is live."""

    code = "no_session"


class AgentFailedToStart(GreenroomError):
    """The agent ended, crashed or never got as far as to connect. `detail` has the last lines of its log."""

    code = "agent_failed_to_start"


class AgentGone(GreenroomError):
    """The agent's process or link is gone."""

    code = "agent_gone"


class SessionClosed(GreenroomError):
    """The session was closed on this side."""

    code = "session_closed"


class ProtocolError(GreenroomError):
    """What came over the link is not the protocol."""

    code = "protocol_error"


class IoError(GreenroomError):
    """An operation of the system failed."""

    code = "io"


class TooLarge(GreenroomError):
    """A message is over a size cap. The session lives on."""

    code = "too_large"


class Busy(GreenroomError):
    """More calls or turns wait than a session holds."""

    code = "busy"


class PermissionDenied(GreenroomError):
    """The grant, a scope or the token does not allow it."""

    code = "permission_denied"


class SessionTimeout(GreenroomError, TimeoutError):
    """A deadline passed. Also the built-in `TimeoutError`."""

    code = "timeout"


class Cancelled(GreenroomError):
    """The call was cancelled on the other side. Cancelling an await raises `asyncio.CancelledError`, not this."""

    code = "cancelled"


class Unsupported(GreenroomError):
    """This platform, or this version of something else, cannot do it."""

    code = "unsupported"


class DeviceNotFound(GreenroomError):
    """No audio device is called so; the message lists those that there are."""

    code = "device_not_found"


class DeviceLost(GreenroomError):
    """An audio device is gone, or gives nothing."""

    code = "device_lost"


class AudioUnavailable(GreenroomError):
    """There is nothing that audio devices could be reached through; the message says what to install."""

    code = "audio_unavailable"


class Forked(GreenroomError):
    """The session belongs to another process: a fork copied it."""

    code = "forked"


class InternalError(GreenroomError):
    """A defect of Greenroom itself; please report it."""

    code = "internal"


def _classes() -> dict[str, type[GreenroomError]]:
    return {cls.code: cls for cls in GreenroomError.__subclasses__()}


def forked(owner: int) -> Forked:
    """The error of a session that is used in a fork of the process `owner`."""
    return Forked(
        f"this session belongs to process {owner}, which forked this one; start a session of its own here, or use "
        "multiprocessing's start method `spawn`"
    )


def from_json(error: str | dict[str, Any]) -> GreenroomError:
    """The exception for `{code, message, detail?}`; a code that this package does not know is a `GreenroomError`."""
    import json

    given: dict[str, Any] = json.loads(error) if isinstance(error, str) else error
    cls = _classes().get(given["code"])
    if cls is None:
        return GreenroomError(given["message"], given.get("detail"), given["code"])
    return cls(given["message"], given.get("detail"))
