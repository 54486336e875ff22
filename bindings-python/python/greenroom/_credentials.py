"""Credentials for a room: the server that the client reaches, a token, and what the token says."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from greenroom import _checks, _json, _native
from greenroom._session import _ask

__all__ = ["Credentials", "Grants", "TrackSource", "credentials"]

TrackSource: TypeAlias = Literal["camera", "microphone", "screen_share", "screen_share_audio"]
"""Where a track comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grants:
    """What a token allows, by LiveKit's names."""

    room_join: bool = True
    """To join the room."""
    room_create: bool = False
    """To make rooms and delete them."""
    room_list: bool = False
    """To list rooms."""
    room_record: bool = False
    """To record rooms."""
    room_admin: bool = False
    """To moderate the room."""
    ingress_admin: bool = False
    """To manage ingresses."""
    can_publish: bool = True
    """To publish tracks."""
    can_publish_sources: tuple[TrackSource, ...] = ()
    """Of which sources the tracks may be. None named is all."""
    can_subscribe: bool = True
    """To receive others' tracks."""
    can_publish_data: bool = True
    """To send data."""
    can_update_own_metadata: bool = False
    """To change its own name, metadata and attributes."""
    can_manage_agent_session: bool = False
    """To observe and drive the session of an agent."""
    hidden: bool = False
    """Hidden from other participants."""
    recorder: bool = False
    """To be shown as a recorder."""
    agent: bool = False
    """To be an agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Everything that a client needs to join a room. Its `repr` doesn't show the token."""

    url: str
    """The server's url for clients."""
    token: str = field(repr=False)
    """The access token."""
    room_id: str
    """The room."""
    identity: str
    """The participant's identity, from the token."""
    expires_at: str
    """Until when the token can be used to join; RFC 3339."""
    grants: Grants
    """The token's grants."""


def credentials(
    room: str = "general",
    *,
    identity: str | None = None,
    unique_identity: bool = True,
    name: str | None = None,
    kind: str | None = None,
    metadata: str | None = None,
    attributes: Mapping[str, str] | None = None,
    grants: Mapping[str, bool | Sequence[str]] | None = None,
    can_manage_agent_session: bool = False,
    dispatch: Mapping[str, str | None] | Sequence[str] = (),
    ttl: float = 600.0,
    url: str | None = None,
    allow_internal_url: bool = False,
    api_key: str | None = None,
    api_secret: str | None = None,
    requested_by: str | None = None,
) -> Credentials:
    """Make credentials for a room, for your own client or another.

        made = greenroom.credentials("demo", identity="ada", requested_by="voice/start")

    Missing values are read from the environment, then from `.env.local`, then from `.env` of the
    current folder. No name is resolved and no server is contacted. It blocks only while an env file
    is a named pipe that has yet to be written to; in that case, call it with `asyncio.to_thread` on
    an event loop.

    Args:
        room: The room's name.
        identity: The participant's identity, before the suffix that makes it unique. Default:
            `user`.
        unique_identity: Whether to add that suffix. A second participant with the same identity
            disconnects the first.
        name: Display name of the participant.
        kind: Kind of the participant, such as `agent`.
        metadata: Metadata of the participant.
        attributes: Attributes of the participant.
        grants: Grants to add to or remove from the defaults (join, publish, subscribe, send data),
            with the names of `Grants`.
        can_manage_agent_session: Whether it may observe and drive an agent's session.
        dispatch: Names of agent workers that the server dispatches to the room when the room is
            created; or a mapping of names to their job metadata.
        ttl: Validity of the token in seconds, at least 1.
        url: The server's url for clients. Default: `LIVEKIT_PUBLIC_URL`, then `LIVEKIT_URL`.
        allow_internal_url: Whether to accept a url that only containers can resolve.
        api_key: The API key that signs. Default: `LIVEKIT_API_KEY`. For a server on this machine,
            the public pair for development is the last resort, with a warning.
        api_secret: Its secret. Default: `LIVEKIT_API_SECRET`.
        requested_by: Name of the requester in the audit log, for every read of the secret. Default:
            this program.

    Raises:
        InvalidArgument: An argument is invalid; there is no url, key or secret; clients can't reach
            the url; or the pair for development would be used with a server elsewhere.
        IoError: The audit log can't be written.
    """
    _checks.text("room", room)
    _checks.optional(
        _checks.text,
        identity=identity,
        name=name,
        kind=kind,
        metadata=metadata,
        url=url,
        api_key=api_key,
        api_secret=api_secret,
        requested_by=requested_by,
    )
    _checks.each(
        _checks.flag,
        unique_identity=unique_identity,
        can_manage_agent_session=can_manage_agent_session,
        allow_internal_url=allow_internal_url,
    )
    _checks.optional(_checks.text_mapping, attributes=attributes)
    _checks.optional(_checks.mapping, grants=grants)
    for grant, value in (grants or {}).items():
        if not isinstance(value, bool):
            _checks.texts(f"grants[{grant!r}]", value)
    if not isinstance(dispatch, Mapping):
        _checks.texts("dispatch", dispatch)
    _checks.seconds("ttl", ttl)
    wanted: dict[str, Any] = {**(grants or {})}
    if can_manage_agent_session:
        wanted["can_manage_agent_session"] = True
    told = dispatch.items() if isinstance(dispatch, Mapping) else [(agent, None) for agent in dispatch]
    request = {
        "room": room,
        "identity": identity,
        "unique_identity": unique_identity,
        "name": name,
        "kind": kind,
        "metadata": metadata,
        "attributes": dict(attributes or {}),
        "grants": {grant: value if isinstance(value, bool) else list(value) for grant, value in wanted.items()},
        "dispatch": [{"agent_name": agent, "metadata": text} for agent, text in told],
        "ttl_ms": round(ttl * 1000),
        "url": url,
        "allow_internal_url": allow_internal_url,
        "api_key": api_key,
        "api_secret": api_secret,
        "requested_by": _this_program() if requested_by is None else requested_by,
    }
    made = json.loads(_ask(_native.credentials, json.dumps(request)))
    for note in made.pop("notes") + made.pop("doubts"):
        warnings.warn(note, RuntimeWarning, stacklevel=2)
    return _json.build(Credentials, made)


def _this_program() -> str:
    return os.path.basename(sys.argv[0] if sys.argv and sys.argv[0] else sys.executable) or "python"
