"""Who is in the rooms: agents of the released SDK, and participants that speak the bare wire."""

import asyncio
import importlib.util
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from livekit import rtc
from livekit.agents import voice
from livekit.agents.voice.room_io import RoomOptions
from livekit.protocol.agent_pb import agent_session as pb

import greenroom
import greenroom.livekit

from .venue import Kind, Venue, send, until

TOPIC = "lk.agent.session"
EXAMPLE = Path(__file__).parents[4] / "examples" / "python" / "agent.py"
# An agent's room without audio, which needs no devices and no models.
TEXT_ONLY = RoomOptions(audio_input=False, audio_output=False, text_input=False, text_output=False)
GUARDS = ["host", "gate"]
# Releases call it one or the other.
AgentSession: Any = getattr(voice, "LiveSession", None) or voice.AgentSession
# Whether a session can be started without the SDK's own host, as from livekit-agents 1.6.9 on.
HAS_HOST_CHOICE = "session_host" in inspect.signature(AgentSession.start).parameters
needs_host_choice = pytest.mark.skipif(not HAS_HOST_CHOICE, reason="the SDK has no `session_host=`")


def load_shop() -> ModuleType:
    """The example agent as a module."""
    spec = importlib.util.spec_from_file_location("shop", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shop = load_shop()


class HoldingLLM(shop.ScriptedLLM):
    """The example's LLM, which also answers what begins with `hold`, but only once it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.release = asyncio.Event()
        self.held: list[str] = []

    def chat(self, **options: Any) -> Any:
        options.setdefault("tools", None)
        conn_options = options.get("conn_options") or shop.DEFAULT_API_CONNECT_OPTIONS
        return _HoldingStream(
            self, chat_ctx=options["chat_ctx"], tools=options["tools"] or [], conn_options=conn_options
        )


class _HoldingStream(shop.ScriptedStream):
    async def _run(self) -> None:
        last = self.chat_ctx.items[-1]
        text = (last.text_content or "") if last.type == "message" else ""
        if text.startswith("hold"):
            self._llm.held.append(text)
            await self._llm.release.wait()
            self._say(f"released: {text}")
        else:
            await super()._run()


class Agent:
    """An agent of the SDK in a room, with a guard: `host` of ours, `gate` before the SDK's own host, that host without
    any guard (None), or no host at all (`none`).
    """

    def __init__(self, venue: Venue, guard: str | None, options: dict[str, Any]) -> None:
        self.venue = venue
        self.room = rtc.Room()
        self.llm = HoldingLLM()
        self.session: Any = AgentSession(llm=self.llm, user_away_timeout=None)
        self.audits: list[Any] = []
        self._guard = guard
        self._options = {"on_audit": self.audits.append, **options}
        self.keeper: Any = None

    async def start(self, identity: str, kind: Kind = "agent") -> None:
        """Join the room and start the session."""
        if self._guard == "gate":
            self.keeper = greenroom.gate(self.room, **self._options)
        await self.venue.connect(identity, kind=kind, room=self.room)
        await self._start_session()

    async def take(self, room: rtc.Room) -> None:
        """Start the session in a Room that is connected already."""
        self.room = room
        if self._guard == "gate":
            self.keeper = greenroom.gate(self.room, **self._options)
        await self._start_session()

    async def _start_session(self) -> None:
        own_host = {"session_host": self._guard not in ("host", "none")}
        if not HAS_HOST_CHOICE and not own_host.pop("session_host"):
            pytest.skip("the SDK has no `session_host=`")
        await self.session.start(shop.Barista(), room=self.room, room_options=TEXT_ONLY, **own_host)
        if self._guard == "host":
            self.keeper = await greenroom.livekit.host(self.session, self.room, **self._options)

    def counted(self, name: str) -> int:
        count: int = self.keeper.status()[name]
        return count

    def decisions(self, identity: str) -> list[str]:
        """What the gate said about a participant, in order, each decision once in a row."""
        lines = [line["decision"] for line in self.audits if line["identity"] == identity]
        names = [line if isinstance(line, str) else next(iter(line)) for line in lines]
        return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]

    async def close(self) -> None:
        self.llm.release.set()
        await self.session.aclose()
        if self._guard == "host" and self.keeper is not None:
            await self.keeper.aclose()


class Wire:
    """A participant that speaks the wire itself and keeps all that it gets on the topic, from whomever."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.got: list[tuple[str, pb.AgentSessionMessage]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._reads = asyncio.Lock()
        room.register_byte_stream_handler(TOPIC, self._on_stream)

    @property
    def responses(self) -> dict[str, pb.SessionResponse]:
        return {m.response.request_id: m.response for _, m in self.got if m.HasField("response")}

    @property
    def events(self) -> list[str]:
        return [m.event.WhichOneof("event") for _, m in self.got if m.HasField("event")]

    async def send(self, message: bytes | pb.AgentSessionMessage, to: str = "agent", claim: str = "") -> None:
        data = message if isinstance(message, bytes) else message.SerializeToString()
        attributes = {"greenroom.identity": claim} if claim else None
        local = self.room.local_participant
        await send(local, data, topic=TOPIC, name="raw", destination_identities=[to], attributes=attributes)

    async def request(self, request_id: str, kind: str, to: str = "agent", claim: str = "", **fields: Any) -> None:
        """Send a request and do not wait."""
        request = pb.SessionRequest(request_id=request_id)
        chosen = getattr(request, kind)
        chosen.SetInParent()
        for name, value in fields.items():
            setattr(chosen, name, value)
        await self.send(pb.AgentSessionMessage(request=request), to, claim)

    async def ask(self, request_id: str, kind: str, to: str = "agent", **fields: Any) -> pb.SessionResponse:
        """Send a request and wait for its response."""
        await self.request(request_id, kind, to, **fields)
        return await self.response(request_id)

    async def response(self, request_id: str) -> pb.SessionResponse:
        await until(f"a response to {request_id}", lambda: request_id in self.responses)
        return self.responses[request_id]

    def _on_stream(self, reader: rtc.ByteStreamReader, identity: str) -> None:
        task = asyncio.ensure_future(self._read(reader, identity))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read(self, reader: rtc.ByteStreamReader, identity: str) -> None:
        async with self._reads:
            data = b"".join([chunk async for chunk in reader])
        self.got.append((identity, pb.AgentSessionMessage.FromString(data)))
