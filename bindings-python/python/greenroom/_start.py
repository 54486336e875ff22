"""The ways to get a `Session`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from greenroom import _checks, _native
from greenroom._link import Link, NativeLink, SharedLink
from greenroom._session import Opening, _ask
from greenroom.errors import InvalidArgument

if TYPE_CHECKING:
    from livekit.agents import AgentSession
    from livekit.rtc import Room

__all__ = ["attach", "in_process", "join", "open", "start"]

_Path = str | os.PathLike[str]


def start(
    entry: _Path | None = None,
    *,
    python: _Path | None = None,
    node: _Path | None = None,
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    cwd: _Path | None = None,
    port: int | None = None,
    timeout: float = 60.0,
    log: _Path | None = None,
    sync: bool = True,
    idle_timeout: float | None = None,
    audio: bool = False,
    recording: _Path | None = None,
    participant: Mapping[str, Any] | None = None,
    room: Mapping[str, str] | None = None,
    job_metadata: str | None = None,
) -> Opening:
    """Start an agent file, unmodified, as a process, and open a session with it.

        async with greenroom.start("agent.py") as session:
            turn = await session.say("hi")

    The agent is ended with the session, and with this process, however that ends.

    Args:
        entry: The agent's file, of livekit-agents (`.py`) or @livekit/agents (`.js`, `.mjs`, `.cjs`, `.ts`), relative
            to `cwd`. Without one the usual names are tried.
        python: The Python interpreter for a Python agent. Without one: the project's own (uv, `.venv`), an active
            virtual environment's, the one of Poetry, PDM, Pipenv, Hatch or conda, or this process's.
        node: The runtime of a JavaScript agent: a Node, or ``bun``, ``deno``, ``tsx``, ``ts-node``. Without one: what a
            script of its ``package.json`` or a runner among its dependencies says, else the ``node`` of PATH.
        args: Arguments for the interpreter, before the file.
        env: Variables on top of this process's environment.
        cwd: The folder to start from. This process's by default.
        port: The loopback port to listen on. Any free one by default.
        timeout: Seconds until the session must be ready, all included: to find the interpreter, which may sync a uv
            project, to connect, to answer. An agent that still greets by then is
            ready all the same.
        log: A file for the agent's log, which is appended to and kept. By default the log is a temporary file, gone
            with the session; `session.status().log_path` names it.
        sync: Whether a uv project may be synced first, as `uv run` does.
        idle_timeout: Seconds without any call after which the session ends by itself. Never by default.
        audio: Whether the agent keeps its ears and its mouth, for `say_audio`. Its speech is heard in its time then, so
            turns take as long as it speaks. By default its audio is turned off.
        recording: A WAV file to record a session with audio into: the user left, the agent right. An existing one is
            replaced.
        participant: The caller that an agent in Python finds where there is no room: `identity`, `name`, `metadata` and
            `attributes`, a mapping. Without it the SDK puts a MagicMock there.
        room: The room that it finds: `name` and `metadata`.
        job_metadata: The metadata of its job's dispatch.

    Raises (when it is awaited or entered):
        EntryNotFound, NotAnAgent, InterpreterNotFound, SdkMissing, SdkTooOld: Why it cannot be run, and what to do.
        AgentFailedToStart: It ended or crashed before it was ready; `detail` has the last lines of its log.
        SessionTimeout: It was not ready in time.
        InvalidArgument: An argument cannot be meant.
    """
    if python is not None and node is not None and entry is None:
        raise InvalidArgument("python= and node= were both passed, without an agent file to choose by; pass the file")
    _checks.optional(_checks.path, entry=entry, python=python, node=node, cwd=cwd, log=log, recording=recording)
    _checks.timeout("timeout", timeout)
    _checks.optional(_checks.timeout, idle_timeout=idle_timeout)
    _checks.optional(_checks.whole, port=port)
    _checks.each(_checks.flag, sync=sync, audio=audio)
    _checks.texts("args", args)
    _checks.optional(_checks.text_mapping, env=env)
    if port is not None and not 0 <= port <= 65535:
        raise InvalidArgument(f"port is {port}; it must be from 1 to 65535, or None for any free one")
    if recording is not None and not audio:
        raise InvalidArgument("recording= was given for a session without audio; start it with audio=True")
    is_python = os.fspath(entry).endswith(".py") if entry is not None else python is not None
    interpreter = python if is_python else node
    agent = {
        "entry": None if entry is None else os.fspath(entry),
        "dir": os.getcwd() if cwd is None else os.path.abspath(cwd),
        "interpreter": None if interpreter is None else os.fspath(interpreter),
        "interpreter_hint": sys.executable or None,
        "args": list(args),
        "env": list((env or {}).items()),
        "sync": sync,
        "stand_in": _stand_in(participant, room, job_metadata),
    }
    options = {
        "agent": agent,
        "port": port,
        "start_timeout": timeout,
        "idle_timeout": idle_timeout,
        "log": None if log is None else os.path.abspath(log),
        "audio": bool(audio),
        "recording": None if recording is None else os.path.abspath(recording),
    }

    async def connect() -> Link:
        return NativeLink(_ask(_native.start, json.dumps(options)))

    # The native half keeps the deadlines of a start and tells what it waited for.
    return Opening(connect, None)


def _stand_in(
    participant: Mapping[str, Any] | None, room: Mapping[str, str] | None, job_metadata: str | None
) -> dict[str, Any] | None:
    """What the agent is to find in place of a room; the native half knows the fields."""
    _checks.optional(_checks.mapping, participant=participant, room=room)
    _checks.optional(_checks.text, job_metadata=job_metadata)
    _check_fields("participant", participant, ("identity", "name", "metadata", "attributes"))
    _check_fields("room", room, ("name", "metadata"))
    given = {
        "participant": None if participant is None else dict(participant),
        "room": None if room is None else dict(room),
        "job_metadata": job_metadata,
    }
    return {name: value for name, value in given.items() if value is not None} or None


def _check_fields(argument: str, given: Mapping[str, Any] | None, fields: Sequence[str]) -> None:
    for name, value in (given or {}).items():
        if name not in fields:
            raise InvalidArgument(f"{argument}[{name!r}] is unknown; it has {', '.join(fields)}")
        if name == "attributes":
            is_right = isinstance(value, Mapping) and all(
                isinstance(item, str) for pair in value.items() for item in pair
            )
            if not is_right:
                raise InvalidArgument(f"{argument}['attributes'] must map text to text")
        elif not isinstance(value, str):
            raise InvalidArgument(
                f"{argument}[{name!r}] is {type(value).__name__}; it must be text, such as json.dumps(…)"
            )


def open(name: str = "default", *, timeout: float = 10.0) -> Opening:  # noqa: A001
    """Open the session that the command `greenroom start` left running.

        async with greenroom.open("default") as session:
            turn = await session.say("hi")

    To `close` it, or to leave the block, lets go of it: it goes on. To `end` it ends it and its agent, as
    `greenroom end` does.

    Args:
        name: The name it was started under.
        timeout: Seconds until it must answer.

    Raises (when it is awaited or entered):
        NoSession: No session of that name is live.
        PermissionDenied: It belongs to somebody else.
        SessionTimeout: It did not answer in time.
    """

    _checks.text("name", name)
    _checks.timeout("timeout", timeout)

    async def connect() -> Link:
        # A daemon that is stuck would block for seconds.
        return SharedLink(await asyncio.to_thread(_ask, _native.open, name))

    return Opening(connect, timeout)


def in_process(agent_session: AgentSession[Any], *, timeout: float = 60.0, text_mode: bool = True) -> Opening:
    """Open a session with an agent in this very process: no socket, no subprocess, no server. For unit tests.

        agent_session = AgentSession(llm=...)
        await agent_session.start(MyAgent())
        async with greenroom.in_process(agent_session) as session:
            turn = await session.say("hi")

    The `AgentSession` stays yours: closing the session leaves it running, and once it closes, so does the session.

    Args:
        agent_session: A started `livekit.agents.AgentSession`, with or without a room, of the running event loop.
        timeout: Seconds until it must be ready for a turn.
        text_mode: Whether its audio is turned off, so that it works without speech models.

    Raises (when it is awaited or entered):
        SdkMissing, SdkTooOld, Unsupported: livekit-agents is not installed, or lacks what this needs.
        InvalidArgument: It is no `AgentSession`, or it is not started.
        SessionTimeout: It was not ready in time.
    """

    _checks.timeout("timeout", timeout)
    _checks.flag("text_mode", text_mode)

    async def connect() -> Link:
        from greenroom import _livekit

        return _livekit.in_process(agent_session, timeout, text_mode)

    # The native half keeps the deadline, and its error says what it waited for.
    return Opening(connect, None)


def attach(room: Room, agent: str | None = None, *, timeout: float = 60.0) -> Opening:
    """Open a session with an agent that is in a room, through a Room that you have.

        await room.connect(url, token)  # a token with the grant canManageAgentSession
        async with greenroom.attach(room) as session:
            turn = await session.say("hi")

    The Room stays yours: closing the session leaves it connected, and once the agent leaves it, the session closes with
    the reason `agent_left`. The agent needs no grant, and nothing of Greenroom: SDK hosts answer too. Its audio stays
    as it is. There is no such function in `greenroom.sync`, since a Room lives on an asyncio event loop.

    Args:
        room: A connected `livekit.rtc.Room` of the running event loop.
        agent: The agent's identity. By default the only participant of the kind agent, avatars' workers apart.
        timeout: Seconds until the agent must be there and answer.

    Raises (when it is awaited or entered):
        PermissionDenied: We do not hold the grant `canManageAgentSession`; or the agent's gate refuses us.
        InvalidArgument: The Room is not connected, several agents are in it and none is named, or something else than
            Greenroom handles the topic of agent sessions on this Room already.
        SessionTimeout: There was no agent, or it did not answer in time.
        SdkMissing, SdkTooOld, Unsupported: livekit is not installed, or lacks what this needs.
    """
    _checks.timeout("timeout", timeout)
    _checks.optional(_checks.text, agent=agent)

    async def connect() -> Link:
        from greenroom import _room

        return _room.attach(room, agent, timeout)

    # The native half keeps the deadline, and its error says what it waited for.
    return Opening(connect, None)


def join(
    url: str,
    token: str,
    agent: str | None = None,
    *,
    timeout: float = 60.0,
    idle_timeout: float | None = None,
    ca: _Path | bytes | None = None,
    proxy: str | None = None,
) -> Opening:
    """Join a room, and open a session with the agent in it. No LiveKit SDK is needed, and none is loaded.

        async with greenroom.join(url, token) as session:  # a token with the grant canManageAgentSession
            turn = await session.say("hi")

    Closing the session leaves the room. The agent needs no grant, and nothing of Greenroom: SDK hosts answer too. Its
    audio stays as it is.

    Args:
        url: The server: `wss://…`, `ws://…`, `https://…` or `http://…`.
        token: The access token, which names the room and our identity; `greenroom.credentials` makes one.
        agent: The agent's identity. By default the only participant of the kind agent.
        timeout: Seconds until the room is joined and the agent is there and answers.
        idle_timeout: Seconds without any call after which the session ends by itself. Never by default.
        ca: The authorities to trust instead of the system's, as certificates in PEM: a file of them, or their bytes or
            text. `SSL_CERT_FILE` names a file of the system's.
        proxy: The HTTP proxy through which the server is reached, `http://user:password@host:port`; `""` is none. By
            default HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it, and NO_PROXY what is excepted; a server on this
            machine needs none. Media by UDP goes through none.

    Raises (when it is awaited or entered):
        PermissionDenied: The server refuses the token, which may have expired; or it does not grant
            `canManageAgentSession`; or the agent's gate refuses us.
        InvalidArgument: Url, token, authorities or proxy are none, or there are several agents and none is named.
        SessionTimeout: There was no agent, or it did not answer in time, or the server did not.
        IoError: The server or the proxy cannot be found or reached, or the server is not trusted.
        Unsupported: The server is too old.
    """
    _checks.each(_checks.text, url=url, token=token)
    _checks.optional(_checks.text, agent=agent)
    _checks.timeout("timeout", timeout)
    _checks.optional(_checks.timeout, idle_timeout=idle_timeout)
    options = {
        "url": url,
        "token": token,
        "agent": agent,
        "start_timeout": timeout,
        "idle_timeout": idle_timeout,
        **_reached_by(ca, proxy),
    }

    async def connect() -> Link:
        return NativeLink(_ask(_native.join, json.dumps(options)))

    # The native half keeps the deadlines and tells what it waited for.
    return Opening(connect, None)


def _reached_by(ca: _Path | bytes | None, proxy: str | None) -> dict[str, str | None]:
    """The options of a room that say how its server is reached."""
    _checks.optional(_checks.text, proxy=proxy)
    if isinstance(ca, bytes):
        # Else it would be taken for the name of a file.
        if b"-----BEGIN " not in ca:
            raise InvalidArgument("the bytes of ca are not PEM; pass a file of certificates, or their text")
        ca = ca.decode("latin-1")
    path = os.fspath(ca) if isinstance(ca, os.PathLike) else ca
    if path is not None and not isinstance(path, str):
        raise InvalidArgument(
            f"ca is of type {type(path).__name__}; pass a file of certificates, or their bytes or text"
        )
    return {"ca": path, "proxy": proxy}
