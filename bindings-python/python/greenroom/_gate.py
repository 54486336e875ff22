"""`gate`: a guard before the session host of an agent's SDK."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from types import TracebackType
from typing import TYPE_CHECKING

from greenroom._asyncio import is_under_trio, needs_asyncio
from greenroom._policy import AuditCallback, ConcurrentTurns, Policy, Scope, host_options
from greenroom.errors import InvalidArgument

if TYPE_CHECKING:
    from livekit.rtc import Room

__all__ = ["Gate", "gate"]


def gate(
    room: Room,
    *,
    policy: Policy | Mapping[str, Collection[Scope]] | None = None,
    run_input: ConcurrentTurns = "queue",
    on_audit: AuditCallback | None = None,
) -> Gate:
    """Let only those drive and observe the agent of this Room who hold LiveKit's grant `canManageAgentSession`.

        greenroom.gate(ctx.room)
        await session.start(agent=MyAgent(), room=ctx.room)

    One line in the agent's file, before `session.start`, and nothing else of the agent changes: its SDK's own session
    host gets the requests of those who may ask, and what it says goes to those who may know, never to the whole room.
    Call it on the agent's event loop, before or after the Room is connected.

    Each decision is a line on the logger `greenroom.audit`, as JSON: INFO where it allows, WARNING where it denies.

    Args:
        room: The agent's own `livekit.rtc.Room`, such as `ctx.room`.
        policy: What each holder of the grant may do; everything by default.
        run_input: What becomes of a text turn that comes while another runs. The SDK would interrupt the former.
        on_audit: Is called with each line of the audit log too.

    Raises:
        InvalidArgument: The SDK's host is on the Room already, or a gate is; or an argument cannot be meant.
        SdkMissing, SdkTooOld, Unsupported: livekit is not installed, or lacks what this needs.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        if is_under_trio():
            raise needs_asyncio() from None
        raise InvalidArgument("no event loop runs here: call gate(room) in the agent's entrypoint") from None
    return Gate(room, host_options(policy, run_input, on_audit), on_audit)


class Gate:
    """A gate before the session host of an agent's SDK. Get one from `greenroom.gate`."""

    def __init__(self, room: Room, options: str, on_audit: AuditCallback | None) -> None:
        from greenroom._guard import Guard

        self._guard = Guard(room, options, on_audit)
        self._is_closed = False

    def status(self) -> dict[str, int]:
        """What was counted: `requests` and those `answered` and `waiting`, messages `denied`, messages of the agent
        that were `dropped`, streams that were `cut`, `peers` in the room. Empty while the SDK has no session host."""
        return {} if self._is_closed else self._guard.status() or {}

    def close(self) -> None:
        """Give the Room back as it was: from now on everybody in the room may drive the agent. May be called again."""
        if not self._is_closed:
            self._is_closed = True
            self._guard.close()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
