"""Exceptions: one class for each code of Greenroom's table.

`GreenroomError` is the base class of all. The codes are the same in every language and in the
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
        # Not super(): a timeout is an OSError too, which would take these for a number and its
        # text.
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
    """An argument is invalid. Also a `ValueError`."""

    code = "invalid_argument"


class EntryNotFound(GreenroomError):
    """The agent's file, the default file or its folder doesn't exist."""

    code = "entry_not_found"


class NotAnAgent(GreenroomError):
    """The file is not an agent of either SDK."""

    code = "not_an_agent"


class InterpreterNotFound(GreenroomError):
    """No interpreter was found for the agent."""

    code = "interpreter_not_found"


class SdkMissing(GreenroomError):
    """The SDK is not installed where it is needed."""

    code = "sdk_missing"


class SdkTooOld(GreenroomError):
    """The SDK is older than Greenroom supports."""

    code = "sdk_too_old"


class AlreadyRunning(GreenroomError):
    """A session of that name is running already."""

    code = "already_running"


class NoSession(GreenroomError):
    """No session of that name is running."""

    code = "no_session"


class AgentFailedToStart(GreenroomError):
    """The agent ended, crashed or never connected. `detail` has the last lines of its log."""

    code = "agent_failed_to_start"


class AgentGone(GreenroomError):
    """The agent's process or link is gone."""

    code = "agent_gone"


class SessionClosed(GreenroomError):
    """The session was closed on this side."""

    code = "session_closed"


class ProtocolError(GreenroomError):
    """The peer sent bytes that are not the protocol."""

    code = "protocol_error"


class IoError(GreenroomError):
    """A system call failed."""

    code = "io"


class TooLarge(GreenroomError):
    """A message exceeds a size limit. The session continues."""

    code = "too_large"


class Busy(GreenroomError):
    """Too many calls or turns are waiting."""

    code = "busy"


class PermissionDenied(GreenroomError):
    """The grant, a scope or the token does not allow it."""

    code = "permission_denied"


class SessionTimeout(GreenroomError, TimeoutError):
    """A deadline passed. Also the built-in `TimeoutError`."""

    code = "timeout"


class Cancelled(GreenroomError):
    """The call was cancelled on the other side. Cancelling an await raises
    `asyncio.CancelledError`, not this."""

    code = "cancelled"


class Unsupported(GreenroomError):
    """This platform, or this version of a dependency, doesn't support the call."""

    code = "unsupported"


class DeviceNotFound(GreenroomError):
    """No audio device has that name; the message lists the existing ones."""

    code = "device_not_found"


class DeviceLost(GreenroomError):
    """An audio device is gone, or returns no samples."""

    code = "device_lost"


class AudioUnavailable(GreenroomError):
    """No audio system is available; the message says what to install."""

    code = "audio_unavailable"


class Forked(GreenroomError):
    """The session belongs to the process that this one was forked from."""

    code = "forked"


class InternalError(GreenroomError):
    """A defect of Greenroom itself; please report it."""

    code = "internal"


def _classes() -> dict[str, type[GreenroomError]]:
    return {cls.code: cls for cls in GreenroomError.__subclasses__()}


def forked(owner: int) -> Forked:
    """Returns the error of a session that is used in a fork of the process `owner`."""
    return Forked(
        f"this session belongs to process {owner}, which forked this one; start a session of its own here, or use "
        "multiprocessing's start method `spawn`"
    )


def from_json(error: str | dict[str, Any]) -> GreenroomError:
    """Returns the exception for `{code, message, detail?}`; an unknown code is a
    `GreenroomError`."""
    import json

    given: dict[str, Any] = json.loads(error) if isinstance(error, str) else error
    cls = _classes().get(given["code"])
    if cls is None:
        return GreenroomError(given["message"], given.get("detail"), given["code"])
    return cls(given["message"], given.get("detail"))
